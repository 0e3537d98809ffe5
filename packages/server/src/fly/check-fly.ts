// Whether fly.toml and the configuration fit each other, and whether Fly will do with the machines what a cache needs. One rule, one function.
import { posix } from 'node:path'
import { isRecord, type Mistake, mistake, parseDuration, parseSize, Router, resolveConfig, shown } from '@simple-cdn/core/config'
import { type AnyProgramConfig, memoryOf, resolveServer } from '../config.ts'
import { defaultMemory } from '../memory.ts'
import { type Table, tableIn, tablesIn } from './toml.ts'

/** What is compared with one another. */
export interface FlyProject {
  /** fly.toml. */
  readonly fly: Table
  /** Checked, and loaded with the environment that `flyEnvironment` gives. */
  readonly config: AnyProgramConfig
  /** The folder of the configuration on a machine: the image's working directory, "/app". `undefined`: not known. */
  readonly folder: string | undefined
}

type Rule = (project: FlyProject) => readonly Mistake[]

const MB = 1024 ** 2
const GB = 1024 ** 3
/** Fly waits no longer for a machine to end. */
const MOST_SECONDS = 300
/** `maxFlushMs` of a spool: how long a sink may upload when the server stops. */
const FLUSH_SECONDS = 10
/** `maxBytes` of a spool: the queue of one sink. */
const SPOOL_BYTES = GB
/** What the process may have of the machine; the rest is the kernel's, and room to be wrong. */
const MOST_MEMORY = 0.8
/** What of a volume files can take: the rest is the file system's own. */
const MOST_OF_VOLUME = 0.95

/** Memory of Fly's sizes in MiB, where `memory` does not say. */
const SIZES: Readonly<Record<string, number>> = {
  'shared-cpu-1x': 256,
  'shared-cpu-2x': 512,
  'shared-cpu-4x': 1024,
  'shared-cpu-8x': 2048,
  'performance-1x': 2048,
  'performance-2x': 4096,
  'performance-4x': 8192,
  'performance-8x': 16_384,
  'performance-16x': 32_768,
}

/** Every mistake, in the order of the rules. */
export function checkFly(project: FlyProject): readonly Mistake[] {
  return RULES.flatMap((rule) => rule(project))
}

/** What a machine has in its environment, as far as fly.toml tells: for the configuration to be loaded as it will be there. */
export function flyEnvironment(fly: Table): Readonly<Record<string, string>> {
  const env = Object.entries(tableIn(fly, 'env')).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []))
  const region = text(fly.primary_region) ?? 'iad'
  return {
    ...Object.fromEntries(env),
    FLY_APP_NAME: text(fly.app) ?? 'app',
    FLY_REGION: region,
    PRIMARY_REGION: region,
    FLY_MACHINE_ID: '00000000000000',
    FLY_PRIVATE_IP: 'fdaa::3',
    FLY_VM_MEMORY_MB: String(machineBytes(fly) / MB),
  }
}

interface Service {
  readonly path: string
  readonly table: Table
  readonly checks: readonly { readonly table: Table; readonly path: string }[]
  /** `http_service`, which listens on 80 and 443 by itself. */
  readonly isHttp: boolean
}

/** What leads to the public listener. With both kinds, `http_service`: the mix is a mistake of its own. */
function servicesIn(fly: Table): readonly Service[] {
  const [http] = tablesIn(fly, 'http_service')
  if (http !== undefined) return [{ ...http, checks: tablesIn(http.table, 'checks', http.path), isHttp: true }]
  return tablesIn(fly, 'services').map(({ table, path }) => ({
    table,
    path,
    checks: [...tablesIn(table, 'http_checks', path), ...tablesIn(table, 'checks', path)],
    isHttp: false,
  }))
}

const eachService =
  (rule: (service: Service, project: FlyProject) => readonly Mistake[]): Rule =>
  (project) =>
    servicesIn(project.fly).flatMap((service) => rule(service, project))

const oneKindOfService: Rule = ({ fly }) => {
  const has = (key: string): boolean => tablesIn(fly, key).length > 0
  if (has('services') && has('http_service'))
    return mistake(
      tablesIn(fly, 'services')[0]?.path ?? 'services',
      'stands beside [http_service], and requests go now one way, now the other; keep [http_service] alone',
    )
  if (!has('services') && !has('http_service'))
    return mistake('http_service', 'is missing: nobody can reach the machines; write [http_service] with internal_port')
  return []
}

