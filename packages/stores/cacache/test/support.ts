// What the tests of the store on cacache share: folders, responses, and what the disk says.
import assert from 'node:assert/strict'
import { cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { CacheKey, Selecting, Store, StoredMeta } from '@simple-cdn/core'

export const MB = 1024 * 1024

const root = mkdtempSync(join(tmpdir(), 'store-cacache-'))
let folders = 0
after(() => rmSync(root, { recursive: true, force: true }))

export function newFolder(): string {
  return join(root, `${folders++}`)
}

/** A copy of the folder as it is now: what a killed process would leave. */
export function asKilled(folder: string): string {
  const copy = newFolder()
  cpSync(folder, copy, { recursive: true })
  return copy
}

/** Bytes that a folder takes, as `du` counts: whole blocks, and the folders themselves. */
export function diskUsage(path: string): number {
  const { blocks, isDirectory } = statOf(path)
  return blocks * 512 + (isDirectory ? namesIn(path).reduce((sum, name) => sum + diskUsage(join(path, name)), 0) : 0)
}

/** The files below a folder. */
export function filesIn(path: string): string[] {
  return namesIn(path).flatMap((name) => {
    const below = join(path, name)
    return statOf(below).isDirectory ? filesIn(below) : [below]
  })
}

// The store may be at work: what has gone in the meantime takes nothing.
function statOf(path: string): { blocks: number; isDirectory: boolean } {
  try {
    const stat = lstatSync(path)
    return { blocks: stat.blocks, isDirectory: stat.isDirectory() }
  } catch {
    return { blocks: 0, isDirectory: false }
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

export function key(text: string): CacheKey {
  return `http://cdn.test/${text}` as CacheKey
}

export function meta(
  id: string,
  more: { key?: string; length?: number; sliceBytes?: number; selecting?: Selecting } = {},
): StoredMeta {
  const { key: under = id, length = 0, sliceBytes, selecting = [] } = more
  return {
    v: 1,
    id,
    key: key(under),
    status: 200,
    fields: ['Content-Type', 'text/plain', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'],
    withheld: [],
    selecting,
    requestedAt: 1,
    receivedAt: 2,
    initialAge: 0,
    freshness: {
      lifetime: 60,
      from: 'max-age',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      validateAlways: false,
      forbidsStale: false,
    },
    surrogateKeys: [],
    length,
    ...(sliceBytes === undefined ? {} : { sliceBytes }),
  }
}

/** A body that no other seed has. */
export function bytes(seed: number, length: number): Uint8Array {
  const all = new Uint8Array(length)
  let state = seed + 1
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    all[at] = state >>> 24
  }
  return all
}

export async function put(store: Store, id: string, body: Uint8Array): Promise<void> {
  assert.equal(await store.write(meta(id, { length: body.byteLength }), body), true, `${id} is taken`)
}

export function assertBytes(actual: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert.ok(actual !== undefined, `${what} is there`)
  assert.ok(Buffer.compare(actual, expected) === 0, `${what} has the right bytes`)
}

export async function isFound(store: Store, id: string): Promise<boolean> {
  return (await store.lookup(key(id))).length > 0
}
