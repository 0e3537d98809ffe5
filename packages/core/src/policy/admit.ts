// The second question: may this response be kept, and for how long?
import { type Directives, decidingDirectives, directiveSeconds } from '../http/cache-control.ts'
import { endToEndFields, type Fields, fieldValue, hasCookies, hasField, onlyFields, withoutFields } from '../http/fields.ts'
import { explicitLifetime, heuristicLifetime, initialAge, isHeuristicallyCacheable, type Lifetime } from '../http/freshness.ts'
import { parseContentRange } from '../http/ranges.ts'
import { type CacheKey, type Freshness, type StoredHead, selectingOf, varyNames } from '../http/stored-response.ts'
import { formatHttpDate, type Millis } from '../http/time.ts'
import { hasValidator } from '../http/validators.ts'
import { isFailure, type RequestMeta } from './decide.ts'
import type { Policy } from './policy.ts'
import type { Reason } from './reasons.ts'
import { surrogateKeys } from './surrogate-keys.ts'

export interface AnsweredRequest extends RequestMeta {
  /** Absolute, as the client asked. */
  readonly url: string
}

export interface ResponseMeta {
  readonly status: number
  readonly fields: Fields
  readonly requestedAt: Millis
  readonly receivedAt: Millis
}

export type Admission = { readonly store: true; readonly meta: StoredHead } | { readonly store: false; readonly reason: Reason }

/** Final statuses whose caching requirements this cache knows, for must-understand (RFC 9111 §5.2.2.3, RFC 9110 §15.1). */
const UNDERSTOOD = new Set([
  200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504,
])

/** Meant for this cache alone: obeyed, kept for the next validation, and never delivered. */
export const WITHHELD: ReadonlySet<string> = new Set(['surrogate-control', 'surrogate-key', 'cache-tag'])

/** Worked out anew for each delivery. */
const NOT_KEPT: ReadonlySet<string> = new Set([...WITHHELD, 'age', 'content-length'])

/**
 * `newId` names the stored response. Freshness is worked out here, once: a hit parses nothing, and a changed
 * configuration does not change the past.
 */
export function admit(
  key: CacheKey,
  request: AnsweredRequest,
  response: ResponseMeta,
  policy: Policy,
  newId: () => string,
): Admission {
  const { status, fields } = response
  const deciding = decidingDirectives(fields, policy.targetedFields)
  const { directives } = deciding

  if (status < 200 || status > 999) return refuse('not-final')
  // A 304 answers the client's own condition; there is no representation in it to keep (RFC 9110 §15.4.5).
  if (status === 304) return refuse('not-modified')
  if (status === 206 && !isAskedPart(request, fields)) return refuse('partial-mismatch')

  // must-understand replaces no-store where we do understand (RFC 9111 §5.2.2.3).
  const understands = directives.has('must-understand') && UNDERSTOOD.has(status)
  if (directives.has('must-understand') && !UNDERSTOOD.has(status)) return refuse('no-store')
  if (directives.has('no-store') && !understands) return refuse('no-store')
  // `private="field"` restricts only those fields (RFC 9111 §5.2.2.7), but dropping them is more than the origin asked: keep out.
  if (directives.has('private')) return refuse('private')

  const names = varyNames(fields)
  if (names === '*') return refuse('vary-star')

  const shared = isShared(directives, deciding.from)
  if (hasField(request.fields, 'authorization') && !shared && !directives.has('must-revalidate')) return refuse('authorization') // (RFC 9111 §3.5)
  const ttlIsOurs = policy.overrideTtl !== undefined || policy.defaultTtl !== undefined || policy.ttlByStatus.size > 0
  if (hasField(fields, 'set-cookie') && !shared && !policy.shareSetCookie) return refuse('set-cookie')
  if (hasCookies(request.fields) && !shared && !ttlIsOurs) return refuse('request-cookies')

  const lifetime = lifetimeOf(status, fields, deciding, response.receivedAt, policy)
  if (request.method === 'HEAD') return refuse('head')
  if (request.method !== 'GET' && !isReusableLater(request, fields, lifetime)) return refuse('unsafe-method')
  const freshness = freshnessOf(status, lifetime, directives, policy)
  // Nothing could ever be done with it.
  if (!hasValidator(fields) && !isReusable(freshness)) return refuse('no-lifetime')
  if (lifetime.from === 'none' && !isKeptForValidation(status, fields, directives)) return refuse('no-lifetime')
  if ((declaredLength(fields) ?? 0) > policy.maxBodyBytes) return refuse('too-large')

  const selecting = selectingOf(selectionNames(status, names, policy), request.fields, policy.normalise)
  return {
    store: true,
    meta: {
      v: 1,
      id: newId(),
      key,
      status,
      fields: keptFields(fields, response.receivedAt),
      withheld: onlyFields(fields, WITHHELD),
      selecting,
      requestedAt: response.requestedAt,
      receivedAt: response.receivedAt,
      initialAge: initialAge(fields, response.requestedAt, response.receivedAt),
      freshness,
      surrogateKeys: surrogateKeys(fields),
    },
  }
}