const port = eachService(({ table, path }, { fly, config }) => {
  const { listen } = resolveServer(config.server ?? {})
  const variable = text(tableIn(fly, 'env').PORT)
  const listening = variable === undefined ? listen.port : Number(variable)
  const says = variable === undefined ? 'server.port' : 'PORT in [env]'
  return table.internal_port === listening
    ? []
    : mistake(
        `${path}.internal_port`,
        `is ${shownOr(table.internal_port, 'missing')}, and simple-cdn listens on ${listening} (${says}); write ${listening}`,
      )
})

const host = eachService(({ path }, { config }) => {
  const { host } = config.server ?? {}
  return host !== undefined && !['0.0.0.0', '::'].includes(host)
    ? mistake(path, `cannot reach simple-cdn, which listens on ${host} only (server.host); leave server.host out`)
    : []
})

const plainHttp = eachService(({ table, path }, { config }) => {
  const { tls, proxyProtocol } = config.server ?? {}
  const options = tableIn(table, 'http_options')
  return [
    ...(tls === undefined
      ? []
      : mistake(
          path,
          "speaks plain HTTP to the machine, which expects TLS (server.tls); leave server.tls out: Fly's proxy ends TLS",
        )),
    ...(proxyProtocol === true
      ? mistake(path, 'does not speak the PROXY protocol (server.proxyProtocol); leave that out, and write trustedProxies: "fly"')
      : []),
    ...(options.h2_backend === true
      ? mistake(`${path}.http_options.h2_backend`, 'is true, and simple-cdn speaks HTTP/2 over TLS only; leave it out')
      : []),
  ]
})

const trust = eachService(({ path }, { config }) =>
  config.trustedProxies === undefined
    ? mistake(path, `makes every request come from Fly's proxy, over http; write trustedProxies: 'fly' in the configuration`)
    : [],
)

const admin: Rule = ({ fly, config }) => {
  const { admin } = resolveServer(config.server ?? {})
  return [...tablesIn(fly, 'services'), ...tablesIn(fly, 'http_service')].flatMap(({ table, path }) =>
    admin !== undefined && admin.port !== 0 && table.internal_port === admin.port
      ? mistake(
          `${path}.internal_port`,
          `is ${admin.port}, the admin listener (server.admin.port), which would be public; reach that over the private network`,
        )
      : [],
  )
}

const concurrency = eachService(({ table, path }, { config }) => {
  const limits = tableIn(table, 'concurrency')
  const own = `${path}.concurrency`
  const { soft_limit: soft, hard_limit: hard } = limits
  const { maxConnections } = resolveServer(config.server ?? {}).listen
  if (table.concurrency === undefined)
    return mistake(
      own,
      'is missing: Fly would count connections, 20 at a time; write type = "requests", soft_limit and hard_limit',
    )
  return [
    ...(limits.type === 'requests'
      ? []
      : mistake(`${own}.type`, `is ${shownOr(limits.type, 'missing')}: idle connections would count as load; write "requests"`)),
    ...(typeof soft === 'number' && typeof hard === 'number'
      ? []
      : mistake(own, 'needs soft_limit and hard_limit, as numbers of requests at a time')),
    ...(typeof soft === 'number' && typeof hard === 'number' && soft > hard
      ? mistake(`${own}.soft_limit`, `is ${soft}, above hard_limit, which is ${hard}; write less`)
      : []),
    ...(typeof hard === 'number' && hard > maxConnections
      ? mistake(
          `${own}.hard_limit`,
          `is ${hard}, and simple-cdn refuses more than ${maxConnections} connections (server.maxConnections); write ${maxConnections}`,
        )
      : []),
  ]
})

const stopping = eachService(({ table, path }) => {
  const { auto_stop_machines: stop } = table
  return stop === 'off' || stop === false
    ? []
    : mistake(
        `${path}.auto_stop_machines`,
        `is ${shownOr(stop, 'missing')}: a machine that stops forgets what it has in memory, and the next request waits; write "off"`,
      )
})

