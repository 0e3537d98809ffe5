// The configuration as people write it, turned into routes with complete policies. What is exported here is the entry point
// `@simple-cdn/core/config`, for programs that check and show a configuration, or add options of their own to it.
import { checkConfig } from './check-config.ts'
import { type Mistake, mistakeLine, parseDuration, parseSize } from './checks.ts'
import type { CacheConfig, CdnConfig, Duration, OriginConfig, OriginsConfig, RespondRoute, RouteConfig } from './config.ts'
import { FLY_NETWORKS, PRIVATE_NETWORKS, TRUSTS_NOBODY, type Trust, trustOf } from './engine/client.ts'
import type { Settings } from './engine/generation.ts'
import { InFlight } from './engine/in-flight.ts'
import { CdnError } from './errors.ts'
import type { LogSink } from './log/sink.ts'
import { appOrigin } from './origins/app.ts'
import { httpOrigin } from './origins/http.ts'
import type { Origin } from './origins/origin.ts'
import { parameterName } from './policy/key.ts'
import { defaultPolicy, type Policy, rfcPolicy } from './policy/policy.ts'
import { type Match, parseMatch, type Route } from './policy/route.ts'
import { memoryStore } from './stores/memory.ts'
import type { Store } from './stores/store.ts'
import { tieredStore } from './stores/tiered.ts'

export * from './check-config.ts'
export * from './checks.ts'
export * from './config-warnings.ts'

/** A configuration with whatever origins. `CdnConfig<…>` fits in here and not in `CdnConfig`: routes name their own origins only. */
export type AnyConfig = Pick<CdnConfig, keyof CdnConfig>

export interface ResolvedConfig extends Settings {
  readonly store: Store
  readonly inFlight: InFlight
  /** `undefined`: the default sink. */
  readonly log: readonly LogSink[] | undefined
}

/** What CDN_CONFIG_INVALID carries besides its message. */
export interface ConfigError extends CdnError {
  readonly mistakes: readonly Mistake[]
}

const DEFAULT_MEMORY_BYTES = 256 * 1024 ** 2
const DEFAULT_SLICE_BYTES = 1024 ** 2
const DEFAULT_MAX_REQUEST_BODY_BYTES = 10 * 1024 ** 3

/** The message lists every mistake, one a line. */
export function configError(mistakes: readonly Mistake[]): ConfigError {
  const detail = mistakes.map((each) => `\n  ${mistakeLine(each)}`).join('')
  return Object.assign(new CdnError('CDN_CONFIG_INVALID', detail), { mistakes })
}

/** @throws ConfigError CDN_CONFIG_INVALID, whose message lists every mistake, one a line. */
export function resolveConfig(config: AnyConfig): ResolvedConfig {
  const settings = resolveSettings(config)
  const memoryBytes = parseSize(config.memory) ?? DEFAULT_MEMORY_BYTES
  // The rest is for what is stored, however much is on its way.
  const inFlight = new InFlight(memoryBytes / 2)
  return {
    ...settings,
    store: config.store ?? resolveStore(memoryBytes, inFlight, config.disk),
    inFlight,
    log: config.log,
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
  before?: { readonly config: AnyConfig; readonly settings: Settings },
): Settings {
  const mistakes = checkConfig(config)
  if (mistakes.length > 0) throw configError(mistakes)
  const rfc = config.semantics === 'rfc'
  const origins = new Map(
    Object.entries(config.origins).map(([name, origin]) => {
      const isSame = before?.config.semantics === config.semantics && isAlike(before?.config.origins[name], origin)
      const known = isSame ? before?.settings.origins[Object.keys(before.config.origins).indexOf(name)] : undefined
      return [name, known ?? resolveOrigin(name, origin, rfc)]
    }),
  )
  return {
    name: config.name ?? 'simple-cdn',
    routes: config.routes.map((route) => resolveRoute(route, origins, rfc ? rfcPolicy : defaultPolicy)),
    origins: [...origins.values()],
    sliceBytes: parseSize(config.slice) ?? DEFAULT_SLICE_BYTES,
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
  if (disk === undefined) return memoryStore({ maxBytes, taken: () => inFlight.held })
  const upper = memoryStore({ maxBytes, taken: () => inFlight.held + disk.stats().memoryBytes })
  return tieredStore({ upper, lower: disk })
}

function resolveOrigin(name: string, origin: OriginsConfig[string], lenientTransferCodings: boolean): Origin {
  if (typeof origin === 'function') return appOrigin(name, origin)
  if (typeof origin === 'object' && 'fetch' in origin) return origin
  const { url, host, connections, ...timeouts }: OriginConfig = typeof origin === 'string' ? { url: origin } : origin
  return httpOrigin({
    name,
    url,
    host,
    connections,
    connectTimeoutMs: milliseconds(timeouts.connectTimeout),
    headTimeoutMs: milliseconds(timeouts.headTimeout),
    bodyTimeoutMs: milliseconds(timeouts.bodyTimeout),
    lenientTransferCodings,
  })
}

function milliseconds(value: Duration | undefined): number | undefined {
  const seconds = parseDuration(value)
  return seconds === undefined ? undefined : seconds * 1000
}

function resolveRoute(route: RouteConfig, origins: ReadonlyMap<string, Origin>, base: Policy): Route<Origin> {
  const common = { name: route.name ?? route.match, match: parseMatch(route.match) as Match, methods: route.methods }
  if ('origin' in route && route.origin !== undefined) {
    const origin = origins.get(route.origin) as Origin
    return { ...common, kind: 'origin', origin, rewrite: route.rewrite, policy: resolvePolicy(route.cache, base) }
  }
  if ('redirect' in route && route.redirect !== undefined) {
    return { ...common, kind: 'redirect', location: route.redirect, status: route.status ?? 301 }
  }
  const { status, headers = {}, body = '' } = (route as RespondRoute).respond
  return { ...common, kind: 'respond', status, fields: respondFields(headers, body), body }
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
    staleWhileRevalidate: parseDuration(own.staleWhileRevalidate) ?? base.staleWhileRevalidate,
    staleIfError: parseDuration(own.staleIfError) ?? base.staleIfError,
    query: typeof key.query === 'object' ? key.query.map(parameterName) : (key.query ?? base.query),
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
