// The configuration as people write it, turned into routes with complete policies. What is exported here is the entry point
// `@simple-cdn/core/config`, for programs that check and show a configuration, or add options of their own to it.
import { checkConfig } from './check-config.ts'
import { parseStatuses } from './check-origins.ts'
import { type Mistake, mistakeLine, parseDuration, parseSize } from './checks.ts'
import type {
  AccessConfig,
  CacheConfig,
  CdnConfig,
  ConditionConfig,
  CorsConfig,
  DefaultsConfig,
  Duration,
  HeaderRules,
  KeyConfig,
  OriginConfig,
  OriginsConfig,
  RespondRoute,
  RouteConfig,
  WhenConfig,
} from './config.ts'
import { passwordDigest } from './engine/access.ts'
import { FLY_NETWORKS, networksOf, PRIVATE_NETWORKS, TRUSTS_NOBODY, type Trust, trustOf } from './engine/client.ts'
import type { Settings } from './engine/generation.ts'
import { InFlight } from './engine/in-flight.ts'
import type { PurgeBus } from './engine/purge-bus.ts'
import { CdnError } from './errors.ts'
import { type Clock, type Millis, systemClock } from './http/time.ts'
import type { LogSink } from './log/sink.ts'
import { appOrigin } from './origins/app.ts'
import { withFallback } from './origins/fallback.ts'
import { httpOrigin } from './origins/http.ts'
import type { Origin } from './origins/origin.ts'
import type { Access } from './policy/access.ts'
import { type Condition, type Conditions, parseValuePattern } from './policy/conditions.ts'
import type { Cors } from './policy/cors.ts'
import { type FieldRule, parseTemplate, type Template } from './policy/field-rules.ts'
import { parameterName } from './policy/key.ts'
import { defaultPolicy, type Policy, rfcPolicy } from './policy/policy.ts'
import { type ErrorPage, type Match, parseMatch, type Route } from './policy/route.ts'
import { TRACKING } from './policy/tracking.ts'
import { memoryStore, memoryStoreOf } from './stores/memory.ts'
import type { Store } from './stores/store.ts'
import { tieredStore } from './stores/tiered.ts'

export * from './check-config.ts'
export * from './checks.ts'
export * from './config-warnings.ts'
export { Router } from './policy/router.ts'

/** A configuration with whatever origins. `CdnConfig<…>` fits in here and not in `CdnConfig`: routes name their own origins only. */
export type AnyConfig = Pick<CdnConfig, keyof CdnConfig>

export interface ResolvedConfig extends Settings {
  readonly store: Store
  readonly inFlight: InFlight
  /** `undefined`: the default sink. */
  readonly log: readonly LogSink[] | undefined
  readonly bus: PurgeBus | undefined
  readonly trustForMs: Millis
}

/** What CDN_CONFIG_INVALID carries besides its message. */
export interface ConfigError extends CdnError {
  readonly mistakes: readonly Mistake[]
}

const YEAR = 31_536_000
const DEFAULT_MEMORY_BYTES = 256 * 1024 ** 2
const DEFAULT_MAX_REQUEST_BODY_BYTES = 10 * 1024 ** 3

/** The message lists every mistake, one a line. */
export function configError(mistakes: readonly Mistake[]): ConfigError {
  const detail = mistakes.map((each) => `\n  ${mistakeLine(each)}`).join('')
  return Object.assign(new CdnError('CDN_CONFIG_INVALID', detail), { mistakes })
}

/** @throws ConfigError CDN_CONFIG_INVALID, whose message lists every mistake, one a line. */
export function resolveConfig(config: AnyConfig, clock: Clock = systemClock): ResolvedConfig {
  const settings = resolveSettings(config, clock)
  const memoryBytes = parseSize(config.memory) ?? DEFAULT_MEMORY_BYTES
  // The rest is for what is stored, however much is on its way.
  const inFlight = new InFlight(memoryBytes / 2)
  return {
    ...settings,
    store: config.store ?? resolveStore(memoryBytes, inFlight, config.disk),
    inFlight,
    log: config.log,
    bus: config.purge?.bus,
    trustForMs: (parseDuration(config.purge?.trustFor) ?? Number.POSITIVE_INFINITY) * 1000,
  }
}

