// The configuration as people write it. resolve-config.ts turns it into routes with complete policies.
import type { LogSink } from './log/sink.ts'
import type { App } from './origins/app.ts'
import type { Origin } from './origins/origin.ts'
import type { Store } from './stores/store.ts'

/** "90s", "15m", "1h", "7d", or plain seconds. */
export type Duration = number | `${number}${'s' | 'm' | 'h' | 'd'}`

/** "64kb", "512mb", "20gb" (powers of 1024), or plain bytes. */
export type Size = number | `${number}${'kb' | 'mb' | 'gb'}`

export interface CdnConfig<Origins extends OriginsConfig = OriginsConfig> {
  /** Origins by name. A URL is short for an HTTP origin with the default settings. */
  origins: Origins

  /** Tried from top to bottom; the first match wins. */
  routes: readonly RouteConfig<keyof Origins & string>[]

  /** Bound of the memory store, with what is on its way to clients and into the store. Default: "256mb". Not together with `store`. */
  memory?: Size

  /** Bodies above this size are stored in slices of it, 64 KiB to 16 MiB. Default: "1mb". */
  slice?: Size

  /** A store below the memory store, such as `await diskStore({ folder, maxBytes })`: it survives a restart. Not together with `store`. */
  disk?: Store

  /** In place of the memory store. */
  store?: Store

  /** Default: one JSON line for each request on stdout. */
  log?: readonly LogSink[]

  /** The name of this cache in Cache-Status, Via and CDN-Loop: a token. Default: "simple-cdn". */
  name?: string

  /**
   * Where RFC 9111 leaves a cache the choice: "cautious" (default) neither shares cookies, nor guesses lifetimes, nor
   * takes transfer codings it does not know; "rfc" does whatever the RFC allows. See docs/decisions/0002.
   */
  semantics?: 'cautious' | 'rfc'

  /**
   * Proxies before this cache, as addresses and networks: "10.0.0.0/8". What they say in X-Forwarded-For and X-Forwarded-Proto is who the
   * client is, and by which scheme it came. "private": all in private networks. "fly": Fly Proxy, with its own fields. Default: none.
   */
  trustedProxies?: readonly string[] | 'private' | 'fly'

  /** Larger request bodies are refused with 413. Default: "10gb"; they are streamed, never held. */
  maxRequestBody?: Size
}

export type OriginsConfig = Readonly<Record<string, string | OriginConfig | App | Origin>>

export interface OriginConfig {
  /** "https://app.internal:8443". A path is put before every request's. */
  url: string
  /** Host to name in requests. Default: that of `url`; "client" passes on what the client asked for. */
  host?: string
  /** Longest wait for a connection. Default: "5s". */
  connectTimeout?: Duration
  /** Longest wait for the response's head. Default: "30s". */
  headTimeout?: Duration
  /** Longest silence in the middle of a body. Default: "30s". */
  bodyTimeout?: Duration
  /** Most connections at a time; more requests wait. Default: 256. */
  connections?: number
}

/** What a route matches, and the one thing it does. */
export type RouteConfig<OriginName extends string = string> = MatchConfig &
  (OriginRoute<OriginName> | RedirectRoute | RespondRoute)

export interface MatchConfig {
  /** Appears in logs and explanations. Default: what `match` says. */
  name?: string
  /** A path or a whole URL, in which `*` stands for anything: "/assets/*", "https://static.example.com/*". */
  match: string
  /** Other methods get 405 and an `Allow`. Default: all. */
  methods?: readonly string[]
}

export interface OriginRoute<OriginName extends string = string> {
  origin: OriginName
  /** The path to ask the origin for, with `*` for what `match` found: "/feeds/*" to "/*.xml". The key stays what the client asked. */
  rewrite?: string
  /** `false` passes everything through. Left out, the route obeys the origin's own fields. */
  cache?: false | CacheConfig
}

export interface RedirectRoute {
  /** Where to, with `*` for what `match` found. */
  redirect: string
  /** Default: 301. */
  status?: 301 | 302 | 303 | 307 | 308
}

export interface RespondRoute {
  respond: { status: number; headers?: Readonly<Record<string, string>>; body?: string }
}

export interface CacheConfig {
  /** Freshness lifetime for responses that carry none. */
  defaultTtl?: Duration
  /** Freshness lifetime in place of whatever the origin says. It does not outweigh no-store and private. */
  overrideTtl?: Duration
  /** How long a stale response may be served while it is revalidated, where the response does not say (RFC 5861). Default: 0. */
  staleWhileRevalidate?: Duration
  /** How long a stale response may stand in for an origin that fails, where the response does not say (RFC 5861). Default: "1d". */
  staleIfError?: Duration
  /** What tells one response from another, besides the URL's scheme, host and path. */
  key?: KeyConfig
  /** Cookies that send a request straight to the origin: sessions, logins. */
  bypassCookies?: readonly string[]
  /** Fields to obey before Cache-Control. Default: CDN-Cache-Control, then Surrogate-Control (RFC 9213). */
  targetedFields?: readonly string[]
  /** Whether a client's Cache-Control may force revalidation. Default: false. */
  honorRequestDirectives?: boolean
  /** Bodies above this size are passed on, not stored. Default: "10gb". */
  maxBody?: Size
  /**
   * Whether a body is fetched to its end though every client has left: always, never, or from this share of it on, 0 to 1.
   * What has come in whole slices is kept in any case, where the origin can be asked for the rest. Default: 0.5.
   */
  finishAbandoned?: boolean | number
}

export interface KeyConfig {
  /** Query parameters that count. Default: "all", sorted by name. */
  query?: 'all' | 'none' | readonly string[]
  /** Request fields that tell responses apart, besides those that Vary names. */
  headers?: readonly string[]
  /** Cookies that tell responses apart. */
  cookies?: readonly string[]
}

/** Checks a configuration at compile time: a route can only name an origin that exists. Changes nothing. */
export function defineConfig<const Origins extends OriginsConfig>(config: CdnConfig<Origins>): CdnConfig<Origins> {
  return config
}
