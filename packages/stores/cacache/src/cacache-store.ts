// A store in cacache's format: an index in memory, the bound, and what leaves when room is short; files.ts does the rest.
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { CacheKey, OnEvict, Part, Store, StoredMeta, StoredResponse } from '@simple-cdn/core'
import { LRUCache } from 'lru-cache'
import { cacache } from './calls.ts'
import { entryBytesOf, entryKey, integrityOf, metadataOf, metaOf } from './entry.ts'
import { Files } from './files.ts'
import { onDisk } from './footprint.ts'
import { recover } from './recovery.ts'
import { type Listed, takeSnapshot, writeSnapshot } from './snapshot.ts'

const MB = 1024 * 1024

export interface CacacheStoreOptions {
  /** Where cacache keeps its files. A folder of its own, and one process at a time. */
  folder: string
  /** Bound in bytes for everything in the folder, as the disk counts it: whole blocks, and the folders themselves. At least 1 MiB. */
  maxBytes: number
  /** Most responses under one key; the one stored longest ago leaves first. Default: 100. */
  maxVariants?: number
  /** Bound in bytes for what waits to be written; beyond it, writes are refused. Default: 32 MiB. */
  queueBytes?: number
  /** Bound in bytes for what is kept in memory after it was read: metadata, and as much again of bodies read in parts. Default: 8 MiB. */
  recentBytes?: number
}

/** The folders at the top, and what is renamed over what. */
const FIXED_BYTES = 64 * 1024

/** What an entry costs in memory, besides the characters of its strings: measured by test/measure.ts. */
const ENTRY_MEMORY = 640
const FOLDERS_MEMORY = 2 * 65_536 * 4

/** Folders that are open in this process. */
const open = new Set<string>()

const NONE: readonly StoredResponse[] = []
const EMPTY = new Uint8Array(0)

/** A response or a slice, as it is kept in memory. */
interface Unit extends Listed {
  /** Of a response: its slices that are there. */
  slices: Set<number> | undefined
  /** Left, or told to before it was written. */
  isGone: boolean
  why: 'full' | 'damaged' | undefined
  /** What is being done with its entry. */
  work: Promise<unknown> | undefined
}

/** A failed read that says something about what is on the disk, and not about how busy the machine is. */
const DAMAGE: ReadonlySet<unknown> = new Set(['EINTEGRITY', 'EBADSIZE', 'ENOENT', 'EISDIR', 'ENOTDIR', 'EIO'])

/**
 * Opens a store, with what an earlier one left in the folder.
 * @throws RangeError when `maxBytes` is too small to hold anything; Error when the folder cannot be used, or is not for this store.
 */
export async function cacacheStore(options: CacacheStoreOptions): Promise<Store> {
  const folder = resolve(options.folder)
  if (!(options.maxBytes >= MB)) throw new RangeError(`maxBytes is ${options.maxBytes}; a cacache store needs at least ${MB}`)
  if (open.has(folder)) throw new Error(`${folder} is open already: it belongs to one store at a time`)
  open.add(folder)
  try {
    await mkdir(folder, { recursive: true })
    return await openStore({ ...options, folder })
  } catch (error) {
    open.delete(folder)
    throw error
  }
}