/**
 * What of a configuration can replace another while requests are under way. An origin that is written as in `before` stays
 * the same one, with its connections.
 *
 * @throws ConfigError CDN_CONFIG_INVALID, whose message lists every mistake, one a line.
 */
export function resolveSettings(
  config: AnyConfig,
  clock: Clock,
  before?: { readonly config: AnyConfig; readonly settings: Settings },
): Settings {
  const mistakes = checkConfig(config)
  if (mistakes.length > 0) throw configError(mistakes)
  const rfc = config.semantics === 'rfc'
  const origins = resolveOrigins(config.origins, rfc, clock, (name) => {
    const index = Object.keys(before?.config.origins ?? {}).indexOf(name)
    return before !== undefined && isSame(before.config, config, name) ? before.settings.origins[index] : undefined
  })
  return {
    name: config.name ?? 'simple-cdn',
    routes: config.routes.map((route) =>
      resolveRoute(withDefaults(route, config.defaults), origins, rfc ? rfcPolicy : defaultPolicy),
    ),
    origins: [...origins.values()],
    sliceBytes: parseSize(config.slice),
    trust: resolveTrust(config.trustedProxies),
    maxRequestBodyBytes: parseSize(config.maxRequestBody) ?? DEFAULT_MAX_REQUEST_BODY_BYTES,
  }
}

/** Whose word about the client counts. Elsewhere than on Fly, nobody is Fly Proxy, and whoever is in its networks is somebody else. */
export function resolveTrust(trusted: CdnConfig['trustedProxies']): Trust {
  if (trusted === undefined) return TRUSTS_NOBODY
  if (trusted === 'private') return trustOf(PRIVATE_NETWORKS)
  if (trusted !== 'fly') return trustOf(trusted)
  return process.env.FLY_APP_NAME === undefined ? TRUSTS_NOBODY : trustOf(FLY_NETWORKS, true)
}

/** The same text, the same app, or an object that says the same. Objects with methods may be different ones that look alike. */
function isAlike(one: OriginsConfig[string] | undefined, other: OriginsConfig[string]): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || 'fetch' in one || 'fetch' in other) return false
  return JSON.stringify(one) === JSON.stringify(other)
}

/** The memory store, which makes room for all else that takes memory, over a disk if there is one. */
function resolveStore(maxBytes: number, inFlight: InFlight, disk: Store | undefined): Store {
  if (disk === undefined) return memoryStoreOf({ maxBytes, taken: () => inFlight.held }, inFlight.reuse)
  const upper = memoryStore({ maxBytes, taken: () => inFlight.held + disk.stats().memoryBytes })
  return tieredStore({ upper, lower: disk })
}

/** `known` gives those that stay from a configuration before. */
function resolveOrigins(
  config: OriginsConfig,
  lenientTransferCodings: boolean,
  clock: Clock,
  known: (name: string) => Origin | undefined,
): ReadonlyMap<string, Origin> {
  const made = new Map<string, Origin>()
  const make = (name: string): Origin => {
    const before = made.get(name) ?? known(name)
    const origin = before ?? resolveOrigin(name, config[name] as OriginsConfig[string], lenientTransferCodings, clock)
    const fallback = before === undefined ? fallbackOf(config[name]) : undefined
    const whole = fallback === undefined ? origin : withFallback(origin, make(fallback))
    made.set(name, whole)
    return whole
  }
  return new Map(Object.keys(config).map((name) => [name, make(name)]))
}

function fallbackOf(origin: OriginsConfig[string] | undefined): string | undefined {
  return typeof origin === 'object' && !('fetch' in origin) ? origin.fallback : undefined
}

/** Whether an origin is written as it was, and so are those that stand in for it. */
function isSame(before: AnyConfig, config: AnyConfig, name: string): boolean {
  if (before.semantics !== config.semantics || !isAlike(before.origins[name], config.origins[name] as OriginsConfig[string]))
    return false
  const fallback = fallbackOf(config.origins[name])
  return fallback === undefined || isSame(before, config, fallback)
}