const health = eachService(({ checks, path }, { config }) => {
  if (checks.length === 0)
    return mistake(
      `${path}.checks`,
      'is missing: requests would go to a machine that does not answer; write [[http_service.checks]] with a path that a route answers itself',
    )
  const { server: _, memory: __, disk: ___, store: ____, purge: _____, ...cache } = config
  const router = new Router(resolveConfig(cache).routes)
  return checks.flatMap(({ table, path }) => {
    const own = `${path}.path`
    const asked = text(table.path) ?? '/'
    const headers = Object.entries(tableIn(table, 'headers')).map(([name, value]) => [name.toLowerCase(), value])
    const scheme = Object.fromEntries(headers)['x-forwarded-proto'] === 'https' ? 'https' : 'http'
    const route = router.find(scheme, 'machine.internal', asked)?.route
    if (route === undefined)
      return mistake(own, `is "${asked}", and no route answers it; write one: { match: "${asked}", respond: { status: 204 } }`)
    if (route.kind === 'origin')
      return mistake(
        own,
        `is "${asked}", for which the route "${route.name}" asks an origin: when that fails, every machine is taken out; write a route that answers itself`,
      )
    const answers = route.kind === 'respond' ? `answers with ${route.status}` : 'redirects'
    return route.kind === 'respond' && route.status < 300
      ? []
      : mistake(own, `is "${asked}", which the route "${route.name}" ${answers}; a check needs 200 to 299, over plain http`)
  })
})

const ending: Rule = ({ fly, config }) => {
  const { graceMs } = resolveServer(config.server ?? {})
  const { kill_signal: signal, kill_timeout: timeout } = fly
  const needs = Math.ceil(graceMs / 1000) + FLUSH_SECONDS
  const seconds = timeout === undefined ? 5 : parseDuration(timeout)
  return [
    ...(signal === undefined || signal === 'SIGTERM' || signal === 'SIGINT'
      ? []
      : mistake('kill_signal', `is ${shown(signal)}, on which simple-cdn does not finish what is under way; write "SIGTERM"`)),
    ...(seconds !== undefined && seconds >= needs
      ? []
      : mistake(
          'kill_timeout',
          `is ${timeout === undefined ? 'missing, which means 5 seconds' : shown(timeout)}; ${graceMs / 1000} s for requests (server.grace) and ${FLUSH_SECONDS} s for logs make ${needs}`,
        )),
    ...(seconds !== undefined && seconds > MOST_SECONDS
      ? mistake(
          'kill_timeout',
          `is ${shown(timeout)}, and Fly waits ${MOST_SECONDS} s at most; write less, and a shorter server.grace`,
        )
      : []),
  ]
}

const deploying: Rule = ({ fly }) => {
  const { strategy } = tableIn(fly, 'deploy')
  const hasVolume = tablesIn(fly, 'mounts').length > 0
  if (strategy === 'immediate')
    return mistake('deploy.strategy', 'is "immediate": all machines would be away at once; write "rolling"')
  if (hasVolume && (strategy === 'canary' || strategy === 'bluegreen'))
    return mistake('deploy.strategy', `is ${shown(strategy)}, and a volume cannot be on two machines; write "rolling"`)
  return []
}

const memory: Rule = ({ fly, config }) => {
  const machine = machineBytes(fly)
  const process = config.memory === undefined ? defaultMemory(machine) : memoryOf(config).process
  if (process <= machine * MOST_MEMORY) return []
  const path = vmIn(fly)?.path ?? 'vm'
  const asked = config.memory === undefined ? 'at least' : `${shown(config.memory)} (memory), that is`
  return mistake(
    path,
    `has ${machine / MB} MB, and simple-cdn takes ${asked} ${Math.round(process / MB)} MB; give the machine ${Math.ceil(process / MOST_MEMORY / MB)} MB, or the cache less`,
  )
}

