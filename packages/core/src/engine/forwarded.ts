// What of a client's request goes on to the origin.
import { endToEndFields, type Fields, withoutFields } from '../http/fields.ts'
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
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
])

/** What only this cache may say. A client's copy never goes on. */
const OURS: ReadonlySet<string> = new Set([
  'host',
  'expect',
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
  let fields: Fields = withoutFields(endToEndFields(request.fields), OURS)
  if (mayStore) fields = withoutFields(fields, UNKEYED)
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

/** More passes than any sensible chain of tiers has. */
const MAX_PASSES = 8

/** Whether a request has come back to where it was: by this process, or by too many of the same name (RFC 8586 §2). */
export function isLoop(cdnLoop: string, by: Forwarding): boolean {
  const members = cdnLoop.split(',').map((member) => member.trim())
  if (members.some((member) => member === `${by.name}; id=${by.instance}`)) return true
  return members.filter((member) => member.split(';', 1)[0]?.trim() === by.name).length >= MAX_PASSES
}
