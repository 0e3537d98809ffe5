// Another configuration for a server that runs: when one of its files changes, and when it is told to.
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { AnyProgramConfig } from './config.ts'
import type { ConfigSource } from './config-source.ts'
import type { Log } from './log.ts'
import type { RunningServer } from './start-server.ts'

/** An editor writes a file in several steps, and a deployment several files. */
const SETTLE_MS = 200
/** A function that makes a configuration may ask others, who may never answer. */
const MAX_LOAD_MS = 30_000
/** A configuration that imports files from more folders is watched only in so many. */
const MAX_FOLDERS = 64

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
  const watchers = new Map<string, FSWatcher>()
  let settling: NodeJS.Timeout | undefined
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
    watchFolders()
  }

  /** One after another. What is asked for while one waits for its turn is what that one will load. */
  function reload(why: string): Promise<void> {
    if (!isWaiting) {
      isWaiting = true
      loading = loading.then(() => load(why))
    }
    return loading
  }

  /** Folders, not files: most programs write a new file and put it in the place of the old one. */
  function watchFolders(): void {
    if (!isWatching || isStopped) return
    for (const folder of new Set([...source.files()].map((file) => dirname(file)))) {
      if (watchers.has(folder)) continue
      if (watchers.size >= MAX_FOLDERS) {
        log.warn({ folder }, `changes in ${folder} are not noticed: more than ${MAX_FOLDERS} folders; send SIGHUP after one`)
        return
      }
      try {
        const watcher = watch(folder, { persistent: false }, changed)
        watcher.on('error', (error) => unwatched(folder, error))
        watchers.set(folder, watcher)
      } catch (error) {
        unwatched(folder, error)
      }
    }
  }

  function unwatched(folder: string, error: unknown): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
    log.warn({ folder, error: String(error) }, `changes in ${folder} are not noticed; send SIGHUP after one`)
  }

  function changed(): void {
    if (settling !== undefined || isStopped) return
    settling = setTimeout(() => {
      settling = undefined
      if (!source.hasChanged()) return
      void reload('its files have changed')
    }, SETTLE_MS)
    settling.unref()
  }

  watchFolders()
  return {
    reload,
    stop() {
      isStopped = true
      clearTimeout(settling)
      for (const watcher of watchers.values()) watcher.close()
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