async function openStore(options: CacacheStoreOptions): Promise<Store> {
  const { folder, maxBytes, maxVariants = 100, queueBytes = 32 * MB, recentBytes = 8 * MB } = options
  const bound = maxBytes - FIXED_BYTES
  // A larger one would empty the store for everybody else.
  const largest = bound / 2
  const files = new Files(folder)
  const byKey = new Map<string, readonly Unit[]>()
  /** Slices whose response has not been written yet. */
  const early = new Map<string, Set<number>>()
  /** Being written, by the key of its entry. */
  const pending = new Map<string, { readonly unit: Unit; readonly written: Promise<boolean> }>()
  const freshening = new Set<Promise<boolean>>()
  const erasing = new Set<Promise<void>>()
  /** Could not be removed: counted until it can. */
  const stuck: Unit[] = []
  const listeners: OnEvict[] = []
  let queued = 0
  let strings = 0
  let responses = 0
  let evicted = 0
  let damaged = 0
  /** Takes nothing any more; touches the files no more. */
  let isClosed = false
  let isShut = false

  const units = new LRUCache<string, Unit>({
    // Never reached: makeRoom() counts what is shared.
    maxSize: Number.MAX_SAFE_INTEGER,
    sizeCalculation: () => 1,
    dispose(unit, _, reason) {
      if (reason === 'evict') {
        evicted++
        unit.why = 'full'
      }
      leave(unit)
    },
  })
  const metas = new LRUCache<string, StoredMeta>({ maxSize: recentBytes / 2, maxEntrySize: recentBytes / 8 })
  const recent = new LRUCache<string, Uint8Array>({ maxSize: recentBytes, sizeCalculation: (data) => data.byteLength })
  const reading = new Map<string, Promise<Uint8Array | undefined>>()

  const unitOf = (id: string, slice = -1): Unit | undefined => units.peek(entryKey(id, slice))
  const use = (id: string, slice = -1): Unit | undefined => units.get(entryKey(id, slice))
  const slicesOf = (id: string): Set<number> | undefined => unitOf(id)?.slices ?? early.get(id)

  function enter(unit: Unit): void {
    if (unit.slice < 0) link(unit)
    else {
      let slices = slicesOf(unit.id)
      if (slices === undefined) {
        slices = new Set()
        const response = unitOf(unit.id)
        if (response === undefined) early.set(unit.id, slices)
        else response.slices = slices
      }
      slices.add(unit.slice)
    }
    strings += stringsOf(unit)
    units.set(entryKey(unit.id, unit.slice), unit)
  }

  function link(unit: Unit): void {
    const key = unit.key as string
    const before = byKey.get(key) ?? []
    const replaced = before.filter((other) => other.variant === unit.variant)
    const surplus = before.length - replaced.length + 1 - maxVariants
    const leaving = surplus > 0 ? before.filter((other) => !replaced.includes(other)).slice(0, surplus) : []
    for (const other of [...replaced, ...leaving]) units.delete(entryKey(other.id, -1))
    byKey.set(key, [...(byKey.get(key) ?? []), unit])
    unit.slices = early.get(unit.id)
    early.delete(unit.id)
    responses++
  }

  /** Takes what has left out of the index, its slices with it, and its files from the disk. */
  function leave(unit: Unit): void {
    const { id, slice, key } = unit
    strings -= stringsOf(unit)
    if (slice >= 0) {
      const slices = slicesOf(id)
      slices?.delete(slice)
      if (early.get(id)?.size === 0) early.delete(id)
    } else {
      responses--
      const siblings = (byKey.get(key as string) ?? []).filter((other) => other !== unit)
      if (siblings.length === 0) byKey.delete(key as string)
      else byKey.set(key as string, siblings)
      for (const number of [...(unit.slices ?? [])]) units.delete(entryKey(id, number))
      for (const { unit: other } of pending.values()) if (other.id === id) other.isGone = true
    }
    files.delete(unit)
    erase(unit)
  }

  /** Removes the files of what is no longer counted. Nobody waits for it but who needs the room. */
  function erase(unit: Unit): void {
    unit.isGone = true
    if (isShut) return
    recent.delete(unit.digest)
    const removal = files
      .remove(unit, report(unit))
      .catch(() => {
        files.add(unit)
        stuck.push(unit)
      })
      .finally(() => erasing.delete(removal))
    erasing.add(removal)
  }

  /** Waits for what is being done with an entry, and tells whoever wants to know that it leaves. */
  async function report(unit: Unit): Promise<void> {
    await unit.work
    const { id, slice, why } = unit
    if (slice >= 0) return
    const meta = metas.peek(id) ?? (why === undefined || listeners.length === 0 ? undefined : await readMeta(unit))
    metas.delete(id)
    unit.why = undefined
    if (why !== undefined && meta !== undefined) for (const listener of listeners) listener(meta, why)
  }

  function* inOrderOfUse(): Iterable<Listed> {
    for (const unit of units.rvalues()) if (unit !== undefined) yield unit
  }

  /** Tries again to remove what could not be removed. */
  function retryStuck(): void {
    for (const unit of stuck.splice(0, 4)) {
      files.delete(unit)
      const name = entryKey(unit.id, unit.slice)
      // Written anew since: its entry is another's now.
      if (!units.has(name) && !pending.has(name)) erase(unit)
    }
  }

  /** Evicts until everything that is counted fits. */
  function makeRoom(): boolean {
    retryStuck()
    while (files.bytes > bound && units.size > 0) units.pop()
    return files.bytes <= bound
  }

  /** Puts a response or a slice into files, then into the index. */
  function admit(unit: Unit, data: Uint8Array, metadata: object): Promise<boolean> {
    if (isClosed || onDisk(unit.size) + onDisk(unit.entryBytes) > largest) return REFUSED
    const waits = data.byteLength + onDisk(unit.entryBytes)
    if (queued + waits > queueBytes && queued > 0) return REFUSED
    files.add(unit)
    if (!makeRoom()) {
      files.delete(unit)
      return REFUSED
    }
    queued += waits
    const name = entryKey(unit.id, unit.slice)
    const written = Promise.all(erasing)
      .then(() => files.write(unit, data, metadata))
      .then(
        () => true,
        () => false,
      )
      .then((isWritten) => {
        queued -= waits
        pending.delete(name)
        if (isWritten && !unit.isGone) {
          enter(unit)
          return true
        }
        files.delete(unit)
        erase(unit)
        return false
      })
    pending.set(name, { unit, written })
    return written
  }

  async function readMeta(unit: Unit): Promise<StoredMeta | undefined> {
    const entry = await cacache.get.info(folder, entryKey(unit.id, unit.slice), { memoize: false }).catch(() => undefined)
    return entry === undefined || entry === null ? undefined : metaOf(entry, unit.id)
  }

  /** The metadata of a response; what cannot be read is damaged, and leaves. */
  async function meta(unit: Unit): Promise<StoredMeta | undefined> {
    const known = metas.get(unit.id)
    if (known !== undefined) return known
    const read = await readMeta(unit)
    if (unit.isGone) return undefined
    if (read === undefined) {
      drop(unit, 'damaged')
      return undefined
    }
    if (unit.work === undefined && !metas.has(unit.id)) metas.set(unit.id, read, { size: unit.entryBytes })
    return metas.get(unit.id) ?? read
  }

  function drop(unit: Unit, why: 'damaged'): void {
    damaged++
    unit.why = why
    units.delete(entryKey(unit.id, unit.slice))
  }

  async function content(unit: Unit): Promise<Uint8Array | undefined> {
    if (unit.size === 0) return EMPTY
    try {
      return await cacache.get.byDigest(folder, integrityOf(unit.digest), { memoize: false, size: unit.size })
    } catch (error) {
      if (unit.isGone || !DAMAGE.has((error as NodeJS.ErrnoException).code)) return undefined
      // All of them, since cacache would not write anew what one of them keeps in its place.
      const sharing = files.refs(unit.digest) === 1 ? [unit] : [...units.values()].filter(({ digest }) => digest === unit.digest)
      for (const other of sharing) if (!other.isGone) drop(other, 'damaged')
      return undefined
    }
  }

  /** cacache reads contents whole: of one that is read in parts, the next part comes from memory. */
  async function contentInParts(unit: Unit): Promise<Uint8Array | undefined> {
    const { digest } = unit
    const known = recent.get(digest)
    if (known !== undefined) return known
    const underway = reading.get(digest)
    if (underway !== undefined) return underway
    const read = content(unit).finally(() => reading.delete(digest))
    reading.set(digest, read)
    const data = await read
    if (data !== undefined && data.byteLength > 0 && !unit.isGone) recent.set(digest, data)
    return data
  }

  async function freshen(unit: Unit, fresher: StoredMeta): Promise<boolean> {
    if (isClosed || unit.isGone) return false
    const metadata = metadataOf(fresher)
    const before = unit.entryBytes
    const entryBytes = entryBytesOf(entryKey(unit.id, -1), metadata)
    // The old one, both in one file, and the new one beside that.
    const beside = 2 * (onDisk(before) + onDisk(entryBytes))
    use(unit.id)
    files.reserve(beside)
    try {
      if (!makeRoom() || unit.isGone) return false
      await Promise.all(erasing)
      await files.rewrite(unit, metadata)
      files.reserve(onDisk(entryBytes) - onDisk(before))
      unit.entryBytes = entryBytes
      if (unit.isGone) {
        // It was taken from the count by its size of before.
        files.reserve(onDisk(before) - onDisk(entryBytes))
        return false
      }
      metas.set(unit.id, fresher, { size: entryBytes })
      return true
    } catch {
      return false
    } finally {
      files.reserve(-beside)
    }
  }

  for (const listed of (await takeSnapshot(folder)) ?? (await recover(folder))) {
    const unit = unitFrom(listed)
    files.add(unit, true)
    enter(unit)
  }
  // The response of these never came.
  for (const [id, slices] of early) for (const slice of [...slices]) units.delete(entryKey(id, slice))
  makeRoom()
  await Promise.all(erasing)
  evicted = 0

  return {
    name: 'cacache',
    copies: true,
    async lookup(key) {
      const found = byKey.get(key)
      if (found === undefined) return NONE
      const metas = await Promise.all(found.map(meta))
      return metas.filter((known) => known !== undefined).map((meta) => ({ meta }))
    },
    peek(key: CacheKey) {
      const found = byKey.get(key)
      if (found === undefined) return NONE
      const known = found.map(({ id }) => metas.get(id))
      return known.includes(undefined) ? undefined : known.map((meta) => ({ meta: meta as StoredMeta }))
    },
    async read(id, { slice, range, into }: Part = {}) {
      const unit = use(id, slice)
      if (slice !== undefined) use(id)
      if (unit === undefined || isClosed || (slice === undefined && unit.isSliced)) return undefined
      if (range === undefined) return content(unit)
      const isWhole = range.first === 0 && range.last >= unit.size - 1
      const data = await (isWhole ? content(unit) : contentInParts(unit))
      if (data === undefined || isWhole) return data
      const part = data.subarray(range.first, range.last + 1)
      const given = into?.(part.byteLength).subarray(0, part.byteLength)
      given?.set(part)
      return given ?? part
    },
    has(id, slice) {
      return slicesOf(id)?.has(slice) === true
    },
    async write(meta, body) {
      const isSliced = meta.sliceBytes !== undefined
      const data = isSliced ? EMPTY : (body ?? EMPTY)
      const metadata = metadataOf(meta)
      const { id, key } = meta
      await pending.get(entryKey(id, -1))?.written
      // Written anew under the same id: an entry of cacache has room for one.
      units.delete(entryKey(id, -1))
      const isStored = await admit(
        unitFrom({
          id,
          slice: -1,
          digest: digestOf(data),
          size: data.byteLength,
          entryBytes: entryBytesOf(entryKey(id, -1), metadata),
          key,
          variant: JSON.stringify(meta.selecting),
          isSliced,
        }),
        data,
        metadata,
      )
      if (isStored && unitOf(id) !== undefined) metas.set(id, meta, { size: entryBytesOf(id, metadata) })
      return isStored
    },
    async writeSlice(id, slice, bytes) {
      const underway = pending.get(entryKey(id, slice))
      if (underway !== undefined) return underway.written
      use(id)
      // The same bytes, since it is the same response.
      if (use(id, slice) !== undefined) return true
      const entryBytes = entryBytesOf(entryKey(id, slice), {})
      return admit(unitFrom({ id, slice, digest: digestOf(bytes), size: bytes.byteLength, entryBytes }), bytes, {})
    },
    async freshen(meta) {
      const unit = unitOf(meta.id)
      if (unit === undefined) return false
      const before = unit.work ?? Promise.resolve()
      const freshened = before.then(() => freshen(unit, meta))
      unit.work = freshened
      freshening.add(freshened)
      const isFreshened = await freshened
      freshening.delete(freshened)
      if (unit.work === freshened) unit.work = undefined
      // It must not be found as it was before.
      if (!isFreshened && !unit.isGone) units.delete(entryKey(unit.id, -1))
      return isFreshened
    },
    async remove(key) {
      for (const { unit } of pending.values()) if (unit.key === key) unit.isGone = true
      const leaving = byKey.get(key) ?? []
      for (const unit of leaving) units.delete(entryKey(unit.id, -1))
      return leaving.length
    },
    async discard(id) {
      for (const { unit } of pending.values()) if (unit.id === id) unit.isGone = true
      for (const slice of [...(early.get(id) ?? [])]) units.delete(entryKey(id, slice))
      units.delete(entryKey(id, -1))
    },
    stats() {
      const bytes = files.bytes + FIXED_BYTES
      const memoryBytes =
        units.size * ENTRY_MEMORY + strings + FOLDERS_MEMORY + metas.calculatedSize + recent.calculatedSize + queued
      return { responses, bytes, maxBytes, memoryBytes, evicted, damaged }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      if (isClosed) return
      isClosed = true
      while (pending.size + erasing.size + freshening.size > 0)
        await Promise.all([...[...pending.values()].map(({ written }) => written), ...erasing, ...freshening])
      // Without it, the next start reads cacache's own index, and finds those that could not be removed.
      if (stuck.length === 0) await writeSnapshot(folder, inOrderOfUse()).catch(() => {})
      // The files belong to whoever opens the folder next.
      isShut = true
      units.clear()
      open.delete(folder)
    },
  }
}

const REFUSED = Promise.resolve(false)

function unitFrom(listed: Listed): Unit {
  return { ...listed, slices: undefined, isGone: false, why: undefined, work: undefined }
}

function digestOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('base64')
}

function stringsOf({ id, key = '' }: Listed): number {
  return 2 * id.length + key.length
}
