// A store on the file system: what it promises, put together from the log, the index, and what shall stay when room is short.
import { mkdir } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { CacheKey, OnEvict, Part, Store, StoredMeta, StoredResponse } from '@simple-cdn/core'
import { lockFolder } from '@simple-cdn/core/log'
import { LRUCache } from 'lru-cache'
import { type EvictionPolicy, secondChance } from './eviction.ts'
import { type Files, realFiles } from './files.ts'
import { ensureFormat } from './folder.ts'
import {
  FRESHENED,
  type Hash,
  HEADER_BYTES,
  hashOf,
  provenHeader,
  REMOVED_ID,
  REMOVED_KEY,
  RESPONSE,
  type RecordHeader,
  SLICE,
} from './record.ts'
import { NONE, type Place, RecordIndex, WHOLE } from './record-index.ts'
import type { Segment } from './segment.ts'
import { type Entry, SegmentLog } from './segment-log.ts'
import { sumOf } from './sum.ts'

const MB = 1024 * 1024

export interface DiskStoreOptions {
  /** Where it keeps its files. One process at a time; it touches no files but its own. */
  folder: string
  /** Bound in bytes for all files in the folder together, also while they are written. At least 256 KiB. */
  maxBytes: number
  /** Most responses under one key; the one stored longest ago leaves first. Default: 100. */
  maxVariants?: number
  /** Bound in bytes for what waits to be written; beyond it, writes are refused. Default: 32 MiB. */
  queueBytes?: number
  /** Bound in bytes for metadata kept in memory after it was read. Default: 4 MiB. */
  metaCacheBytes?: number
  /**
   * How often the disk is asked to keep what was written. Without it, what is stored outlives the process however that ends, but
   * not the last half minute before the machine loses power.
   */
  syncEveryMs?: number
  /** Told in a sentence of what an operator should know: damage, a full disk, a folder in another format. */
  onMessage?: (message: string) => void
}

/** What tests put in place of the real thing. */
export interface Replacements {
  readonly files?: Files
  readonly policy?: EvictionPolicy
  readonly segmentBytes?: number
}

const EMPTY = new Uint8Array(0)
const NOTHING: readonly StoredResponse[] = []

/** A record up to this size is read at once, metadata and body: one read costs less than two. */
const ONE_READ = 32 * 1024
/** How much of a segment is in memory while it is evicted. */
const STEP_BYTES = MB
const STEP_RECORDS = 256

/**
 * Opens the store, with what an earlier process left in the folder, however that ended.
 * @throws RangeError when `maxBytes` is too small to hold anything.
 * @throws Error when another process has the folder, or it cannot be written to.
 */
export function diskStore(options: DiskStoreOptions): Promise<Store> {
  return openDiskStore(options)
}

