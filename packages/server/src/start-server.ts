// startServer(): the cache behind a listener, with an admin listener beside it.
import { type CdnStats, createCdn, stdoutSink, systemClock } from '@simple-cdn/core'
import { configError, configWarnings, mistakeLine, resolveTrust } from '@simple-cdn/core/config'
import { toHttp2Handler, toNodeHandler, toUpgradeHandler } from '@simple-cdn/core/node'
import { type Admin, listenAdmin } from './admin.ts'
import { certificateFiles, readCertificate } from './certificate-files.ts'
import { type AnyProgramConfig, checkProgramConfig, dividedPurge, memoryOf, resolveServer, type ServerConfig } from './config.ts'
import { type AdminAccess, dataFolder, removeAdminAccess, writeAdminAccess } from './data-folder.ts'
import { openDisk } from './disk.ts'
import { type Handlers, type ListenerStats, listen } from './listen.ts'
import { liveLog } from './live-log.ts'
import { type Log, stderrLog } from './log.ts'
import { type PurgeApiStats, purgeApi } from './purge-api.ts'
import { purgeHook } from './purge-hooks.ts'
import { purgeJournal } from './purge-journal.ts'
import { purgeMethod } from './purge-method.ts'
import { watchTrouble } from './trouble.ts'

/** Options given here outweigh those of `config.server`. */
export interface StartOptions extends ServerConfig {
  config: AnyProgramConfig
  /** The folder of the project: `.simple-cdn/` in it tells `simple-cdn explain` where this server is. Default: the current one. */
  folder?: string
  /** The operational log. Default: pino's JSON lines on standard error. */
  log?: Log
}

