// What cdn.config.ts says: the configuration of the cache, and beside it that of the server.
import type { CdnConfig, Duration, OriginsConfig, PurgeConfig, Size } from '@simple-cdn/core'
import {
  type AnyConfig,
  type Check,
  checkConfig,
  configError,
  duration,
  httpUrl,
  integer,
  isRecord,
  listOf,
  type Mistake,
  mistake,
  oneOf,
  options,
  parseDuration,
  parseSize,
  shown,
  size,
  text,
} from '@simple-cdn/core/config'
import type { AdminOptions } from './admin.ts'
import type { ListenOptions } from './listen.ts'
import { cacheMemory, defaultMemory, machineMemory } from './memory.ts'
import type { PurgeHookConfig } from './purge-hooks.ts'

export interface ServerConfig {
  /** Name or address to listen on. Default: all interfaces. */
  host?: string
  /** 0 is any that is free. Default: 8080. */
  port?: number
  /** Requests on more connections than this are answered with 503. Default: 10,000. */
  maxConnections?: number
  /** Requests with a larger head are refused with 431. Default: "16kb". */
  maxHead?: Size
  /** Longest time for the head of a request to come in. Default: "15s". */
  headTimeout?: Duration
  /** Longest silence of a client in the middle of a body, its own or ours. Default: "60s". */
  bodyTimeout?: Duration
  /** Longest time that a connection stays open between two requests. Default: "75s". */
  idleTimeout?: Duration
  /** A WebSocket in which nothing comes from either side for so long is ended. Default: "1h". */
  tunnelTimeout?: Duration
  /** How long requests that are under way may take to finish when the server stops. Default: "30s". */
  grace?: Duration
  /** `false` for none. */
  admin?: false | AdminConfig
  /** With it, this server speaks HTTPS, and HTTP/2 with those who want it. Default: HTTP. */
  tls?: HttpsConfig
  /** Whether connections of `trustedProxies` begin with the PROXY protocol, version 1 or 2. Default: false. */
  proxyProtocol?: boolean
  /** Whether `simple-cdn start` loads the configuration anew when its files change; SIGHUP does so in any case. Default: true. */
  watch?: boolean
}

/** The certificate of this server. When the files change, the next handshake has the new one. */
export interface HttpsConfig {
  /** File with the certificate and those between it and its root, in PEM; a relative path begins beside the configuration. */
  cert: string
  /** File with its private key, in PEM. */
  key: string
}

/** The store on disk. */
export interface DiskConfig {
  /** Bound of all its files. Default: half of what is free, "10gb" at most. */
  size?: Size
  /** Where they lie. Default: `.simple-cdn/cache` beside the configuration. */
  folder?: string
}

/** The listener for whoever runs this: health, explanations, figures. Never the public one. */
export interface AdminConfig {
  /** Default: "127.0.0.1". */
  host?: string
  /** Default: any that is free, and `simple-cdn explain` finds it. */
  port?: number
  /** What a request must bring as `Authorization: Bearer …`. Default: one that is made at each start. */
  token?: string
}

/** Purges over the network, beside how they reach other machines. */
export interface PurgeAccessConfig extends PurgeConfig {
  /**
   * What a purge must bring as `Authorization: Bearer …` or `Fastly-Key`, with the method PURGE on the public listener, and on the admin listener,
   * where the admin token does as well. Default: none, and no PURGE.
   */
  token?: string | undefined
  /** More purges over the network than this in a minute get 429. Default: 1,000. */
  perMinute?: number
  /** Who is told of each purge that is asked for over the network here. Default: nobody. */
  webhooks?: readonly PurgeHookConfig[]
}

type CacheOptions<Origins extends OriginsConfig> = Omit<CdnConfig<Origins>, 'memory' | 'disk' | 'purge'>

/** The configuration of the cache, with that of the server. */
export interface ProgramConfig<Origins extends OriginsConfig = OriginsConfig> extends CacheOptions<Origins> {
  /** Bound of the whole process's memory. Default: 60 % of the machine's, or of the container's. At least "128mb". */
  memory?: Size
  /** Bound of the store on disk, in `.simple-cdn/cache` beside the configuration; `false` for none. Default: half of what is free, "10gb" at most. */
  disk?: false | Size | DiskConfig
  server?: ServerConfig
  /** Who may purge over the network, who is told, and how purges reach other machines. */
  purge?: PurgeAccessConfig
}

/** What `cdn.config.ts` exports: a configuration, or a function that makes one from the environment. */
export type ConfigSource<Origins extends OriginsConfig = OriginsConfig> =
  | ProgramConfig<Origins>
  | ((env: NodeJS.ProcessEnv) => ProgramConfig<Origins> | Promise<ProgramConfig<Origins>>)

/** Checks a configuration at compile time: a route can only name an origin that exists. Changes nothing. */
export function defineConfig<const Origins extends OriginsConfig>(config: ConfigSource<Origins>): ConfigSource<Origins> {
  return config
}

/** A `ProgramConfig` with whatever origins. */
export type AnyProgramConfig = Omit<AnyConfig, 'memory' | 'disk' | 'purge'> &
  Pick<ProgramConfig, 'memory' | 'disk' | 'server' | 'purge'>

export interface ResolvedServer {
  readonly listen: Omit<ListenOptions, 'onError' | 'certificate' | 'isProxy'>
  readonly tls: HttpsConfig | undefined
  readonly proxyProtocol: boolean
  readonly admin: AdminOptions | undefined
  readonly graceMs: number
  readonly tunnelTimeoutMs: number
}

