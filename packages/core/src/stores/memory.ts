// The default store: bodies in memory, within a hard bound. What leaves for others, an eviction policy says.
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'
import { type Eviction, sampled } from './eviction.ts'
import type { OnEvict, Part, Store, StoredResponse } from './store.ts'

export interface MemoryStoreOptions {
  /** Bound in bytes for bodies, fields and bookkeeping together. At least 64 KiB. */
  maxBytes: number
  /** Most responses under one key; the one stored longest ago leaves first. Default: 100. */
  maxVariants?: number
  /** Bytes of the bound that others take just now: what is on its way to clients and into the store. Default: none. */
  taken?: () => number
  /** Who leaves when it is full; for this store alone. Default: `sampled({ sizeExponent: 1 })`. */
  eviction?: Eviction
}

/** What an entry costs besides the characters of its strings and its body: measured at 900 to 1,000 bytes. */
const ENTRY_BYTES = 1024
const SLICE_BYTES = 300
const STRING_BYTES = 40

const NONE: readonly StoredResponse[] = []
const EMPTY = new Uint8Array(0)
/** Instead of a unit, when it has left. */
const GONE = -1

/** A response, or the slices that have come before it. */
class Held {
  readonly id: string
  unit: number
  bytes: number
  readonly slices = new Map<number, Slice>()
  /** The response as it is handed out, once it has been written. */
  entry: Entry | undefined

  constructor(id: string, unit: number, bytes: number) {
    this.id = id
    this.unit = unit
    this.bytes = bytes
  }
}

class Slice {
  readonly of: Held
  readonly number: number
  readonly body: Uint8Array
  readonly bytes: number
  unit: number

  constructor(of: Held, number: number, body: Uint8Array, unit: number) {
    this.of = of
    this.number = number
    this.body = body
    this.bytes = body.byteLength + SLICE_BYTES
    this.unit = unit
  }
}

/** A response with its body, when it is kept in one piece. Who was given it keeps it as it is, though it is freshened or leaves. */
class Entry implements StoredResponse {
  readonly meta: StoredMeta
  readonly body: Uint8Array | undefined
  readonly held: Held
  readonly #eviction: Eviction

  constructor(meta: StoredMeta, body: Uint8Array | undefined, held: Held, eviction: Eviction) {
    this.meta = meta
    this.body = body
    this.held = held
    this.#eviction = eviction
  }

  open(): Uint8Array | undefined {
    if (this.held.unit !== GONE) this.#eviction.use(this.held.unit)
    return this.body
  }
}

/** @throws RangeError when `maxBytes` is too small to hold anything. */
export function memoryStore(options: MemoryStoreOptions): Store {
  return memoryStoreOf(options)
}

/** Who uses the memory of slices again. It has to be this store's alone. */
interface SliceMemory {
  /** The store does not have it any more. */
  letGo(memory: Uint8Array): void
  /** It has been handed out, for ever. */
  lose(memory: Uint8Array): void
}