function resolveOrigin(name: string, origin: OriginsConfig[string], lenientTransferCodings: boolean, clock: Clock): Origin {
  if (typeof origin === 'function') return appOrigin(name, origin)
  if (typeof origin === 'object' && 'fetch' in origin) return origin
  const {
    connectTimeout,
    headTimeout,
    bodyTimeout,
    resolveEvery,
    health,
    breaker,
    fallback: _,
    ...same
  }: OriginConfig = typeof origin === 'string' ? { url: origin } : origin
  return httpOrigin({
    ...same,
    name,
    connectTimeoutMs: milliseconds(connectTimeout),
    headTimeoutMs: milliseconds(headTimeout),
    bodyTimeoutMs: milliseconds(bodyTimeout),
    resolveEveryMs: milliseconds(resolveEvery),
    health: health && {
      path: health.path,
      everyMs: milliseconds(health.every),
      timeoutMs: milliseconds(health.timeout),
      expect: health.expect === undefined ? undefined : parseStatuses(health.expect),
      threshold: health.threshold,
      window: health.window,
    },
    breaker: breaker && {
      failures: breaker.failures,
      pauseMs: milliseconds(breaker.pause),
      maxPauseMs: milliseconds(breaker.maxPause),
    },
    lenientTransferCodings,
    clock,
  })
}

function milliseconds(value: Duration | undefined): number | undefined {
  const seconds = parseDuration(value)
  return seconds === undefined ? undefined : seconds * 1000
}

function withDefaults(route: RouteConfig, defaults: DefaultsConfig = {}): RouteConfig {
  const merged = (name: 'requestHeaders' | 'responseHeaders' | 'errorPages') => ({ ...defaults[name], ...route[name] })
  const [requestHeaders, responseHeaders] = [merged('requestHeaders'), merged('responseHeaders')] as HeaderRules[]
  const errorPages = merged('errorPages') as Readonly<Record<string, string>>
  const cache =
    typeof route.cache === 'object' && defaults.cache ? { ...defaults.cache, ...route.cache } : (route.cache ?? defaults.cache)
  return { ...defaults, ...route, requestHeaders, responseHeaders, errorPages, cache } as RouteConfig
}

function resolveRoute(route: RouteConfig, origins: ReadonlyMap<string, Origin>, base: Policy): Route<Origin> {
  const patterns = typeof route.match === 'string' ? [route.match] : route.match
  const led = 'origin' in route && route.origin !== undefined ? route.rewrite : 'redirect' in route ? route.redirect : undefined
  const common = {
    name: route.name ?? patterns.join(' '),
    matches: patterns.map((each) => parseMatch(each) as Match),
    when: resolveWhen(route.when),
    methods: route.methods,
    table: typeof led === 'object' ? new Map(Object.entries(led)) : undefined,
    keepsQuery: !('keepQuery' in route && route.keepQuery === false),
    access: resolveAccess(route.access),
    cors: resolveCors(route.cors),
    requestRules: resolveRules(route.requestHeaders),
    responseRules: [...resolveHsts(route.hsts), ...resolveRules(route.responseHeaders)],
    errorPages: new Map(Object.entries(route.errorPages ?? {}).map(([status, body]) => [status, errorPage(body)])),
  }
  const to = typeof led === 'string' ? led : undefined
  if ('origin' in route && route.origin !== undefined) {
    const origin = origins.get(route.origin) as Origin
    return { ...common, kind: 'origin', origin, rewrite: to, policy: resolvePolicy(route.cache, base) }
  }
  if ('redirect' in route && route.redirect !== undefined) {
    return { ...common, kind: 'redirect', location: to, status: route.status ?? 301 }
  }
  const { status, headers = {}, body = '' } = (route as RespondRoute).respond
  return { ...common, kind: 'respond', status, fields: respondFields(headers, body), body }
}

function resolveWhen(when: WhenConfig | undefined): Conditions | undefined {
  if (when === undefined) return undefined
  const byName = (conditions: Readonly<Record<string, ConditionConfig>> = {}, nameOf = (name: string) => name) =>
    new Map(Object.entries(conditions).map(([name, wanted]) => [nameOf(name), resolveCondition(wanted)] as const))
  return {
    methods: when.methods,
    headers: byName(when.headers, (name) => name.toLowerCase()),
    cookies: byName(when.cookies),
    query: byName(when.query),
  }
}

function resolveCondition(wanted: ConditionConfig): readonly Condition[] {
  if (typeof wanted === 'boolean') return [wanted]
  return (typeof wanted === 'string' ? [wanted] : wanted).map(parseValuePattern)
}

