// startServer(): the cache behind a listener, with an admin listener beside it.
import type { RequestListener } from 'node:http'
import { type CdnStats, createCdn, stdoutSink, systemClock } from '@simple-cdn/core'
import { configError, configWarnings, mistakeLine } from '@simple-cdn/core/config'
import { toNodeHandler } from '@simple-cdn/core/node'
import { type Admin, listenAdmin } from './admin.ts'
import { type AnyProgramConfig, checkProgramConfig, memoryOf, resolveServer, type ServerConfig } from './config.ts'
import { type AdminAccess, dataFolder, removeAdminAccess, writeAdminAccess } from './data-folder.ts'
import { openDisk } from './disk.ts'
import { type ListenerStats, listen } from './listen.ts'
import { liveLog } from './live-log.ts'
import { type Log, stderrLog } from './log.ts'
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
  const { server: configured = {}, memory: _, disk, ...cache } = config
  const server = resolveServer({ ...configured, ...overrides })
  for (const warning of configWarnings(cache)) log.warn({ path: warning.path }, mistakeLine(warning))

  const onError = (error: Error): void => log.error({ error: error.message }, 'the listener is in trouble')
  // Who comes while the disk is looked through waits, rather than being sent away.
  const begun = Promise.withResolvers<RequestListener>()
  let handle: RequestListener = (request, response) => void begun.promise.then((begin) => begin(request, response))
  const listener = await listen((request, response) => handle(request, response), { ...server.listen, onError })
  const below = cache.store === undefined ? await openDisk(disk, dataFolder(folder), log) : undefined
  const live = liveLog()
  const cdn = createCdn(
    {
      ...cache,
      log: [...(cache.log ?? [stdoutSink()]), ...(server.admin === undefined ? [] : [live.sink])],
      ...(cache.store === undefined ? { memory: memoryOf(config).cache } : {}),
      ...(below === undefined ? {} : { disk: below }),
    },
    { onMessage: (message) => log.warn({}, message) },
  )
  handle = toNodeHandler(cdn)
  begun.resolve(handle)
  let draining = false
  const subject = {
    cdn,
    live,
    ready: () => !draining,
    stats: () => ({ ...cdn.stats(), listener: listener.stats(), process: process.memoryUsage() }),
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
  const trouble = watchTrouble(() => troubles(cdn.stats(), listener.stats()), log)
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
    trouble.stop()
    if (access !== undefined) await removeAdminAccess(dataFolder(folder), access)
    await admin?.close()
    log.info({}, 'stopped')
  }

  let stopped: Promise<void> | undefined
  return {
    url: listener.url,
    adminUrl: admin?.url,
    adminToken: admin?.token,
    close({ graceMs = server.graceMs } = {}) {
      stopped ??= stop(graceMs)
      return stopped
    },
  }
}

/** What should never grow, by what has happened when it does. */
function troubles({ store, log }: CdnStats, { dropped, refused }: ListenerStats): Record<string, number> {
  return {
    'connections were dropped: there were too many': dropped,
    'requests were refused: there were too many connections': refused,
    [`the store "${store.name}" failed`]: store.failures,
    ...Object.fromEntries(log.map((sink) => [`the log sink "${sink.name}" dropped entries`, sink.dropped])),
    ...Object.fromEntries(log.map((sink) => [`the log sink "${sink.name}" failed`, sink.failed])),
  }
}
