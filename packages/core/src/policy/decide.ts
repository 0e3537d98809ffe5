// The first question: may what I hold answer this request?
import { directiveSeconds, parseDirectives } from '../http/cache-control.ts'
import { cookieValue, type Fields, fieldValue } from '../http/fields.ts'
import { currentAge, type StoredHead } from '../http/stored-response.ts'
import type { Millis, Seconds } from '../http/time.ts'
import type { Policy } from './policy.ts'
import type { Reason } from './reasons.ts'

/** What of a request decides; a whole request will do. */
export interface RequestMeta {
  readonly method: string
  readonly fields: Fields
  /** Anything but `undefined` counts as a body. */
  readonly body?: unknown
}

/** Why a request goes forward to the origin, in the words of RFC 9211 §2.2. */
export type Forward = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'request' | 'stale' | 'partial'

/** What the store held under the key of this request. */
export type Lookup =
  | { readonly stored: StoredHead; readonly miss?: undefined }
  | { readonly stored?: undefined; readonly miss: 'uri-miss' | 'vary-miss' }

interface FromStore {
  readonly reason: Reason
  readonly stored: StoredHead
  readonly age: Seconds
}

export type Decision =
  | (FromStore & { readonly action: 'serve'; readonly revalidateAfter: boolean })
  | (FromStore & { readonly action: 'revalidate'; readonly fwd: Forward })
  | { readonly action: 'fetch'; readonly reason: Reason; readonly fwd: Forward; readonly mayStore: boolean }
  | { readonly action: 'refuse'; readonly reason: Reason; readonly status: 504 }

/** What keeps a request from the store whatever is in it; `undefined` when the store may be asked. */
export function decideBeforeLookup(request: RequestMeta, policy: Policy): (Decision & { action: 'fetch' }) | undefined {
  if (!policy.cache) return fetch('bypass', 'route-bypasses', false)
  // Whether the answer to another method is reusable is for admit() to say (RFC 9110 §9.3.3).
  if (request.method !== 'GET' && request.method !== 'HEAD') return fetch('method', 'method', request.method === 'POST')
  // A body is not part of the key, so what it changes would be everybody's answer (RFC 9110 §9.3.1).
  if (request.body !== undefined) return fetch('bypass', 'request-body', false)
  for (const name of policy.bypassCookies) {
    if (cookieValue(request.fields, name) !== undefined) return fetch('bypass', 'cookie', false)
  }
  return undefined
}

export function decide(request: RequestMeta, lookup: Lookup, policy: Policy, now: Millis): Decision {
  const before = decideBeforeLookup(request, policy)
  if (before !== undefined) return before

  const asked = parseDirectives(policy.honorRequestDirectives ? fieldValue(request.fields, 'cache-control') : undefined)
  const onlyIfCached = asked.has('only-if-cached')

  const { stored } = lookup
  if (stored === undefined) return onlyIfCached ? refuse() : fetch(lookup.miss, lookup.miss, !asked.has('no-store'))

  const { freshness } = stored
  const age = currentAge(stored, now)
  const staleFor = age - freshness.lifetime
  const revalidate = (reason: Reason, fwd: Forward): Decision =>
    onlyIfCached ? refuse() : { action: 'revalidate', reason, stored, age, fwd }

  // Nothing overrides what the origin demands.
  if (freshness.validateAlways) return revalidate('response-no-cache', 'stale')

  // What the client prefers (RFC 9111 §5.2.1).
  if (asked.size > 0) {
    if (asked.has('no-cache')) return revalidate('request-no-cache', 'request')
    if (age > (directiveSeconds(asked, 'max-age') ?? Number.POSITIVE_INFINITY)) return revalidate('request-max-age', 'request')
    if (-staleFor < (directiveSeconds(asked, 'min-fresh') ?? Number.NEGATIVE_INFINITY))
      return revalidate('request-min-fresh', 'request')
  }

  if (staleFor < 0) return { action: 'serve', reason: 'fresh', stored, age, revalidateAfter: false }
  if (freshness.forbidsStale) return revalidate('stale', 'stale')
  if (staleFor <= maxStale(asked.get('max-stale')))
    return { action: 'serve', reason: 'client-max-stale', stored, age, revalidateAfter: false }
  if (staleFor < freshness.staleWhileRevalidate)
    return { action: 'serve', reason: 'stale-while-revalidate', stored, age, revalidateAfter: true }
  return revalidate('stale', 'stale')
}

/** After the origin has failed: is the stored response better than the failure? (RFC 5861 §4, RFC 9111 §4.2.4) */
export function decideAfterFailure(stored: StoredHead, now: Millis): (Decision & { action: 'serve' }) | undefined {
  const { freshness } = stored
  if (freshness.forbidsStale || freshness.validateAlways) return undefined
  const age = currentAge(stored, now)
  if (age - freshness.lifetime >= freshness.staleIfError) return undefined
  return { action: 'serve', reason: 'stale-if-error', stored, age, revalidateAfter: false }
}

/** The answers of an origin that count as its failure (RFC 5861 §4). */
export function isFailure(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504
}

/** `max-stale` without an argument accepts any staleness; absent, it accepts none. */
function maxStale(argument: string | true | undefined): Seconds {
  if (argument === undefined) return Number.NEGATIVE_INFINITY
  return argument === true ? Number.POSITIVE_INFINITY : (directiveSeconds(new Map([['max-stale', argument]]), 'max-stale') ?? 0)
}

function fetch(fwd: Forward, reason: Reason, mayStore: boolean): Decision & { action: 'fetch' } {
  return { action: 'fetch', reason, fwd, mayStore }
}

function refuse(): Decision {
  return { action: 'refuse', reason: 'only-if-cached', status: 504 }
}
