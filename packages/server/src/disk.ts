// The store on disk that the configuration asks for, or the one there is when it says nothing.
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Size, Store } from '@simple-cdn/core'
import { asSize, parseSize } from '@simple-cdn/core/config'
import { diskStore } from '@simple-cdn/store-disk'
import type { DiskConfig } from './config.ts'
import type { Log } from './log.ts'

const MB = 1024 * 1024
const MOST_BY_DEFAULT = 10 * 1024 * MB
/** With less than this there is no point in a second store. */
const LEAST_BY_DEFAULT = 64 * MB

/** What waits to be written, at least: more of it is refused. */
const LEAST_QUEUE = 32 * MB

/**
 * `undefined` when there is to be none, or none can be had: a cache in memory alone is better than no server. `cacheBytes`: what of
 * memory the cache may hold. What is on its way is part of that, and all of it may wait for the disk: what is refused is not stored.
 */
export async function openDisk(
  disk: false | Size | DiskConfig | undefined,
  data: string,
  log: Log,
  cacheBytes: number,
): Promise<Store | undefined> {
  if (disk === false) return undefined
  const { size, folder = join(data, 'cache') } = typeof disk === 'object' ? disk : { size: disk }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const { bavail, bsize } = await statfs(folder)
    const maxBytes = parseSize(size) ?? Math.min(MOST_BY_DEFAULT, Math.floor((bavail * bsize) / 2))
    if (size === undefined && maxBytes < LEAST_BY_DEFAULT) {
      log.warn({ folder, free: bavail * bsize }, 'too little room on disk for a store there: only memory is used')
      return undefined
    }
    const queueBytes = Math.max(LEAST_QUEUE, cacheBytes)
    const store = await diskStore({ folder, maxBytes, queueBytes, onMessage: (message) => log.warn({ folder }, message) })
    log.info({ folder, responses: store.stats().responses }, `keeps up to ${asSize(maxBytes)} in ${folder}`)
    return store
  } catch (error) {
    log.error({ folder, error: (error as Error).message }, 'the store on disk cannot be used: only memory is')
    return undefined
  }
}