export async function openDiskStore(options: DiskStoreOptions, replacements: Replacements = {}): Promise<Store> {
  const { folder, maxBytes, queueBytes = 32 * MB, metaCacheBytes = 4 * MB, syncEveryMs, onMessage = () => {} } = options
  const { files = realFiles, policy = secondChance(), segmentBytes = segmentBytesFor(maxBytes) } = replacements
  if (!(maxBytes >= 256 * 1024)) throw new RangeError(`maxBytes is ${maxBytes}; a disk store needs at least 262144`)

  const listeners: OnEvict[] = []
  let evicted = 0
  let damaged = 0

  const metas = new LRUCache<number, StoredMeta>({ maxSize: metaCacheBytes, maxEntrySize: metaCacheBytes / 4 })
  const index = new RecordIndex({ maxVariants: options.maxVariants ?? 100, onChange: (slot) => metas.delete(slot) })
  const log = new SegmentLog({
    folder,
    files,
    // The lock, the format, the folder itself.
    maxBytes: maxBytes - 16 * 1024,
    segmentBytes,
    queueBytes,
    syncs: syncEveryMs !== undefined,
    apply: (header, segment, verified) => index.apply(header, segment, verified),
    evict,
    onDamage: () => damaged++,
    onMessage,
  })

  const bare = { keyA: 0, keyB: 0, idA: 0, idB: 0, variant: 0, part: 0, metaBytes: 0, bodyBytes: 0, metaCrc: 0, bodySum: 0 }

  await mkdir(folder, { recursive: true })
  const release = await lockFolder(folder)
  try {
    await ensureFormat(folder, maxBytes, onMessage)
    await log.recover()
    log.evictAhead()
    // Written down, so that they are not taken for slices of a response that is written under the same id later on.
    for (const { a, b } of index.removeEarly()) log.append({ header: { ...bare, kind: REMOVED_ID, idA: a, idB: b } })
  } catch (error) {
    await log.close().catch(() => {})
    await release()
    throw error
  }
  const timer = syncEveryMs === undefined ? undefined : setInterval(() => void log.sync(), syncEveryMs).unref()

  /** Remembers metadata that has just been written or read. */
  function keepMeta(slot: number, meta: StoredMeta, bytes: number): void {
    // Objects take more than their text; measured at two to three times.
    metas.set(slot, meta, { size: 3 * bytes + 100 })
  }

  function use(slot: number): void {
    const uses = index.usesOf(slot)
    if (uses < policy.mostUses) index.setUses(slot, uses + 1)
    if (!index.isSlice(slot)) return
    const response = index.find(index.idOf(slot), WHOLE)
    if (response !== NONE) use(response)
  }

  /** Whether a slot still stands for what lay at a place before a wait. */
  function isAt(slot: number, { segment, bodyAt }: Place): boolean {
    const place = index.placeOf(slot)
    return place.segment === segment && place.bodyAt === bodyAt
  }

  /** Drops what is not what had been written. */
  function dropDamaged(id: Hash, part: number, place: Place, meta?: StoredMeta): void {
    const slot = index.find(id, part)
    if (slot === NONE || !isAt(slot, place)) return
    const told = meta ?? metas.peek(slot)
    index.remove(slot)
    damaged++
    if (part === WHOLE && told !== undefined) for (const listener of listeners) listener(told, 'damaged')
  }

  /** The metadata at a place, when these bytes prove to be it. */
  function provenMeta(
    bytes: Buffer,
    offset: number,
    id: Hash,
    place: Place,
  ): { meta: StoredMeta; header: RecordHeader } | undefined {
    const nonce = log.nonceOf(place.metaSegment)
    const header = nonce === undefined ? undefined : provenHeader(bytes, offset, nonce, place.metaAt)
    if (header === undefined || header.idA !== id.a || header.idB !== id.b || header.metaBytes !== place.metaBytes)
      return undefined
    const text = bytes.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + place.metaBytes)
    if (text.byteLength < place.metaBytes || crc32(text) !== header.metaCrc) return undefined
    const meta = JSON.parse(text.toString('utf8')) as StoredMeta
    return { meta, header }
  }

  async function readStored(slot: number): Promise<StoredResponse | undefined> {
    const cached = metas.get(slot)
    if (cached !== undefined) return { meta: cached }
    const id = index.idOf(slot)
    const place = index.placeOf(slot)
    const headBytes = HEADER_BYTES + place.metaBytes
    const isTogether = place.bodyAt === place.metaAt + headBytes && place.segment === place.metaSegment
    const together = isTogether && index.slicesOf(slot) === 0 && headBytes + place.bodyBytes <= ONE_READ
    const bytes = Buffer.allocUnsafeSlow(headBytes + (together ? place.bodyBytes : 0))
    const filled = await log.read(place.metaSegment, bytes, place.metaAt)
    // It may have left, or moved, or been freshened while we read.
    const now = index.find(id, WHOLE)
    if (now === NONE) return undefined
    const proven = filled ? provenMeta(bytes, 0, id, place) : undefined
    if (proven === undefined) {
      const { metaSegment, metaAt } = index.placeOf(now)
      if (metaSegment !== place.metaSegment || metaAt !== place.metaAt) return readStored(now)
      dropDamaged(id, WHOLE, index.placeOf(now))
      return undefined
    }
    const { meta } = proven
    if (meta.v !== 1) {
      // Another release's: of no use to this one.
      index.remove(now)
      return undefined
    }
    const { metaSegment, metaAt } = index.placeOf(now)
    if (metaSegment === place.metaSegment && metaAt === place.metaAt) keepMeta(now, meta, place.metaBytes)
    if (!together) return { meta }
    const body = new Uint8Array(bytes.buffer, bytes.byteOffset + headBytes, place.bodyBytes)
    if (!index.isVerified(now)) {
      if (sumOf(body) !== place.bodySum) {
        dropDamaged(id, WHOLE, place, meta)
        return undefined
      }
      if (isAt(now, place)) index.setVerified(now)
    }
    return {
      meta,
      open() {
        const still = index.find(id, WHOLE)
        if (still !== NONE) use(still)
        return body
      },
    }
  }

  async function read(id: Hash, part: number, { range, into }: Part): Promise<Uint8Array | undefined> {
    const slot = index.find(id, part)
    if (slot === NONE || (part === WHOLE && index.slicesOf(slot) > 0)) return undefined
    use(slot)
    const place = index.placeOf(slot)
    const first = Math.min(range?.first ?? 0, place.bodyBytes)
    const end = Math.min(range === undefined ? place.bodyBytes : range.last + 1, place.bodyBytes)
    const wanted = Math.max(0, end - first)
    if (place.bodyBytes === 0) return EMPTY
    const isVerified = index.isVerified(slot)
    const isAll = wanted === place.bodyBytes
    const target = (into?.(wanted) ?? new Uint8Array(wanted)).subarray(0, wanted)
    // What was not read since the start is read whole, once.
    const bytes = isVerified || isAll ? target : new Uint8Array(place.bodyBytes)
    const filled = await log.read(place.segment, bytes, place.bodyAt + (isVerified ? first : 0))
    if (!filled || (!isVerified && sumOf(bytes) !== place.bodySum)) {
      const now = index.find(id, part)
      if (now === NONE) return undefined
      // The segment went while we were about to read, and this moved to another.
      if (!isAt(now, place)) return read(id, part, { range, into: () => target })
      const meta = part === WHOLE && listeners.length > 0 ? (await readMetaOf(now))?.meta : undefined
      dropDamaged(id, part, place, meta)
      return undefined
    }
    const now = index.find(id, part)
    if (!isVerified && now !== NONE && isAt(now, place)) index.setVerified(now)
    if (bytes !== target) target.set(bytes.subarray(first, end))
    return target
  }

  /** Metadata as it was written, with its checksum, whatever becomes of the slot meanwhile. */
  async function readMetaOf(slot: number): Promise<{ meta: StoredMeta; text: Buffer; crc: number } | undefined> {
    const id = index.idOf(slot)
    const place = index.placeOf(slot)
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + place.metaBytes)
    if (!(await log.read(place.metaSegment, bytes, place.metaAt))) return undefined
    const proven = provenMeta(bytes, 0, id, place)
    return proven && { meta: proven.meta, text: bytes.subarray(HEADER_BYTES), crc: proven.header.metaCrc }
  }

  /** Gives up a segment: what is worth it is written again, the rest leaves. */
  async function evict(segment: Segment): Promise<void> {
    const slots = index.inSegment(segment.number)
    const candidates = slots.map((slot) => {
      const { bodyBytes, metaBytes } = index.placeOf(slot)
      return { bytes: HEADER_BYTES + bodyBytes + (index.isSlice(slot) ? 0 : metaBytes), uses: index.usesOf(slot) }
    })
    // A third of the segment, so that most of it comes free; a segment that is one large record may move whole.
    const largest = candidates.reduce((most, { bytes }) => Math.max(most, bytes), 0)
    const kept = policy.survivors(candidates, Math.min(log.reserve, Math.max(segment.end / 3, largest)))
    const survivors = kept
      .map((position) => slots[position] as number)
      .map((slot) => ({ id: index.idOf(slot), part: index.partOf(slot) }))
    for (const step of inSteps(survivors, ({ id, part }) => bodyBytesOf(id, part)))
      await Promise.all(step.map(({ id, part }) => move(id, part, segment.number)))
    for (const step of inSteps(index.inSegment(segment.number), () => 0)) await giveUp(step, segment.number)
    await log.drop(segment)
  }

  function bodyBytesOf(id: Hash, part: number): number {
    const slot = index.find(id, part)
    return slot === NONE ? 0 : index.placeOf(slot).bodyBytes
  }

  async function move(id: Hash, part: number, segment: number): Promise<void> {
    const slot = index.find(id, part)
    if (slot === NONE) return
    const place = index.placeOf(slot)
    if (place.segment !== segment) return
    const body = new Uint8Array(place.bodyBytes)
    const meta = part === WHOLE ? await readMetaOf(slot) : undefined
    if (part === WHOLE && meta === undefined) return dropDamaged(id, part, place)
    if (!(await log.read(segment, body, place.bodyAt)) || sumOf(body) !== place.bodySum)
      return dropDamaged(id, part, place, meta?.meta)
    const current = index.find(id, part)
    if (current === NONE || !isAt(current, place)) return
    const entry: Entry = {
      header: { ...index.headerOf(current, meta?.crc ?? 0), metaBytes: meta?.text.byteLength ?? 0 },
      ...(meta && { meta: meta.text }),
      body,
      wanted() {
        const now = index.find(id, part)
        if (now === NONE || !isAt(now, place)) return false
        const { metaSegment, metaAt } = index.placeOf(now)
        return metaSegment === place.metaSegment && metaAt === place.metaAt
      },
    }
    if (await log.move(entry)) {
      const moved = index.find(id, part)
      if (moved !== NONE) index.setUses(moved, policy.usesAfterMove(index.usesOf(moved)))
      return
    }
    // Freshened meanwhile: the record to write is another one now.
    const now = index.find(id, part)
    if (now !== NONE && isAt(now, place) && index.placeOf(now).metaSegment !== place.metaSegment) await move(id, part, segment)
  }

  async function giveUp(slots: readonly number[], segment: number): Promise<void> {
    const leaving = slots.map((slot) => ({ id: index.idOf(slot), part: index.partOf(slot) }))
    const told =
      listeners.length > 0 ? await metasOf(slots.filter((slot) => !index.isSlice(slot))) : new Map<string, StoredMeta>()
    const before = index.records
    for (const { id, part } of leaving) {
      const slot = index.find(id, part)
      // It may have been removed or replaced while metadata was read: then it does not leave on our account.
      if (slot === NONE || index.placeOf(slot).segment !== segment) continue
      index.remove(slot)
      const meta = part === WHOLE ? told.get(`${id.a} ${id.b}`) : undefined
      if (meta !== undefined) for (const listener of listeners) listener(meta, 'full')
    }
    evicted += before - index.records
    await new Promise((resolve) => setImmediate(resolve))
  }

  async function metasOf(slots: readonly number[]): Promise<Map<string, StoredMeta>> {
    const found = new Map<string, StoredMeta>()
    await Promise.all(
      slots.map(async (slot) => {
        const { a, b } = index.idOf(slot)
        const meta = metas.peek(slot) ?? (await readMetaOf(slot))?.meta
        if (meta !== undefined) found.set(`${a} ${b}`, meta)
      }),
    )
    return found
  }

  function keyed(meta: StoredMeta): {
    id: Hash
    header: Omit<RecordHeader, 'at' | 'kind' | 'bodyBytes' | 'bodySum'>
    text: Buffer
  } {
    const id = hashOf(meta.id)
    const key = hashOf(meta.key)
    const text = Buffer.from(JSON.stringify(meta))
    const header = {
      idA: id.a,
      idB: id.b,
      keyA: key.a,
      keyB: key.b,
      variant: hashOf(JSON.stringify(meta.selecting)).a,
      part: meta.sliceBytes === undefined ? 0 : Math.ceil(meta.length / meta.sliceBytes),
      metaBytes: text.byteLength,
      metaCrc: crc32(text),
    }
    return { id, header, text }
  }

  async function writeMeta(kind: number, meta: StoredMeta, body: Uint8Array): Promise<boolean> {
    const { id, header, text } = keyed(meta)
    const full = { ...header, kind, bodyBytes: body.byteLength, bodySum: sumOf(body) }
    if (!(await log.append({ header: full, meta: text, body }))) return false
    const slot = index.find(id, WHOLE)
    if (slot !== NONE) keepMeta(slot, meta, text.byteLength)
    return true
  }

  return {
    name: 'disk',
    copies: true,
    async lookup(key) {
      const slots = index.underKey(hashOf(key)).reverse()
      if (slots.length === 0) return NOTHING
      const found = await Promise.all(slots.map(readStored))
      return found.filter((stored) => stored?.meta.key === key) as StoredResponse[]
    },
    peek(key) {
      const slots = index.underKey(hashOf(key))
      if (slots.length === 0) return NOTHING
      const known: StoredResponse[] = []
      for (let at = slots.length - 1; at >= 0; at--) {
        const meta = metas.get(slots[at] as number)
        if (meta === undefined) return undefined
        if (meta.key === key) known.push({ meta })
      }
      return known
    },
    read: (id, part = {}) => read(hashOf(id), part.slice ?? WHOLE, part),
    has: (id, slice) => index.find(hashOf(id), slice) !== NONE,
    write: (meta, body = EMPTY) => writeMeta(RESPONSE, meta, body),
    async writeSlice(id, slice, bytes) {
      const { a, b } = hashOf(id)
      if (!index.isExpected({ a, b }, slice)) return false
      // A response that is being filled is in use, though nobody has read of it yet.
      const response = index.find({ a, b }, WHOLE)
      if (response !== NONE) use(response)
      const header = { ...bare, kind: SLICE, idA: a, idB: b, part: slice, bodyBytes: bytes.byteLength, bodySum: sumOf(bytes) }
      return log.append({ header, body: bytes })
    },
    async freshen(meta) {
      if (index.find(hashOf(meta.id), WHOLE) === NONE) return false
      return writeMeta(FRESHENED, meta, EMPTY)
    },
    async remove(key: CacheKey) {
      const { a, b } = hashOf(key)
      const removed = index.removeKey({ a, b })
      // A write under this key may be waiting in the queue.
      if (removed > 0 || !log.isIdle) await log.append({ header: { ...bare, kind: REMOVED_KEY, keyA: a, keyB: b } })
      return removed
    },
    async discard(id) {
      const { a, b } = hashOf(id)
      const removed = index.removeId({ a, b })
      if (removed || !log.isIdle) await log.append({ header: { ...bare, kind: REMOVED_ID, idA: a, idB: b } })
    },
    async *all() {
      for (let slot = index.nextResponse(NONE); slot !== NONE; slot = index.nextResponse(slot)) {
        const meta = metas.peek(slot) ?? (await readMetaOf(slot))?.meta
        if (meta?.v === 1) yield meta
      }
    },
    stats() {
      return {
        responses: index.responses,
        bytes: log.bytes,
        maxBytes,
        memoryBytes: index.memoryBytes + log.memoryBytes + metas.calculatedSize,
        evicted,
        damaged,
      }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      clearInterval(timer)
      await log.close()
      await release()
    },
  }
}

/** At least 32 segments, so that one is a small part of the whole; at most 1,024, each of them an open file. */
function segmentBytesFor(maxBytes: number): number {
  return Math.floor(Math.max(32 * 1024, Math.min(maxBytes / 32, 64 * MB), maxBytes / 1024))
}

/** Parts of a list: so many at a time, of so many bytes together. */
function* inSteps<T>(list: readonly T[], bytesOf: (each: T) => number): Iterable<T[]> {
  let step: T[] = []
  let bytes = 0
  for (const each of list) {
    step.push(each)
    bytes += bytesOf(each)
    if (step.length < STEP_RECORDS && bytes < STEP_BYTES) continue
    yield step
    step = []
    bytes = 0
  }
  if (step.length > 0) yield step
}