/** `memory`: told what becomes of slices. Throws as `memoryStore` does. */
export function memoryStoreOf(options: MemoryStoreOptions, memory?: SliceMemory): Store {
  const { maxBytes, maxVariants = 100, taken = () => 0, eviction = sampled({ sizeExponent: 1 }) } = options
  if (!(maxBytes >= 65_536)) throw new RangeError(`maxBytes is ${maxBytes}; a memory store needs at least 65536`)
  const byKey = new Map<CacheKey, readonly Entry[]>()
  const byId = new Map<string, Held>()
  /** By the number that the eviction policy has given them. */
  const units: (Held | Slice | undefined)[] = []
  const listeners: OnEvict[] = []
  // A larger one would empty the store for everybody else.
  const largest = maxBytes / 2
  let bytesHeld = 0
  let responses = 0
  let evicted = 0

  function hold(unit: Held | Slice): void {
    units[unit.unit] = unit
    bytesHeld += unit.bytes
  }

  function letGo(unit: Held | Slice): void {
    eviction.remove(unit.unit)
    units[unit.unit] = undefined
    bytesHeld -= unit.bytes
    unit.unit = GONE
  }

  function dropSlice(slice: Slice): void {
    slice.of.slices.delete(slice.number)
    letGo(slice)
    memory?.letGo(slice.body)
  }

  function drop(held: Held): void {
    for (const slice of held.slices.values()) dropSlice(slice)
    letGo(held)
    byId.delete(held.id)
    if (held.entry === undefined) return
    responses--
    const { key } = held.entry.meta
    const siblings = byKey.get(key)?.filter((other) => other.held !== held) ?? []
    if (siblings.length === 0) byKey.delete(key)
    else byKey.set(key, siblings)
  }

  /** Evicts until `bytes` more fit beside everything that is there. */
  function makeRoom(bytes: number): boolean {
    // What leaves may be taken for what comes next.
    while (bytesHeld + bytes > maxBytes - taken()) {
      const next = eviction.next()
      const unit = next === undefined ? undefined : units[next]
      if (unit === undefined) return false
      evicted += 1
      if (unit instanceof Slice) {
        dropSlice(unit)
        continue
      }
      evicted += unit.slices.size
      drop(unit)
      if (unit.entry !== undefined) for (const listener of listeners) listener(unit.entry.meta, 'full')
    }
    return true
  }

  /** Takes out what a response under this key and with these selecting fields replaces, and what is too many. */
  function replace(key: CacheKey, variant: string): void {
    const before = byKey.get(key) ?? []
    const replaced = before.filter((other) => JSON.stringify(other.meta.selecting) === variant)
    const surplus = before.length - replaced.length + 1 - maxVariants
    const leaving = surplus > 0 ? before.filter((other) => !replaced.includes(other)).slice(0, surplus) : []
    for (const { held } of [...replaced, ...leaving]) drop(held)
  }

  /** Takes in a slice that there is room for. */
  function holdSlice(of: Held, number: number, body: Uint8Array): void {
    const slice = new Slice(of, number, body, eviction.addSlice(body.byteLength + SLICE_BYTES, of.unit))
    of.slices.set(number, slice)
    hold(slice)
  }

  function use(id: string, number: number | undefined, offset: number): Uint8Array | undefined {
    const held = byId.get(id)
    if (number === undefined) return held?.entry?.open()
    const slice = held?.slices.get(number)
    if (slice !== undefined) eviction.useSlice(slice.unit, offset)
    return slice?.body
  }

  function readNow(id: string, { slice, range, hold }: Part = {}): Uint8Array | undefined {
    const body = use(id, slice, range?.first ?? 0)
    if (body !== undefined && slice !== undefined) {
      if (hold === undefined) memory?.lose(body)
      else hold(body)
    }
    return body === undefined || range === undefined ? body : body.subarray(range.first, range.last + 1)
  }

  return {
    name: 'memory',
    async lookup(key) {
      return byKey.get(key) ?? NONE
    },
    peek(key) {
      return byKey.get(key) ?? NONE
    },
    async read(id, part) {
      return readNow(id, part)
    },
    readNow,
    has(id, slice) {
      return byId.get(id)?.slices.has(slice) === true
    },
    async write(meta, body) {
      const whole = meta.sliceBytes === undefined ? (body ?? EMPTY) : undefined
      const bytes = (whole?.byteLength ?? 0) + metaBytes(meta)
      if (bytes > largest || !makeRoom(bytes)) return false
      const variant = JSON.stringify(meta.selecting)
      const early = byId.get(meta.id)
      const slices = early === undefined ? [] : [...early.slices.values()]
      for (const slice of slices) letGo(slice)
      early?.slices.clear()
      if (early !== undefined) drop(early)
      replace(meta.key, variant)
      const held = new Held(meta.id, eviction.add(bytes, meta.key + variant), bytes)
      held.entry = new Entry(meta, whole, held, eviction)
      hold(held)
      byId.set(meta.id, held)
      byKey.set(meta.key, [...(byKey.get(meta.key) ?? []), held.entry])
      responses++
      for (const { number, body } of slices) holdSlice(held, number, body)
      return true
    },
    async writeSlice(id, slice, bytes) {
      const size = bytes.byteLength + SLICE_BYTES
      if (size > largest || !makeRoom(size + ENTRY_BYTES)) return false
      let held = byId.get(id)
      if (held === undefined) {
        held = new Held(id, eviction.add(ENTRY_BYTES, id), ENTRY_BYTES)
        hold(held)
        byId.set(id, held)
      }
      const before = held.slices.get(slice)
      if (before?.body === bytes) return true
      if (before !== undefined) dropSlice(before)
      holdSlice(held, slice, bytes)
      return true
    },
    async freshen(meta) {
      const held = byId.get(meta.id)
      const before = held?.entry
      if (held === undefined || before === undefined) return false
      const { length, sliceBytes } = before.meta
      const entry = new Entry({ ...meta, length, sliceBytes }, before.body, held, eviction)
      held.entry = entry
      bytesHeld -= held.bytes
      held.bytes = (before.body?.byteLength ?? 0) + metaBytes(entry.meta)
      bytesHeld += held.bytes
      byKey.set(
        meta.key,
        (byKey.get(meta.key) ?? []).map((other) => (other === before ? entry : other)),
      )
      makeRoom(0)
      return held.unit !== GONE
    },
    async remove(key) {
      const leaving = byKey.get(key) ?? []
      for (const { held } of leaving) drop(held)
      return leaving.length
    },
    async discard(id) {
      const held = byId.get(id)
      if (held !== undefined) drop(held)
    },
    touch(id, slice) {
      use(id, slice, 0)
    },
    *all() {
      for (const entries of byKey.values()) for (const { meta } of entries) yield meta
    },
    stats() {
      return { responses, bytes: bytesHeld, maxBytes, memoryBytes: bytesHeld, evicted, damaged: 0 }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      for (const held of [...byId.values()]) drop(held)
    },
  }
}

function metaBytes(meta: StoredMeta): number {
  let characters = meta.key.length + meta.id.length
  for (const text of [...meta.fields, ...meta.withheld, ...meta.surrogateKeys]) characters += text.length + STRING_BYTES
  for (const [name, value] of meta.selecting) characters += name.length + (value?.length ?? 0) + 2 * STRING_BYTES
  return ENTRY_BYTES + characters
}
