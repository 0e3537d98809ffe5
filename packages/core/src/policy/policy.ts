// What the operator wants: one route's caching rules, every default filled in.
import type { VaryNormalisation } from '../http/stored-response.ts'
import type { Seconds } from '../http/time.ts'

export interface Policy {
  /** `false` passes every request of the route through. */
  readonly cache: boolean
  /** Freshness lifetime for responses that carry none. `undefined`: they are not fresh. */
  readonly defaultTtl: Seconds | undefined
  /** Freshness lifetime in place of whatever the origin says. */
  readonly overrideTtl: Seconds | undefined
  /** Window for responses that name none themselves (RFC 5861 §3). */
  readonly staleWhileRevalidate: Seconds
  /** Window for responses that name none themselves (RFC 5861 §4). */
  readonly staleIfError: Seconds
  /** Lifetime for responses that carry none, by status or class such as "4xx": the more exact one outweighs `defaultTtl`. */
  readonly ttlByStatus: ReadonlyMap<string, Seconds>
  /** Takes cookies out of requests and responses, so that they neither count nor get anywhere. */
  readonly stripCookies: boolean
  /** Whether what is stored is compressed first, where that makes it smaller. */
  readonly compress: boolean
  /** Query parameters that are part of the key, as `parameterName` has them; or those that are not, `*` at the end standing for anything. */
  readonly query: 'all' | 'none' | readonly string[] | { readonly ignore: readonly string[] }
  /** Request fields, besides those that Vary names, that tell responses apart. Lower case; `cookie:NAME` names one cookie. */
  readonly selectOn: readonly string[]
  /** Cookies whose presence sends a request straight to the origin. */
  readonly bypassCookies: readonly string[]
  /** Fields to obey before Cache-Control, strongest first, lower case (RFC 9213). */
  readonly targetedFields: readonly string[]
  /** Whether a client's Cache-Control decides anything (RFC 9111 §5.2.1). */
  readonly honorRequestDirectives: boolean
  /** Larger bodies are passed on, not stored. */
  readonly maxBodyBytes: number
  /** From which share of a body on, 0 to 1, it is fetched to its end though every client has left; infinity: never. */
  readonly finishShare: number
  /** Whether a response without explicit lifetime gets one from its Last-Modified (RFC 9111 §4.2.2). */
  readonly heuristicFreshness: boolean
  /** Whether a response that sets a cookie is reused though nothing in it says `public`. See docs/decisions/0003. */
  readonly shareSetCookie: boolean
  readonly normalise: VaryNormalisation
}

/** What holds where the configuration says nothing. Every value is explained in docs/config.md. */
export const defaultPolicy: Policy = {
  cache: true,
  defaultTtl: undefined,
  overrideTtl: undefined,
  staleWhileRevalidate: 0,
  staleIfError: 86_400,
  ttlByStatus: new Map(),
  stripCookies: false,
  compress: false,
  query: 'all',
  selectOn: [],
  bypassCookies: [],
  targetedFields: ['cdn-cache-control', 'surrogate-control'],
  honorRequestDirectives: false,
  maxBodyBytes: 10 * 1024 ** 3,
  finishShare: 0.5,
  heuristicFreshness: false,
  shareSetCookie: false,
  normalise: { languages: false },
}

/** The choices RFC 9111 leaves to a cache, made as its authors' test suite likes them best. See docs/decisions/0002. */
export const rfcPolicy: Policy = {
  ...defaultPolicy,
  heuristicFreshness: true,
  shareSetCookie: true,
  normalise: { languages: true },
}
