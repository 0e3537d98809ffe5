// Metadata, bodies and folders for the tests of the disk store.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CacheKey, Selecting, Store, StoredMeta } from '@simple-cdn/core'

export const MB = 1024 * 1024

export function key(text: string): CacheKey {
  return `http://cdn.test/${text}` as CacheKey
}

export interface MetaOptions {
  readonly under?: string
  readonly selecting?: Selecting
  readonly length?: number
  readonly sliceBytes?: number
  readonly receivedAt?: number
}

export function meta(
  id: string,
  { under = id, selecting = [], length = 0, sliceBytes, receivedAt = 2 }: MetaOptions = {},
): StoredMeta {
  return {
    v: 1,
    id,
    key: key(under),
    status: 200,
    fields: ['Content-Type', 'text/plain; title="ü"', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'],
    withheld: [],
    selecting,
    requestedAt: 1,
    receivedAt,
    initialAge: 0,
    freshness: {
      lifetime: 60,
      from: 'max-age',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      validateAlways: false,
      forbidsStale: false,
    },
    surrogateKeys: ['page'],
    length,
    ...(sliceBytes !== undefined && { sliceBytes }),
  }
}

/** Bytes that a name and a length tell, different at every offset, so that a shifted or mixed body shows. */
export function bytes(name: string, length: number): Uint8Array {
  let state = 2_166_136_261
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 16_777_619)
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    words[at] = state ^ (state >>> 13)
  }
  return new Uint8Array(words.buffer, 0, length)
}

const made: string[] = []
process.on('exit', () => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true })
})

/** A folder that is gone when the tests are over. */
export function newFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), 'store-disk-'))
  made.push(parent)
  return join(parent, 'cache')
}

/** What a kill at this moment would leave, in a folder of its own. */
export function asKilled(folder: string): string {
  const copy = newFolder()
  mkdirSync(copy)
  for (const name of readdirSync(folder).sort()) {
    try {
      if (!name.startsWith('lock')) copyFileSync(join(folder, name), join(copy, name))
    } catch (error) {
      // A segment may go at this very moment.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return copy
}

/** What the folder takes on disk: blocks, not only bytes. */
export function diskUsage(folder: string): number {
  let used = statSync(folder).blocks * 512
  for (const name of readdirSync(folder)) {
    try {
      used += statSync(join(folder, name)).blocks * 512
    } catch {
      // Removed between the list and the look.
    }
  }
  return used
}

export function segmentsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.segment'))
    .sort()
    .map((name) => join(folder, name))
}

/** A response in one piece, whose body its id tells. */
export function put(store: Store, id: string, length: number, options: MetaOptions = {}): Promise<boolean> {
  return store.write(meta(id, { length, ...options }), bytes(id, length))
}

/** A response in slices, all of them or those that are named. */
export async function putSliced(
  store: Store,
  id: string,
  { length, sliceBytes, only, under }: { length: number; sliceBytes: number; only?: readonly number[]; under?: string },
): Promise<boolean> {
  const stored = await store.write(meta(id, { length, sliceBytes, ...(under !== undefined && { under }) }))
  const slices = only ?? Array.from({ length: Math.ceil(length / sliceBytes) }, (_, slice) => slice)
  const taken = await Promise.all(slices.map((slice) => store.writeSlice(id, slice, sliceOf(id, slice, length, sliceBytes))))
  return stored && taken.every(Boolean)
}

export function sliceOf(id: string, slice: number, length: number, sliceBytes: number): Uint8Array {
  return bytes(`${id}#${slice}`, Math.min(sliceBytes, length - slice * sliceBytes))
}

export async function ids(store: Store, under: string): Promise<string[]> {
  return (await store.lookup(key(under))).map((stored) => stored.meta.id)
}

/** Compares without printing a megabyte when they differ. */
export function assertBytes(actual: Uint8Array | undefined, expected: Uint8Array | undefined, message = ''): void {
  const told = `${actual?.byteLength} bytes, expected ${expected?.byteLength} ${message}`
  assert.ok(
    actual === expected || (actual !== undefined && expected !== undefined && Buffer.compare(actual, expected) === 0),
    told,
  )
}
