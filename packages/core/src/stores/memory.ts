// The default store: bodies in memory, the least recently used leaving first, within a hard bound.
import { LRUCache } from 'lru-cache'
import type { Body, ByteRange } from '../http/body.ts'
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'
import type { OnEvict, Store, StoredResponse, StoreWriter } from './store.ts'

export interface MemoryStoreOptions {
  /** Bound in bytes for bodies, fields, bookkeeping and writes in progress together. At least 64 KiB. */
  maxBytes: number
  /** Most responses under one key; the one stored longest ago leaves first. Default: 100. */
  maxVariants?: number
}

/** Bodies up to this size lie in one piece, so that a hit is one write. */
const ONE_PIECE = 1024 * 1024

/** What an entry costs besides the characters of its strings and its body: measured at 600 to 900 bytes. */
const ENTRY_BYTES = 1024
const STRING_BYTES = 40

const NONE: readonly StoredResponse[] = []

/** @throws RangeError when `maxBytes` is too small to hold anything. */
export function memoryStore({ maxBytes, maxVariants = 100 }: MemoryStoreOptions): Store {
  if (!(maxBytes >= 65_536)) throw new RangeError(`maxBytes is ${maxBytes}; a memory store needs at least 65536`)
  const byKey = new Map<CacheKey, readonly Entry[]>()
  const listeners: OnEvict[] = []
  // A larger one would empty the store for everybody else.
  const largest = maxBytes / 2
  let reserved = 0
  let evicted = 0

  const entries = new LRUCache<string, Entry>({
    maxSize: maxBytes,
    sizeCalculation: (entry) => entry.bytes,
    dispose(entry, _, reason) {
      if (reason === 'set') return
      unlink(entry)
      if (reason !== 'evict') return
      evicted++
      for (const listener of listeners) listener(entry.meta, 'full')
    },
  })

  class Entry implements StoredResponse {
    readonly meta: StoredMeta
    readonly length: number
    readonly blocks: readonly Uint8Array[]
    readonly bytes: number

    constructor(meta: StoredMeta, length: number, blocks: readonly Uint8Array[]) {
      this.meta = meta
      this.length = length
      this.blocks = blocks
      this.bytes = length + metaBytes(meta)
    }

    open(): Uint8Array | undefined {
      if (this.blocks.length > 1) return undefined
      entries.get(this.meta.id)
      return this.blocks[0] ?? EMPTY
    }
  }

  function unlink(entry: Entry): void {
    const siblings = byKey.get(entry.meta.key)?.filter((other) => other.meta.id !== entry.meta.id) ?? []
    if (siblings.length === 0) byKey.delete(entry.meta.key)
    else byKey.set(entry.meta.key, siblings)
  }

  function link(entry: Entry): void {
    const variant = JSON.stringify(entry.meta.selecting)
    const before = byKey.get(entry.meta.key) ?? []
    const replaced = before.filter((other) => JSON.stringify(other.meta.selecting) === variant)
    const surplus = before.length - replaced.length + 1 - maxVariants
    const leaving = surplus > 0 ? before.filter((other) => !replaced.includes(other)).slice(0, surplus) : []
    for (const other of [...replaced, ...leaving]) entries.delete(other.meta.id)
    byKey.set(entry.meta.key, [...(byKey.get(entry.meta.key) ?? []), entry])
  }

  /** Evicts until `bytes` more fit beside everything stored and being written. */
  function makeRoom(bytes: number): boolean {
    while (entries.calculatedSize + reserved + bytes > maxBytes && entries.size > 0) entries.pop()
    return entries.calculatedSize + reserved + bytes <= maxBytes
  }

  function writer(meta: StoredMeta): StoreWriter {
    const blocks: Uint8Array[] = []
    let length = 0
    let held = 0
    let over = false

    const hold = (bytes: number): boolean => {
      if (over || held + bytes > largest || !makeRoom(bytes)) return false
      held += bytes
      reserved += bytes
      return true
    }
    const release = (): void => {
      reserved -= held
      held = 0
      over = true
      blocks.length = 0
    }

    return {
      async write(chunk) {
        if (!hold(chunk.byteLength)) {
          release()
          return false
        }
        blocks.push(chunk)
        length += chunk.byteLength
        return true
      },
      async commit() {
        if (!hold(metaBytes(meta))) {
          release()
          return false
        }
        const whole = blocks.length > 1 && length <= ONE_PIECE ? [joined(blocks, length)] : [...blocks]
        release()
        const entry = new Entry(meta, length, whole)
        link(entry)
        entries.set(meta.id, entry)
        return true
      },
      async abort() {
        release()
      },
    }
  }

  return {
    name: 'memory',
    async lookup(key) {
      return byKey.get(key) ?? NONE
    },
    peek(key) {
      return byKey.get(key) ?? NONE
    },
    async read(id, range) {
      const entry = entries.get(id)
      return entry === undefined ? undefined : bodyOf(entry, range)
    },
    async write(meta, length) {
      return (length ?? 0) + metaBytes(meta) > largest ? undefined : writer(meta)
    },
    async freshen(meta) {
      const entry = entries.get(meta.id)
      if (entry === undefined) return false
      const fresher = new Entry(meta, entry.length, entry.blocks)
      byKey.set(
        meta.key,
        (byKey.get(meta.key) ?? []).map((other) => (other === entry ? fresher : other)),
      )
      entries.set(meta.id, fresher)
      return makeRoom(0)
    },
    async remove(key) {
      const leaving = byKey.get(key) ?? []
      for (const entry of leaving) entries.delete(entry.meta.id)
      return leaving.length
    },
    stats() {
      return { responses: entries.size, bytes: entries.calculatedSize + reserved, maxBytes, evicted }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      entries.clear()
      byKey.clear()
    },
  }
}

const EMPTY = new Uint8Array(0)

/** A copy of its own: pooled memory would keep its neighbours alive. */
function joined(blocks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const block of blocks) {
    whole.set(block, at)
    at += block.byteLength
  }
  return whole
}

function metaBytes(meta: StoredMeta): number {
  let characters = meta.key.length + meta.id.length
  for (const text of meta.fields) characters += text.length + STRING_BYTES
  for (const [name, value] of meta.selecting) characters += name.length + (value?.length ?? 0) + 2 * STRING_BYTES
  for (const name of meta.surrogateKeys) characters += name.length + STRING_BYTES
  return ENTRY_BYTES + characters
}

function bodyOf(entry: { readonly blocks: readonly Uint8Array[]; readonly length: number }, range: ByteRange | undefined): Body {
  const first = range?.first ?? 0
  const end = Math.min(range === undefined ? entry.length : range.last + 1, entry.length)
  const [only] = entry.blocks
  if (entry.blocks.length <= 1) return (only ?? EMPTY).subarray(first, end)
  return (async function* () {
    let at = 0
    for (const block of entry.blocks) {
      if (at >= end) return
      if (at + block.byteLength > first) yield block.subarray(Math.max(first - at, 0), end - at)
      at += block.byteLength
    }
  })()
}