function resolveRules(rules: HeaderRules = {}): readonly FieldRule[] {
  return Object.entries(rules).map(([name, wanted]) => {
    const value = typeof wanted === 'object' ? wanted.add : wanted
    return {
      name,
      lower: name.toLowerCase(),
      value: value === false ? undefined : (parseTemplate(value) as Template),
      adds: typeof wanted === 'object',
    }
  })
}

/** Over plain HTTP it must not be said (RFC 6797 §7.2). */
function resolveHsts(hsts: DefaultsConfig['hsts']): readonly FieldRule[] {
  if (hsts === undefined || hsts === false) return []
  const seconds = hsts === true ? YEAR : (parseDuration(hsts) as number)
  return [
    {
      name: 'Strict-Transport-Security',
      lower: 'strict-transport-security',
      value: [`max-age=${seconds}`],
      adds: false,
      onlyOver: 'https',
    },
  ]
}

function resolveCors(cors: boolean | CorsConfig | undefined): Cors | undefined {
  if (cors === undefined || cors === false) return undefined
  const { origins, credentials = false, methods, headers, expose = [], maxAge } = cors === true ? {} : cors
  return {
    origins: origins === undefined ? '*' : new Set(origins),
    credentials,
    methods: (methods ?? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).join(', '),
    headers: headers === undefined ? '*' : headers.join(', '),
    expose: expose.join(', '),
    maxAge: parseDuration(maxAge) ?? 86_400,
  }
}

function resolveAccess(access: AccessConfig | undefined): Access | undefined {
  if (access === undefined) return undefined
  const { allow, deny, basic, signedWith } = access
  return {
    allow: allow && networksOf(allow),
    deny: deny && networksOf(deny),
    basic: basic && Object.entries(basic).map(([name, password]) => passwordDigest(name, password)),
    signedWith,
  }
}

function errorPage(body: string): ErrorPage {
  return { type: `text/${body.trimStart().startsWith('<') ? 'html' : 'plain'}; charset=utf-8`, body }
}

function resolveQuery(query: KeyConfig['query']): Policy['query'] | undefined {
  if (query === 'no-tracking') return { ignore: TRACKING }
  if (typeof query !== 'object') return query
  return 'ignore' in query ? { ignore: query.ignore.map(parameterName) } : query.map(parameterName)
}

/** A body of no stated type would be guessed at by browsers. */
function respondFields(headers: Readonly<Record<string, string>>, body: string): readonly string[] {
  const fields = Object.entries(headers).flat()
  const typed = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  return body === '' || typed ? fields : [...fields, 'Content-Type', 'text/plain; charset=utf-8']
}

function resolvePolicy(cache: false | CacheConfig | undefined, base: Policy): Policy {
  if (cache === false) return { ...base, cache: false }
  if (cache === undefined) return base
  const { key = {}, ...own } = cache
  const selectOn = [...lowerCase(key.headers ?? []), ...(key.cookies ?? []).map((name) => `cookie:${name}`)]
  return {
    ...base,
    defaultTtl: parseDuration(own.defaultTtl) ?? base.defaultTtl,
    overrideTtl: parseDuration(own.overrideTtl) ?? base.overrideTtl,
    ttlByStatus: new Map(Object.entries(own.ttlByStatus ?? {}).map(([status, ttl]) => [status, parseDuration(ttl) as number])),
    stripCookies: own.stripCookies ?? base.stripCookies,
    compress: own.compress ?? base.compress,
    staleWhileRevalidate: parseDuration(own.staleWhileRevalidate) ?? base.staleWhileRevalidate,
    staleIfError: parseDuration(own.staleIfError) ?? base.staleIfError,
    query: resolveQuery(key.query) ?? base.query,
    selectOn,
    bypassCookies: own.bypassCookies ?? base.bypassCookies,
    targetedFields: own.targetedFields === undefined ? base.targetedFields : lowerCase(own.targetedFields),
    honorRequestDirectives: own.honorRequestDirectives ?? base.honorRequestDirectives,
    maxBodyBytes: parseSize(own.maxBody) ?? base.maxBodyBytes,
    finishShare: finishShare(own.finishAbandoned) ?? base.finishShare,
  }
}

function finishShare(finish: CacheConfig['finishAbandoned']): number | undefined {
  if (finish === false) return Number.POSITIVE_INFINITY
  return finish === true ? 0 : finish
}

function lowerCase(names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase())
}