export interface RunningServer {
  /** Where it listens, as one can ask it from this machine. */
  readonly url: string
  /** `undefined` when there is no admin listener. */
  readonly adminUrl: string | undefined
  readonly adminToken: string | undefined
  /**
   * Replaces the configuration without dropping a connection, a request under way, or anything stored. What cannot change while
   * it runs stays as it was, and the log says so. With a mistake, everything stays.
   *
   * @throws ConfigError CDN_CONFIG_INVALID, naming every mistake of the configuration at once.
   */
  reload(config: AnyProgramConfig): void
  /**
   * Takes no more connections, finishes what is under way within `graceMs` (default: `grace` of the configuration), ends the
   * rest, and flushes logs. Calling it again waits for the first time to be over.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

/**
 * @throws ConfigError CDN_CONFIG_INVALID, naming every mistake of the configuration at once.
 * @throws Error with Node's own code, such as EADDRINUSE, when an address cannot be had.
 */
export async function startServer({
  config,
  folder = process.cwd(),
  log = stderrLog(),
  ...overrides
}: StartOptions): Promise<RunningServer> {
  const mistakes = checkProgramConfig(config)
  if (mistakes.length > 0) throw configError(mistakes)
  const { server: configured = {}, memory: _, disk, purge, ...cache } = config
  const purging = dividedPurge(purge)
  let purgeToken = purging.access.token
  let server = resolveServer({ ...configured, ...overrides })
  for (const warning of configWarnings(cache)) log.warn({ path: warning.path }, mistakeLine(warning))

  const onError = (error: Error): void => log.error({ error: error.message }, 'the listener is in trouble')
  // Who comes while the disk is looked through waits, rather than being sent away.
  let trust = resolveTrust(cache.trustedProxies)
  const begun = Promise.withResolvers<Handlers>()
  let handlers: Handlers = {
    now: () => undefined,
    request: (request, response) => void begun.promise.then((begin) => begin.request(request, response)),
    upgrade: (request, socket, head) => void begun.promise.then((begin) => begin.upgrade(request, socket, head)),
    stream: (...asked) => void begun.promise.then((begin) => begin.stream(...asked)),
  }
  const listener = await listen(
    {
      now: (request) => handlers.now(request),
      request: (request, response) => handlers.request(request, response),
      upgrade: (request, socket, head) => handlers.upgrade(request, socket, head),
      stream: (...asked) => handlers.stream(...asked),
    },
    {
      ...server.listen,
      certificate: server.tls && readCertificate(server.tls, folder),
      isProxy: server.proxyProtocol ? (address) => trust.trusts(address) : undefined,
      onError,
    },
  )
  const certificates = server.tls && certificateFiles(server.tls, folder, (certificate) => listener.use(certificate), log)
  const memory = memoryOf(config).cache
  const below = cache.store === undefined ? await openDisk(disk, dataFolder(folder), log, memory) : undefined
  const live = liveLog()
  const onMessage = (message: string): void => log.warn({}, message)
  const cdn = createCdn(
    {
      ...cache,
      purge: purging.cache,
      log: [...(cache.log ?? [stdoutSink()]), ...(server.admin === undefined ? [] : [live.sink])],
      ...(cache.store === undefined ? { memory } : {}),
      ...(below === undefined ? {} : { disk: below }),
    },
    {
      onMessage,
      ...(below !== undefined && {
        purges: purgeJournal({
          folder: dataFolder(folder),
          hasCache: below.stats().responses > 0,
          now: () => systemClock.now(),
          onMessage,
        }),
      }),
    },
  )
  const purges = purgeApi({
    cdn,
    perMinute: purging.access.perMinute ?? 1_000,
    hooks: (purging.access.webhooks ?? []).map((hook) => purgeHook(hook, onMessage)),
    audit: (facts, message) => log.info(facts, message),
  })
  const purged = purgeMethod(purges, () => purgeToken)
  const [request, stream] = [toNodeHandler(cdn), toHttp2Handler(cdn)]
  handlers = {
    now: (asked) => cdn.handleNow(asked),
    request: (asked, response) => (asked.method === 'PURGE' ? purged.request(asked, response) : request(asked, response)),
    stream: (...asked) => (asked[1][':method'] === 'PURGE' ? purged.stream(...asked) : stream(...asked)),
    upgrade: (request, socket, head) => toUpgradeHandler(cdn, { idleTimeoutMs: server.tunnelTimeoutMs })(request, socket, head),
  }
  begun.resolve(handlers)
  let draining = false
  const subject = {
    cdn,
    live,
    ready: () => !draining,
    purges,
    purgeToken: () => purgeToken,
    stats: () => ({ ...cdn.stats(), purgeApi: purges.stats(), listener: listener.stats(), process: process.memoryUsage() }),
  }
  let admin: Admin | undefined
  try {
    admin = server.admin && (await listenAdmin(server.admin, subject))
  } catch (error) {
    await Promise.all([listener.stop(0), cdn.close({ graceMs: 0 })])
    throw error
  }

  const access: AdminAccess | undefined = admin && {
    url: admin.url,
    token: server.admin?.token === undefined ? admin.token : undefined,
  }
  if (access !== undefined) {
    await writeAdminAccess(dataFolder(folder), access).catch((error: Error) =>
      log.warn(
        { error: error.message },
        `${dataFolder(folder)} cannot be written: simple-cdn explain will need --admin and --token`,
      ),
    )
  }
  const trouble = watchTrouble(() => troubles(cdn.stats(), listener.stats(), purges.stats()), log)
  log.info({ url: listener.url, admin: admin?.url, node: process.version }, `listening on ${listener.url}`)

  async function stop(graceMs: number): Promise<void> {
    draining = true
    const end = systemClock.now() + graceMs
    const open = listener.stats().connections
    const drained = listener.stop(graceMs)
    // Who reads this can rely on it: nobody gets in any more.
    log.info({ graceMs, open }, 'stopping: what is under way is finished')
    await drained
    await cdn.close({ graceMs: Math.max(0, end - systemClock.now()) })
    purges.close()
    trouble.stop()
    certificates?.stop()
    if (access !== undefined) await removeAdminAccess(dataFolder(folder), access)
    await admin?.close()
    log.info({}, 'stopped')
  }

  function reload(next: AnyProgramConfig): void {
    const mistakes = checkProgramConfig(next)
    if (mistakes.length > 0) throw configError(mistakes)
    const { server: configured = {}, memory: _, disk: __, store: ___, log: ____, purge: nextPurge, ...settings } = next
    const outweighed = { ...configured, ...overrides }
    cdn.reconfigure(settings)
    server = { ...resolveServer(outweighed), admin: server.admin }
    listener.limit(server.listen)
    purgeToken = nextPurge?.token
    trust = resolveTrust(settings.trustedProxies)
    if (server.tls !== undefined) certificates?.reread(server.tls)
    for (const warning of configWarnings(settings)) log.warn({ path: warning.path }, mistakeLine(warning))
    const kept = keptUntilRestart(config, { ...next, server: outweighed }, { ...config.server, ...overrides })
    if (kept.length > 0)
      log.warn(
        { options: kept },
        `${kept.join(', ')} ${kept.length === 1 ? 'stays as it was: it changes' : 'stay as they were: they change'} with a restart`,
      )
    closeUnused(config, next, log)
  }

  let stopped: Promise<void> | undefined
  return {
    url: listener.url,
    adminUrl: admin?.url,
    adminToken: admin?.token,
    reload,
    close({ graceMs = server.graceMs } = {}) {
      stopped ??= stop(graceMs)
      return stopped
    },
  }
}

/** What should never grow, by what has happened when it does. */
function troubles(
  { store, log, purges }: CdnStats,
  { dropped, refused }: ListenerStats,
  { hooks }: PurgeApiStats,
): Record<string, number> {
  return {
    'connections were dropped: there were too many': dropped,
    'requests were refused: there were too many connections': refused,
    [`the store "${store.name}" failed`]: store.failures,
    'purges were not written into the journal': purges.notKept,
    'purges did not reach the bus': purges.bus?.failed ?? 0,
    'everything counted as purged, since purges may have been missed': purges.bus?.gaps ?? 0,
    ...Object.fromEntries(hooks.map((hook) => [`the webhook at ${hook.host} was not told of purges`, hook.lost])),
    ...Object.fromEntries(log.map((sink) => [`the log sink "${sink.name}" dropped entries`, sink.dropped])),
    ...Object.fromEntries(log.map((sink) => [`the log sink "${sink.name}" failed`, sink.failed])),
  }
}

/** The options that are written in another way than at the start, and whose change needs another start. */
function keptUntilRestart(started: AnyProgramConfig, next: AnyProgramConfig, startedServer: ServerConfig): readonly string[] {
  const server = next.server ?? {}
  const sinks = ({ log }: AnyProgramConfig): unknown => log?.map(({ name }) => name)
  const pairs: Readonly<Record<string, readonly [unknown, unknown]>> = {
    memory: [started.memory, next.memory],
    disk: [started.disk, next.disk],
    store: [started.store?.name, next.store?.name],
    log: [sinks(started), sinks(next)],
    'purge.bus': [started.purge?.bus?.name, next.purge?.bus?.name],
    'purge.trustFor': [started.purge?.trustFor, next.purge?.trustFor],
    'purge.perMinute': [started.purge?.perMinute, next.purge?.perMinute],
    'purge.webhooks': [started.purge?.webhooks, next.purge?.webhooks],
    'server.host': [startedServer.host, server.host],
    'server.port': [startedServer.port, server.port],
    'server.admin': [startedServer.admin, server.admin],
    // A certificate can be exchanged, not begun or ended with.
    'server.tls': [startedServer.tls !== undefined, server.tls !== undefined],
    'server.proxyProtocol': [startedServer.proxyProtocol ?? false, server.proxyProtocol ?? false],
  }
  return Object.entries(pairs).flatMap(([name, [before, after]]) =>
    JSON.stringify(before) === JSON.stringify(after) ? [] : [name],
  )
}

/** A configuration that is a function makes a store and sinks anew each time, which nobody is going to use. */
function closeUnused({ log: sinks = [], store }: AnyProgramConfig, next: AnyProgramConfig, log: Log): void {
  const used = new Set([...sinks, store])
  for (const made of [...(next.log ?? []), next.store])
    if (made !== undefined && !used.has(made))
      made
        .close()
        .catch((error: Error) =>
          log.warn({ error: error.message }, `"${made.name}" of the new configuration could not be closed`),
        )
}
