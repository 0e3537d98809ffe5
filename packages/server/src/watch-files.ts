// Files that may change, seen through their folders: most programs write a new file and put it in the place of the old one.
import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Log } from './log.ts'

/** An editor writes a file in several steps, and a deployment several files. */
const SETTLE_MS = 200
/** Files in more folders are watched only in so many. */
const MAX_FOLDERS = 64

export interface FileWatch {
  /** Looks for folders that are new among those of the files. */
  look(): void
  stop(): void
}

/** `happened` is called, once in a while, when something has happened beside the files: whether that is a change, it has to see itself. */
export function watchFiles(files: () => ReadonlySet<string>, happened: () => void, log: Log): FileWatch {
  const watchers = new Map<string, FSWatcher>()
  let settling: NodeJS.Timeout | undefined
  let isStopped = false

  function look(): void {
    if (isStopped) return
    for (const folder of new Set([...files()].map((file) => dirname(file)))) {
      if (watchers.has(folder)) continue
      if (watchers.size >= MAX_FOLDERS) {
        log.warn({ folder }, `changes in ${folder} are not noticed: more than ${MAX_FOLDERS} folders; send SIGHUP after one`)
        return
      }
      try {
        const watcher = watch(folder, { persistent: false }, settle)
        watcher.on('error', (error) => unwatched(folder, error))
        watchers.set(folder, watcher)
        // What happened before is not reported: the files were read some time ago.
        settle()
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

  function settle(): void {
    if (settling !== undefined || isStopped) return
    settling = setTimeout(() => {
      settling = undefined
      happened()
    }, SETTLE_MS)
    settling.unref()
  }

  look()
  return {
    look,
    stop() {
      isStopped = true
      clearTimeout(settling)
      for (const watcher of watchers.values()) watcher.close()
    },
  }
}
