// The default store: bodies in memory, the least recently used leaving first, within a hard bound.
import { LRUCache } from 'lru-cache'
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'
import type { OnEvict, Part, Store, StoredResponse } from './store.ts'

export interface MemoryStoreOptions {
  /** Bound in bytes for bodies, fields and bookkeeping together. At least 64 KiB. */
  maxBytes: number
  /** Most responses under one key; the one stored longest ago leaves first. Default: 100. */
  maxVariants?: number
  /** Bytes of the bound that others take just now: what is on its way to clients and into the store. Default: none. */
  taken?: () => number
}

/** What an entry costs besides the characters of its strings and its body: measured at 600 to 900 bytes. */
const ENTRY_BYTES = 1024
const SLICE_BYTES = 300
const STRING_BYTES = 40

const NONE: readonly StoredResponse[] = []
const EMPTY = new Uint8Array(0)

/** A response, with its body when it is kept in one piece. */
class Entry implements StoredResponse {
  readonly meta: StoredMeta
  readonly body: Uint8Array | undefined
  readonly bytes: number
  /** Its slices that are there. */
  readonly slices: Set<number>
  readonly #used: (id: string) => unknown

  constructor(meta: StoredMeta, body: Uint8Array | undefined, slices: Set<number>, used: (id: string) => unknown) {
    this.meta = meta
    this.body = body
    this.bytes = (body?.byteLength ?? 0) + metaBytes(meta)
    this.slices = slices
    this.#used = used
  }

  open(): Uint8Array | undefined {
    this.#used(this.meta.id)
    return this.body
  }
}

/** A slice under "ID/NUMBER"; its response may come later. */
interface Slice {
  readonly of: string
  readonly number: number
  readonly body: Uint8Array
  readonly bytes: number
}

/** @throws RangeError when `maxBytes` is too small to hold anything. */
export function memoryStore({ maxBytes, maxVariants = 100, taken = () => 0 }: MemoryStoreOptions): Store {
  if (!(maxBytes >= 65_536)) throw new RangeError(`maxBytes is ${maxBytes}; a memory store needs at least 65536`)
  const byKey = new Map<CacheKey, readonly Entry[]>()
  /** Slices whose response has not been written yet. */
  const early = new Map<string, Set<number>>()
  const listeners: OnEvict[] = []
  // A larger one would empty the store for everybody else.
  const largest = maxBytes / 2
  let responses = 0
  let evicted = 0

  const units = new LRUCache<string, Entry | Slice>({
    maxSize: maxBytes,
    sizeCalculation: (unit) => unit.bytes,
    dispose(unit, _, reason) {
      if (reason === 'set') return
      if (reason === 'evict') evicted++
      if (unit instanceof Entry) forget(unit, reason === 'evict')
      else forgetSlice(unit)
    },
  })
  const used = (id: string): unknown => units.get(id)

  function entryOf(id: string): Entry | undefined {
    return units.peek(id) as Entry | undefined
  }

  function slicesOf(id: string): Set<number> | undefined {
    return entryOf(id)?.slices ?? early.get(id)
  }

  function forgetSlice({ of, number }: Slice): void {
    slicesOf(of)?.delete(number)
    if (early.get(of)?.size === 0) early.delete(of)
  }

  /** Takes a response that has left out of the index, and its slices with it. */
  function forget({ meta, slices }: Entry, report: boolean): void {
    responses--
    const siblings = byKey.get(meta.key)?.filter((other) => other.meta.id !== meta.id) ?? []
    if (siblings.length === 0) byKey.delete(meta.key)
    else byKey.set(meta.key, siblings)
    for (const slice of [...slices]) units.delete(sliceName(meta.id, slice))
    if (report) for (const listener of listeners) listener(meta, 'full')
  }

  function link(entry: Entry): void {
    const variant = JSON.stringify(entry.meta.selecting)
    const before = byKey.get(entry.meta.key) ?? []
    const replaced = before.filter((other) => JSON.stringify(other.meta.selecting) === variant)
    const surplus = before.length - replaced.length + 1 - maxVariants
    const leaving = surplus > 0 ? before.filter((other) => !replaced.includes(other)).slice(0, surplus) : []
    for (const other of [...replaced, ...leaving]) units.delete(other.meta.id)
    byKey.set(entry.meta.key, [...(byKey.get(entry.meta.key) ?? []), entry])
  }

  /** Evicts until `bytes` more fit beside everything that is there. */
  function makeRoom(bytes: number): boolean {
    const bound = maxBytes - taken()
    while (units.calculatedSize + bytes > bound && units.size > 0) units.pop()
    return units.calculatedSize + bytes <= bound
  }

  return {
    name: 'memory',
    async lookup(key) {
      return byKey.get(key) ?? NONE
    },
    peek(key) {
      return byKey.get(key) ?? NONE
    },
    async read(id, { slice, range }: Part = {}) {
      const body = units.get(slice === undefined ? id : sliceName(id, slice))?.body
      if (slice !== undefined) used(id)
      return body === undefined || range === undefined ? body : body.subarray(range.first, range.last + 1)
    },
    has(id, slice) {
      return slicesOf(id)?.has(slice) === true
    },
    async write(meta, body) {
      const entry = new Entry(
        meta,
        meta.sliceBytes === undefined ? (body ?? EMPTY) : undefined,
        early.get(meta.id) ?? new Set(),
        used,
      )
      if (entry.bytes > largest || !makeRoom(entry.bytes)) return false
      early.delete(meta.id)
      link(entry)
      units.set(meta.id, entry)
      responses++
      return true
    },
    async writeSlice(id, slice, bytes) {
      const unit: Slice = { of: id, number: slice, body: bytes, bytes: bytes.byteLength + SLICE_BYTES }
      if (unit.bytes > largest || !makeRoom(unit.bytes)) return false
      let slices = slicesOf(id)
      if (slices === undefined) {
        slices = new Set()
        early.set(id, slices)
      }
      used(id)
      slices.add(slice)
      units.set(sliceName(id, slice), unit)
      return true
    },
    async freshen(meta) {
      const entry = entryOf(meta.id)
      if (entry === undefined) return false
      const { length, sliceBytes } = entry.meta
      const fresher = new Entry({ ...meta, length, sliceBytes }, entry.body, entry.slices, used)
      byKey.set(
        meta.key,
        (byKey.get(meta.key) ?? []).map((other) => (other === entry ? fresher : other)),
      )
      units.set(meta.id, fresher)
      return makeRoom(0)
    },
    async remove(key) {
      const leaving = byKey.get(key) ?? []
      for (const entry of leaving) units.delete(entry.meta.id)
      return leaving.length
    },
    async discard(id) {
      for (const slice of [...(early.get(id) ?? [])]) units.delete(sliceName(id, slice))
      units.delete(id)
    },
    stats() {
      const bytes = units.calculatedSize
      return { responses, bytes, maxBytes, memoryBytes: bytes, evicted, damaged: 0 }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      units.clear()
      byKey.clear()
      early.clear()
    },
  }
}

function sliceName(id: string, slice: number): string {
  return `${id}/${slice}`
}

function metaBytes(meta: StoredMeta): number {
  let characters = meta.key.length + meta.id.length
  for (const text of [...meta.fields, ...meta.withheld, ...meta.surrogateKeys]) characters += text.length + STRING_BYTES
  for (const [name, value] of meta.selecting) characters += name.length + (value?.length ?? 0) + 2 * STRING_BYTES
  return ENTRY_BYTES + characters
}
