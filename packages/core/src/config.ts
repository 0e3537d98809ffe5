// The configuration as people write it. resolve-config.ts turns it into routes with complete policies.
import type { PurgeBus } from './engine/purge-bus.ts'
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

  /** Options of every route that does not give its own; fields are merged by name. */
  defaults?: DefaultsConfig

  /** Bound of the memory store, with what is on its way to clients and into the store. Default: "256mb". Not together with `store`. */
  memory?: Size

  /** Bodies above this size are stored in slices of it, 64 KiB to 16 MiB. Default: "1mb", and less where `memory` is below 200 MB. */
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

  /** How purges reach other machines. */
  purge?: PurgeConfig
}

export interface PurgeConfig {
  /** What carries purges from machine to machine, such as `nats({ servers })` of @simple-cdn/bus-nats. Default: this machine is the only one. */
  bus?: PurgeBus
  /**
   * How long what is stored is reused while the bus cannot be heard; after that the origin is asked for everything. Default: as long as
   * that lasts. After a start nothing that an earlier process stored is reused before the bus has been heard, whatever this says.
   */
  trustFor?: Duration
}

export type OriginsConfig = Readonly<Record<string, string | OriginConfig | App | Origin>>

export interface OriginConfig {
  /** "https://app.internal:8443", or several. A path is put before every request's. */
  url: string | readonly (string | AddressConfig)[]
  /**
   * Which of several addresses is asked: the first that is well, each in turn by its weight, or always the same one for a URL.
   * Default: "round-robin".
   */
  choice?: 'first' | 'round-robin' | 'hash'
  /** Host to name in requests. Default: that of `url`; "client" passes on what the client asked for. */
  host?: string
  /** Longest wait for a connection. Default: "5s". */
  connectTimeout?: Duration
  /** Longest wait for the response's head. Default: "30s". */
  headTimeout?: Duration
  /** Longest silence in the middle of a body. Default: "30s". */
  bodyTimeout?: Duration
  /** Most connections to an address at a time; more requests wait. Default: 256. */
  connections?: number
  /** How often a request that is safe and has no body is sent again when no byte of an answer came, 0 to 5. Default: 1. */
  retries?: number
  /** How often host names are looked up again. Default: "10s". */
  resolveEvery?: Duration
  /** Asks each address now and then how it is. Default: no checks. */
  health?: HealthConfig
  /** Leaves out addresses that keep failing. */
  breaker?: BreakerConfig
  /** The name of the origin that is asked when this one fails to answer a request that is safe and has no body, or answers with 500, 502, 503 or 504. */
  fallback?: string
  /** Takes HTTP/2 where the origin offers it; `connections` are requests under way then. Default: false. */
  http2?: boolean
  tls?: TlsConfig
  /** Makes it a private bucket of S3, R2 or the like: GET and HEAD, signed. */
  s3?: BucketConfig
}

export interface AddressConfig {
  url: string
  /** Its share of the requests next to the weights of the others, 1 to 1,000. Default: 1. */
  weight?: number
}

export interface HealthConfig {
  /** What to ask for: "/health". */
  path: string
  /** From the beginning of a check to that of the next. Default: "10s". */
  every?: Duration
  /** Longest wait for the head of the answer. Default: "9s", or `every` if that is shorter. */
  timeout?: Duration
  /** The status that is good, or a range of them: "200-399". Default: 200. */
  expect?: number | `${number}-${number}`
  /** So many of the last checks have to be good. Default: 3. */
  threshold?: number
  /** How many are the last checks, 1 to 100. Default: 5. */
  window?: number
}

export interface BreakerConfig {
  /** After so many failures in a row an address is left out. Default: 5. */
  failures?: number
  /** For how long at first; each failure after that doubles it. Default: "1s". */
  pause?: Duration
  /** For how long at most. Default: "1m". */
  maxPause?: Duration
}

export interface TlsConfig {
  /** PEM text: the authorities to trust, in place of Node's. */
  ca?: string | readonly string[]
  /** PEM text: our own certificate, which the origin asks for, and its key. */
  cert?: string
  key?: string
  /** The name to ask for, and to find in the certificate. Default: that of the `Host` of the request. */
  servername?: string
  /** `false` takes any certificate. Default: true. */
  rejectUnauthorized?: boolean
}

export interface BucketConfig {
  /** "eu-central-1"; R2 has "auto". */
  region: string
  accessKeyId: string
  secretAccessKey: string
  /** Its name, unless `url` says it. */
  bucket?: string
  /** Whether the name is the first part of the path; `false` puts it before the host. Default: true. */
  pathStyle?: boolean
}

/** What a route matches, and the one thing it does. */
export type RouteConfig<OriginName extends string = string> = MatchConfig &
  DefaultsConfig &
  (OriginRoute<OriginName> | RedirectRoute | RespondRoute)

export interface MatchConfig {
  /** Appears in logs and explanations. Default: what `match` says. */
  name?: string
  /** A path or a whole URL, in which `*` stands for anything: "/assets/*", "https://static.example.com/*"; or several. */
  match: string | readonly string[]
  /** What else has to hold. */
  when?: WhenConfig
  /** Other methods get 405 and an `Allow`. Default: all. */
  methods?: readonly string[]
}