const volume: Rule = ({ fly, config, folder }) => {
  const mounts = tablesIn(fly, 'mounts')
  const { disk } = config
  const usesDisk = disk !== false && config.store === undefined
  const spools = (config.log ?? []).filter(({ replay }) => replay !== undefined).length
  const [mount, second] = mounts
  const what = [
    ...(usesDisk ? ['what is cached (disk)'] : []),
    ...(spools > 0 ? ['log lines that wait to be uploaded'] : []),
  ].join(' and ')
  if (mount === undefined)
    return what === ''
      ? []
      : mistake(
          'mounts',
          `is missing: ${what} would be gone with each deployment; write [[mounts]]${usesDisk ? ', or disk: false' : ''}`,
        )
  const { table, path } = mount
  return [
    ...(second !== undefined && second.table.processes === undefined
      ? mistake(second.path, 'is a second volume, and a machine has one; keep one')
      : []),
    // Though nothing is seen to be written to it: a sink may be there only with a secret, which no file names.
    ...destinationFault(table, path, disk, folder),
    ...sizeFault(table, path, usesDisk ? disk : undefined, spools),
  ]
}

function destinationFault(
  table: Table,
  path: string,
  disk: AnyProgramConfig['disk'],
  folder: string | undefined,
): readonly Mistake[] {
  const named = isRecord(disk) ? text(disk.folder) : undefined
  const data = named?.startsWith('/') ? named : folder && posix.join(folder, named ?? '.simple-cdn')
  const destination = text(table.destination)
  if (destination === undefined) return mistake(`${path}.destination`, `is missing; write ${shown(data ?? '/app/.simple-cdn')}`)
  if (data === undefined || `${data}/`.startsWith(`${posix.join(destination, '/')}`)) return []
  return mistake(`${path}.destination`, `is ${shown(destination)}, and simple-cdn writes to ${data}; write ${shown(data)}`)
}

function sizeFault(table: Table, path: string, disk: AnyProgramConfig['disk'], spools: number): readonly Mistake[] {
  const written = isRecord(disk) ? disk.size : disk
  const cache = parseSize(written)
  const bytes = (cache ?? 0) + spools * SPOOL_BYTES
  const room = flySize(table.initial_size, GB) ?? GB
  if (bytes <= room * MOST_OF_VOLUME) return []
  const what = [
    ...(cache === undefined ? [] : [`${shown(written)} for the cache (disk)`]),
    ...(spools > 0 ? [`${spools} GiB for log lines`] : []),
  ]
  return mistake(
    `${path}.initial_size`,
    `is ${shownOr(table.initial_size, 'missing, which means 1gb')}, too little for ${what.join(' and ')}; write "${Math.ceil(bytes / GB / MOST_OF_VOLUME)}gb"`,
  )
}

/** Names that are for `fly secrets`: whoever can read the repository can read [env]. */
const SECRET = /TOKEN|SECRET|PASSWORD|PRIVATE_KEY|ACCESS_KEY/i

const environment: Rule = ({ fly }) =>
  Object.keys(tableIn(fly, 'env')).flatMap((name) => {
    if (name.startsWith('FLY_')) return mistake(`env.${name}`, 'has a name that is for Fly; choose another')
    return SECRET.test(name) ? mistake(`env.${name}`, `is no secret here; take it out, and \`fly secrets set ${name}=…\``) : []
  })

const RULES: readonly Rule[] = [
  oneKindOfService,
  port,
  host,
  plainHttp,
  trust,
  admin,
  concurrency,
  stopping,
  health,
  ending,
  deploying,
  memory,
  volume,
  environment,
]

/** The [[vm]] that is for all processes. */
function vmIn(fly: Table): { readonly table: Table; readonly path: string } | undefined {
  const all = tablesIn(fly, 'vm')
  return all.find(({ table }) => table.processes === undefined) ?? all[0]
}

function machineBytes(fly: Table): number {
  const { table = {} } = vmIn(fly) ?? {}
  const size = SIZES[text(table.size) ?? 'shared-cpu-1x'] ?? SIZES['shared-cpu-1x']
  return flySize(table.memory ?? table.memory_mb, MB) ?? (size as number) * MB
}

/** "10gb", "10GB", or a number of `unit`. */
function flySize(value: unknown, unit: number): number | undefined {
  if (typeof value === 'number') return value * unit
  const [, amount, name] = /^(\d+)\s*(kb|mb|gb|)$/i.exec(text(value) ?? '') ?? []
  if (amount === undefined) return undefined
  return name === '' ? Number(amount) * unit : parseSize(`${amount}${name?.toLowerCase()}`)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function shownOr(value: unknown, missing: string): string {
  return value === undefined ? missing : shown(value)
}
