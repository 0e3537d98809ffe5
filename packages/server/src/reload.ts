// Another configuration for a server that runs: when one of its files changes, and when it is told to.
import { basename } from 'node:path'
import type { AnyProgramConfig } from './config.ts'
import type { ConfigSource } from './config-source.ts'
import type { Log } from './log.ts'
import type { RunningServer } from './start-server.ts'
import { watchFiles } from './watch-files.ts'

/** A function that makes a configuration may ask others, who may never answer. */
const MAX_LOAD_MS = 30_000

export interface Reloader {
  /** Loads the configuration and gives it to the server; the one there is stays when that fails, and the log says why. */
  reload(why: string): Promise<void>
  /** What is being loaded does not count any more. */
  stop(): void
}

export interface ReloaderOptions {
  readonly path: string
  readonly source: ConfigSource
  /** Throws with every mistake. */
  readonly check: (config: unknown) => AnyProgramConfig
  readonly server: Pick<RunningServer, 'reload'>
  readonly log: Log
  /** Whether to look for changes of the files. */
  readonly isWatching: boolean
}

export function reloader({ path, source, check, server, log, isWatching }: ReloaderOptions): Reloader {
  const watching = isWatching ? watchFiles(source.files, changed, log) : undefined
  let loading: Promise<void> = Promise.resolve()
  let isWaiting = false
  let isStopped = false

  async function load(why: string): Promise<void> {
    isWaiting = false
    if (isStopped) return
    try {
      const config = check(await atMost(MAX_LOAD_MS, source.load()))
      if (isStopped) return
      server.reload(config)
      log.info({ config: path, why }, `${basename(path)} is loaded anew`)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      log.error({ config: path, why, error: message }, `the configuration stays as it was: ${message}`)
    }
    watching?.look()
  }

  /** One after another. What is asked for while one waits for its turn is what that one will load. */
  function reload(why: string): Promise<void> {
    if (!isWaiting) {
      isWaiting = true
      loading = loading.then(() => load(why))
    }
    return loading
  }

  function changed(): void {
    if (source.hasChanged()) void reload('its files have changed')
  }

  return {
    reload,
    stop() {
      isStopped = true
      watching?.stop()
    },
  }
}

async function atMost<Value>(ms: number, work: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = setTimeout(() => reject(new Error(`it was not loaded within ${ms} ms`)), ms)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(late)
  }
}