/** All of it has to hold; of a list, one. `true`: it is there; `false`: it is not; text: its value, one `*` standing for anything. */
export interface WhenConfig {
  methods?: readonly string[]
  headers?: Readonly<Record<string, ConditionConfig>>
  cookies?: Readonly<Record<string, ConditionConfig>>
  query?: Readonly<Record<string, ConditionConfig>>
}

export type ConditionConfig = boolean | string | readonly string[]

export interface DefaultsConfig {
  /** `false` passes everything through. Left out, the route obeys the origin's own fields. */
  cache?: false | CacheConfig
  /** Fields of the request to set, add or remove before the origin gets it. */
  requestHeaders?: HeaderRules
  /** Fields of the response to set, add or remove before the client gets it. */
  responseHeaders?: HeaderRules
  /** Lets pages of other sites read the answers, and answers their preflights. `true`: those of all sites. Default: as the origin says. */
  cors?: boolean | CorsConfig
  /** Tells browsers to come by https only (RFC 6797), on answers over https. `true`: for a year. Default: none. */
  hsts?: boolean | Duration
  /** Who may ask. Default: everybody. */
  access?: AccessConfig
  /** Bodies of our own error answers, by status ("404") or class ("5xx"). HTML if it begins with "<", else text. */
  errorPages?: Readonly<Record<string, string>>
}

/**
 * By name: text sets, `false` removes, `{ add }` leaves what is there. In text, `{client}`, `{host}`, `{path}`, `{url}`, `{method}`,
 * `{scheme}`, `{id}`, `{header.NAME}`, `{cookie.NAME}` and `{query.NAME}` stand for what the client sent; what comes out empty is removed.
 */
export type HeaderRules = Readonly<Record<string, string | false | { add: string }>>

export interface CorsConfig {
  /** Such as "https://www.example.com". Default: all. */
  origins?: readonly string[]
  /** Default: false. */
  credentials?: boolean
  /** Default: GET, HEAD, POST, PUT, PATCH, DELETE. */
  methods?: readonly string[]
  /** Request fields that pages may send. Default: whatever they ask for. */
  headers?: readonly string[]
  /** Response fields that pages may read besides the usual ones. Default: none. */
  expose?: readonly string[]
  /** For how long browsers may remember a preflight. Default: "1d". */
  maxAge?: Duration
}

export interface AccessConfig {
  /** Addresses and networks such as "10.0.0.0/8"; all others get 403. */
  allow?: readonly string[]
  /** Addresses and networks that get 403 whatever `allow` says. */
  deny?: readonly string[]
  /** Passwords by user name (RFC 7617); without one of them, 401. They do not go on to the origin. */
  basic?: Readonly<Record<string, string>>
  /** Secrets, any of which may have made the URL's signature with `signedUrl`; without a valid one, 403. */
  signedWith?: readonly string[]
}

export interface OriginRoute<OriginName extends string = string> {
  origin: OriginName
  /**
   * The path to ask the origin for, with `*` for what `match` found: "/feeds/*" to "/*.xml"; or a table of paths, which are then the only
   * ones that the route takes. The key stays what the client asked.
   */
  rewrite?: string | Readonly<Record<string, string>>
  /** `false`: the origin gets no query. Default: true. */
  keepQuery?: boolean
}

export interface RedirectRoute {
  /** Where to, with `*` for what `match` found; or a table of paths, which are then the only ones that the route takes. */
  redirect: string | Readonly<Record<string, string>>
  /** Whether the query goes along. Default: true. */
  keepQuery?: boolean
  /** Default: 301. */
  status?: 301 | 302 | 303 | 307 | 308
}

export interface RespondRoute {
  respond: { status: number; headers?: Readonly<Record<string, string>>; body?: string }
}

export interface CacheConfig {
  /** Freshness lifetime for responses that carry none. */
  defaultTtl?: Duration
  /** Freshness lifetime for responses of a status ("404") or a class of them ("4xx") that carry none. */
  ttlByStatus?: Readonly<Record<string, Duration>>
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
  /** Takes cookies out of requests and responses: for what is the same for everybody. Default: false. */
  stripCookies?: boolean
  /**
   * Compresses text, scripts and the like once, when they are stored: zstd, br or gzip, the first that the client takes. Leave it off
   * where a proxy before this cache does so. Default: false.
   */
  compress?: boolean
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
  /**
   * Query parameters that count: all, none, these, all but those ("utm_*"), or all but the known ones that only track people.
   * Sorted by name; an origin that is asked for everybody gets no others. Default: "all".
   */
  query?: 'all' | 'none' | 'no-tracking' | readonly string[] | IgnoredParameters
  /** Request fields that tell responses apart, besides those that Vary names. */
  headers?: readonly string[]
  /** Cookies that tell responses apart. */
  cookies?: readonly string[]
}

/** Query parameters that do not count; `*` at the end of a name stands for anything. */
export interface IgnoredParameters {
  ignore: readonly string[]
}

/** Checks a configuration at compile time: a route can only name an origin that exists. Changes nothing. */
export function defineConfig<const Origins extends OriginsConfig>(config: CdnConfig<Origins>): CdnConfig<Origins> {
  return config
}