/** A timer in Node takes no longer one, by far. */
const MAX_SECONDS = 86_400
const MAX_HEAD_BYTES = 1024 ** 2
/** A guess at it takes longer than the server lives. */
const MIN_TOKEN = 16

const LEAST_MEMORY = 128 * 1024 ** 2
const LEAST_DISK = 16 * 1024 ** 2
const MAX_BYTES = Number.MAX_SAFE_INTEGER

const diskSize = size(LEAST_DISK, MAX_BYTES)
const diskOptions = options({ size: diskSize, folder: text(() => undefined) })
const diskOption: Check = (value, path) => {
  if (value === false) return []
  return isRecord(value) ? diskOptions(value, path) : diskSize(value, path)
}

const timeout = duration(0.001, MAX_SECONDS)
export const port = integer(0, 65_535)
export const host = text((value) => (/^[\w.:-]+$/.test(value) ? undefined : `${shown(value)} is neither a name nor an address`))
export const token = text((value) =>
  /^[\x21-\x7e]+$/.test(value) && value.length >= MIN_TOKEN
    ? undefined
    : `write at least ${MIN_TOKEN} characters without white space`,
)

const file = text((value) => (value === '' ? 'is empty; write the path of a file' : undefined))

const adminOptions = options({ host, port, token })
const admin: Check = (value, path) => (value === false ? [] : adminOptions(value, path))

const serverOptions = options({
  host,
  port,
  maxConnections: integer(1, 1_000_000),
  maxHead: size(1024, MAX_HEAD_BYTES),
  headTimeout: timeout,
  bodyTimeout: timeout,
  idleTimeout: timeout,
  tunnelTimeout: timeout,
  grace: duration(0, MAX_SECONDS),
  admin,
  tls: options({ cert: file, key: file }, { cert: 'the file of the certificate', key: 'the file of its private key' }),
  proxyProtocol: oneOf(true, false),
  watch: oneOf(true, false),
})

const headers: Check = (value, path) =>
  isRecord(value)
    ? Object.entries(value).flatMap(([name, each]) => text(() => undefined)(each, `${path}.${name}`))
    : mistake(path, `is ${shown(value)}; write { Name: 'value' }`)

const purgeAccess = {
  token,
  perMinute: integer(1, 1_000_000),
  webhooks: listOf(options({ url: httpUrl('https://example.com/purged'), headers }, { url: 'who is to be told' }), 'webhooks'),
}

/** What of `purge` concerns the network here, and what the cache itself. */
export function dividedPurge({ token, perMinute, webhooks, ...cache }: PurgeAccessConfig = {}): {
  readonly access: Pick<PurgeAccessConfig, 'token' | 'perMinute' | 'webhooks'>
  readonly cache: PurgeConfig
} {
  return { access: { token, perMinute, webhooks } as PurgeAccessConfig, cache }
}

/** Every mistake of a configuration file; empty when it has none. Takes anything, and never throws. */
export function checkProgramConfig(config: unknown): readonly Mistake[] {
  if (!isRecord(config)) return checkConfig(config)
  const { server, memory, disk, purge, ...cache } = config
  const divided = isRecord(purge) ? dividedPurge(purge) : undefined
  return [
    ...checkConfig({
      ...cache,
      ...(purge !== undefined && { purge: divided?.cache ?? purge }),
      ...(memory === undefined || cache.store === undefined ? {} : { memory }),
    }),
    ...(memory === undefined ? [] : size(LEAST_MEMORY, MAX_BYTES)(memory, 'memory')),
    ...(disk === undefined ? [] : diskOption(disk, 'disk')),
    ...(server === undefined ? [] : serverOptions(server, 'server')),
    ...Object.entries(divided?.access ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : purgeAccess[name as keyof typeof purgeAccess](value, `purge.${name}`),
    ),
    ...(isRecord(server) && server.proxyProtocol === true && cache.trustedProxies === undefined
      ? mistake('server.proxyProtocol', 'is for connections of trustedProxies, and there are none; name them')
      : []),
  ]
}

/** What the process may take of memory, in bytes, and what of it the cache. */
export function memoryOf({ memory }: Pick<ProgramConfig, 'memory'>): { readonly process: number; readonly cache: number } {
  const bytes = parseSize(memory) ?? defaultMemory(machineMemory())
  return { process: bytes, cache: cacheMemory(bytes) }
}

/** @throws ConfigError CDN_CONFIG_INVALID, naming every mistake at once. */
export function resolveServer(server: ServerConfig): ResolvedServer {
  const mistakes = serverOptions(server, 'server')
  if (mistakes.length > 0) throw configError(mistakes)
  const { admin = {} } = server
  return {
    listen: {
      host: server.host,
      port: server.port ?? 8080,
      maxConnections: server.maxConnections ?? 10_000,
      maxHeadBytes: parseSize(server.maxHead) ?? 16 * 1024,
      headTimeoutMs: milliseconds(server.headTimeout ?? '15s'),
      bodyTimeoutMs: milliseconds(server.bodyTimeout ?? '60s'),
      idleTimeoutMs: milliseconds(server.idleTimeout ?? '75s'),
    },
    admin: admin === false ? undefined : { host: admin.host ?? '127.0.0.1', port: admin.port ?? 0, token: admin.token },
    tls: server.tls,
    proxyProtocol: server.proxyProtocol ?? false,
    graceMs: milliseconds(server.grace ?? '30s'),
    tunnelTimeoutMs: milliseconds(server.tunnelTimeout ?? '1h'),
  }
}

function milliseconds(value: Duration): number {
  return Math.ceil((parseDuration(value) as number) * 1000)
}
