// What of a client's request goes on to the origin.
import { endToEndFields, type Fields, listMembers, withoutFields } from '../http/fields.ts'
import type { CdnRequest } from './messages.ts'

/** The client's own conditions and ranges: answered here, from what is stored or being stored. */
const CONDITIONS: ReadonlySet<string> = new Set([
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
  'if-range',
])
const CONDITIONS_AND_RANGE: ReadonlySet<string> = new Set([...CONDITIONS, 'range'])

/**
 * Fields by which a client can make some applications answer for another URL or host. They are not part of the key, so a
 * stored answer to them would be everybody's answer: a way to poison the cache.
 */
const UNKEYED: ReadonlySet<string> = new Set([
  'x-host',
  'x-http-host-override',
  'x-forwarded-scheme',
  'x-forwarded-protocol',
  'x-forwarded-ssl',
  'x-forwarded-server',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'x-forwarded-uri',
  'x-url-scheme',
  'front-end-https',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
])

/** What only this cache may say, or nobody. A client's copy never goes on. */
const OURS: ReadonlySet<string> = new Set([
  'host',
  'expect',
  // CGI hands it to programs as HTTP_PROXY, which some take for the proxy to use themselves (CVE-2016-5385).
  'proxy',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'surrogate-capability',
])

export interface Forwarding {
  readonly name: string
  /** Tells this process from others of the same name, in CDN-Loop. */
  readonly instance: string
}

/**
 * `keep`: "all" passes the client's conditions and Range on, "range" only its Range and If-Range, "none" neither.
 * `mayStore` also takes out what would poison a stored response.
 */
export function forwardedFields(
  request: CdnRequest,
  by: Forwarding,
  keep: 'all' | 'range' | 'none',
  mayStore: boolean,
): string[] {
  let fields: Fields = withoutAnySpelling(endToEndFields(request.fields), OURS)
  if (mayStore) fields = withoutAnySpelling(fields, UNKEYED)
  if (keep === 'none') fields = withoutFields(fields, CONDITIONS_AND_RANGE)
  if (keep === 'range') fields = withoutFields(fields, CONDITIONS_BUT_IF_RANGE)
  return [
    ...fields,
    ...(request.clientAddress === undefined ? [] : ['X-Forwarded-For', request.clientAddress]),
    'X-Forwarded-Proto',
    request.scheme,
    'X-Forwarded-Host',
    request.authority,
    'Via', // (RFC 9110 §7.6.3)
    `${request.httpVersion} ${by.name}`,
    'CDN-Loop', // (RFC 8586 §2)
    `${by.name}; id=${by.instance}`,
  ]
}

const CONDITIONS_BUT_IF_RANGE: ReadonlySet<string> = new Set([...CONDITIONS].filter((name) => name !== 'if-range'))

/** Also with `_` for `-`: where fields become environment variables, as in CGI and WSGI, the two are the same. */
function withoutAnySpelling(fields: Fields, names: ReadonlySet<string>): string[] {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    if (!names.has(name.toLowerCase().replaceAll('_', '-'))) kept.push(name, fields[at + 1] as string)
  }
  return kept
}

/** More passes than any sensible chain of tiers has. */
const MAX_PASSES = 8

/** Whether a request has come back to where it was: by this process, or by too many of the same name (RFC 8586 §2). */
export function isLoop(cdnLoop: string, by: Forwarding): boolean {
  let passes = 0
  for (const member of listMembers(cdnLoop)) {
    const [name, ...parameters] = member.split(';').map((part) => part.trim())
    if (name !== by.name) continue
    // Whoever passes the field on may have written it anew.
    if (parameters.includes(`id=${by.instance}`) || parameters.includes(`id="${by.instance}"`)) return true
    passes++
  }
  return passes >= MAX_PASSES
}