/** What of a response is kept, to be delivered. One without Date is dated when it arrives (RFC 9110 §6.6.1). */
export function keptFields(fields: Fields, receivedAt: Millis): Fields {
  const kept = withoutFields(endToEndFields(fields), NOT_KEPT)
  if (!hasField(kept, 'date')) kept.push('Date', formatHttpDate(receivedAt))
  return kept
}

function refuse(reason: Reason): Admission {
  return { store: false, reason }
}

/** A part is kept for those who ask for exactly the same part; its Range selects it like a field that Vary names. */
function selectionNames(status: number, names: readonly string[], policy: Policy): readonly string[] {
  const all = policy.selectOn.length === 0 ? names : [...new Set([...names, ...policy.selectOn])]
  return status === 206 ? [...all, 'range'] : all
}

function isAskedPart(request: RequestMeta, fields: Fields): boolean {
  if (!hasField(request.fields, 'range') || hasField(request.fields, 'if-range')) return false
  return parseContentRange(fieldValue(fields, 'content-range') ?? '') !== undefined
}

/** Whether the origin said that this response is for more than one user (RFC 9111 §3.5, §7.3). */
function isShared(directives: Directives, from: string): boolean {
  return directives.has('public') || directives.has('s-maxage') || from !== 'cache-control'
}

/** RFC 9110 §9.3.3: a POST's response answers later GETs when it says that it lives at the same URL, and for how long. */
function isReusableLater(request: AnsweredRequest, fields: Fields, lifetime: Lifetime): boolean {
  const location = fieldValue(fields, 'content-location')
  if (request.method !== 'POST' || location === undefined) return false
  if (lifetime.from === 'none' || lifetime.from === 'heuristic' || lifetime.from === 'default') return false
  return URL.canParse(location, request.url) && new URL(location, request.url).href === new URL(request.url).href
}

function lifetimeOf(
  status: number,
  fields: Fields,
  deciding: ReturnType<typeof decidingDirectives>,
  receivedAt: Millis,
  policy: Policy,
): Lifetime {
  if (policy.overrideTtl !== undefined && isGood(status)) return { seconds: policy.overrideTtl, from: 'override' }
  const explicit = explicitLifetime(fields, deciding, receivedAt)
  if (explicit !== undefined) return explicit
  const ofStatus = policy.ttlByStatus.get(String(status)) ?? policy.ttlByStatus.get(`${Math.floor(status / 100)}xx`)
  if (ofStatus !== undefined && !deciding.directives.has('no-cache')) return { seconds: ofStatus, from: 'default' }
  if (policy.defaultTtl !== undefined && isGood(status) && !deciding.directives.has('no-cache'))
    return { seconds: policy.defaultTtl, from: 'default' }
  const heuristic = policy.heuristicFreshness ? heuristicLifetime(status, fields, deciding, receivedAt) : undefined
  return heuristic ?? { seconds: 0, from: 'none' }
}

/** The operator's lifetimes are for what the route is there for, not for its errors. */
function isGood(status: number): boolean {
  return status < 400
}

function windows(
  status: number,
  directives: Directives,
  policy: Policy,
  overridden: boolean,
): Pick<Freshness, 'staleWhileRevalidate' | 'staleIfError'> {
  // A failure stands in for nothing, least of all for the next one.
  if (isFailure(status)) return { staleWhileRevalidate: 0, staleIfError: 0 }
  const { staleWhileRevalidate, staleIfError } = policy
  if (overridden) return { staleWhileRevalidate, staleIfError }
  return {
    staleWhileRevalidate: directiveSeconds(directives, 'stale-while-revalidate') ?? policy.staleWhileRevalidate,
    staleIfError: directiveSeconds(directives, 'stale-if-error') ?? policy.staleIfError,
  }
}

function freshnessOf(status: number, lifetime: Lifetime, directives: Directives, policy: Policy): Freshness {
  const overridden = lifetime.from === 'override'
  // A window that the origin asked for by name outweighs the proxy-revalidate that s-maxage implies. See docs/decisions/0007.
  const asksForStale = directives.has('stale-while-revalidate') || directives.has('stale-if-error')
  return {
    lifetime: lifetime.seconds,
    from: lifetime.from,
    ...windows(status, directives, policy, overridden),
    validateAlways: directives.has('no-cache') && !overridden,
    forbidsStale:
      !overridden &&
      (directives.has('must-revalidate') || directives.has('proxy-revalidate') || (directives.has('s-maxage') && !asksForStale)),
  }
}

/** A failure is not: it stands in for nothing. */
function isKeptForValidation(status: number, fields: Fields, directives: Directives): boolean {
  return hasValidator(fields) && isHeuristicallyCacheable(status, directives) && !isFailure(status)
}

/** Whether there is a time at which it may be served without being validated. */
function isReusable({ lifetime, staleWhileRevalidate, staleIfError, validateAlways, forbidsStale }: Freshness): boolean {
  if (validateAlways) return false
  return lifetime > 0 || (!forbidsStale && (staleWhileRevalidate > 0 || staleIfError > 0))
}

function declaredLength(fields: Fields): number | undefined {
  const value = fieldValue(fields, 'content-length')
  return value === undefined ? undefined : Number(value)
}
