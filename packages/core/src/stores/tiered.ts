// Two stores as one: a small fast one, usually memory, before a large one, usually on disk.
//
// The lower one has everything, the upper one copies of what is worth it. Changes go to the lower one first. What is copied up was
// found below at some moment; when something has changed under its key since, it is not copied. So what was removed stays removed.
import { LRUCache } from 'lru-cache'
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'
import type { OnEvict, Part, Store, StoredResponse } from './store.ts'

export interface TieredStoreOptions {
  /** The fast one. It has to have `peek` and `reportEvictions`, as `memoryStore` does. */
  upper: Store
  /** The large one. */
  lower: Store
  /**
   * A response of more than this share of the upper store's bytes goes into the lower one alone; if it is kept in slices, those
   * that are used again move up. Default: 0.02.
   */
  largestShare?: number
  /** Told of a failure of the lower store that no client noticed, since the upper one was there. */
  onFailure?: (error: unknown) => void
}

/** Responses that were found below of late, which may be copied up when they are read. */
const MAX_FOUND = 256
/** Numbers of changes that are kept, each for many keys. */
const CHANGES = 4096
/** Reads of slices below that are remembered. */
const READS = 16_384

const NONE: readonly StoredResponse[] = []

/** A response in the lower store, and the number of changes when it was found; it may be copied up while that is the same. */
interface Found {
  readonly meta: StoredMeta
  readonly at: number
}

/** What a Found has when something had changed while it was looked up. */
const OUTDATED = -1
/** What a response above costs here, measured. */
const NOTE_BYTES = 400

/** A response that the upper store has: the lower one is told of its uses. */
class Copy implements StoredResponse {
  readonly meta: StoredMeta
  readonly #stored: StoredResponse
  readonly #lower: Store

  constructor(stored: StoredResponse, lower: Store) {
    this.meta = stored.meta
    this.#stored = stored
    this.#lower = lower
  }

  open(): Uint8Array | undefined {
    this.#lower.touch?.(this.meta.id)
    return this.#stored.open?.()
  }
}

/** @throws TypeError when the upper store cannot say at once what it has, or does not report what leaves it. */
export function tieredStore({ upper, lower, largestShare = 0.02, onFailure = () => {} }: TieredStoreOptions): Store {
  const peekAbove = upper.peek?.bind(upper)
  if (peekAbove === undefined || upper.reportEvictions === undefined)
    throw new TypeError(
      `the store "${upper.name}" cannot be the upper one: it has no ${peekAbove ? 'reportEvictions' : 'peek'}()`,
    )

  const largest = largestShare * upper.stats().maxBytes
  const listeners: OnEvict[] = []
  /** What the upper store has, by id. */
  const above = new Map<string, StoredMeta>()
  /** Those of it that the lower one does not have (any more). */
  const onlyAbove = new Set<string>()
  /** Everything under a key, when all of it is above: a hit then waits for nothing. */
  const complete = new Map<CacheKey, readonly StoredResponse[]>()
  const found = new LRUCache<string, Found>({ max: MAX_FOUND })
  /** How often something changed, by key and by id. Several share a number, which costs a copy now and then. */
  const changes = new Uint32Array(CHANGES)
  let discards = 0
  const reads = new Uint32Array(READS)

  function changesOf(keyOrId: string): number {
    return changes[hashOf(keyOrId) % CHANGES] as number
  }

  function changed(keyOrId: string): void {
    const at = hashOf(keyOrId) % CHANGES
    changes[at] = (changes[at] as number) + 1
  }

  function keyChanged(key: CacheKey): void {
    changed(key)
    complete.delete(key)
  }

  function foundNow(meta: StoredMeta): Found {
    return { meta, at: changesOf(meta.key) + changesOf(meta.id) }
  }

  function isCurrent({ meta, at }: Found): boolean {
    return changesOf(meta.key) + changesOf(meta.id) === at
  }

  function goneAbove(id: string): boolean {
    above.delete(id)
    return onlyAbove.delete(id)
  }

  upper.reportEvictions((meta, why) => {
    complete.delete(meta.key)
    if (goneAbove(meta.id)) report(meta, why)
  })
  lower.reportEvictions?.((meta, why) => {
    keyChanged(meta.key)
    if (above.has(meta.id)) onlyAbove.add(meta.id)
    else report(meta, why)
  })

  function report(meta: StoredMeta, why: 'full' | 'damaged'): void {
    for (const listener of listeners) listener(meta, why)
  }

  /** Writes into the upper store, and takes note of what that has replaced there. */
  async function writeAbove(meta: StoredMeta, body: Uint8Array | undefined): Promise<boolean> {
    const before = peekAbove?.(meta.key) ?? NONE
    const written = await upper.write(meta, body)
    const after = peekAbove?.(meta.key) ?? NONE
    for (const { meta: old } of before) if (!after.some((stored) => stored.meta.id === old.id)) goneAbove(old.id)
    if (written) above.set(meta.id, meta)
    complete.delete(meta.key)
    return written
  }

  /** Takes out of the upper store what a response replaces that goes into the lower one alone. */
  async function replaceAbove({ key, selecting, id }: StoredMeta): Promise<void> {
    const variant = JSON.stringify(selecting)
    for (const { meta } of peekAbove?.(key) ?? NONE) {
      if (meta.id === id || JSON.stringify(meta.selecting) === variant) await dropAbove(meta)
    }
  }

  /** Copies what was read below into the upper store, unless something has changed since it was found. */
  async function lift(from: Found, slice: number | undefined, body: Uint8Array): Promise<void> {
    const { meta } = from
    if (!isCurrent(from)) return
    if (!above.has(meta.id)) await writeAbove(meta, slice === undefined ? body : undefined)
    if (slice !== undefined && above.has(meta.id)) await upper.writeSlice(meta.id, slice, body)
    if (!isCurrent(from)) await dropAbove(meta)
  }

  async function dropAbove({ id, key }: StoredMeta): Promise<void> {
    goneAbove(id)
    complete.delete(key)
    await upper.discard(id)
  }

  /** Whether this read is a reason to copy what it reads from. */
  function isWorthIt({ meta }: Found, { slice, range }: Part): boolean {
    if ((slice === undefined ? meta.length : (meta.sliceBytes ?? 0)) > largest) return false
    if (slice === undefined || meta.length <= largest) return true
    // The same piece again: reading on in the same slice is the same use.
    const read = hashOf(`${meta.id}/${slice}/${range?.first ?? 0}`) || 1
    const again = reads[read % READS] === read
    reads[read % READS] = read
    return again
  }

  /** Everything there is under a key, given what the lower store has; `outdated`: or had, when something has changed since. */
  function combined(key: CacheKey, below: readonly StoredResponse[], outdated = false): readonly StoredResponse[] {
    const up = peekAbove?.(key) ?? NONE
    if (below.length + up.length === 0) return NONE
    const all = below.map((stored) => {
      const copy = up.find(({ meta }) => meta.id === stored.meta.id)
      return copy === undefined ? storedBelow(stored, outdated) : new Copy(copy, lower)
    })
    for (const stored of up) {
      if (below.some(({ meta }) => meta.id === stored.meta.id)) continue
      // One that the lower store has dropped without a word, such as a variant too many, leaves with it.
      if (outdated || onlyAbove.has(stored.meta.id)) all.push(new Copy(stored, lower))
      else dropAbove(stored.meta).catch(onFailure)
    }
    if (!outdated && all.every(({ meta }) => above.has(meta.id))) complete.set(key, all)
    return all
  }

  function storedBelow(stored: StoredResponse, outdated: boolean): StoredResponse {
    const { meta } = stored
    const from: Found = outdated ? { meta, at: OUTDATED } : foundNow(meta)
    found.set(meta.id, from)
    return {
      meta,
      open() {
        const body = stored.open?.()
        if (body !== undefined && isWorthIt(from, {})) lift(from, undefined, body).catch(onFailure)
        return body
      },
    }
  }

  function peek(key: CacheKey): readonly StoredResponse[] | undefined {
    const known = complete.get(key)
    if (known !== undefined) return known
    const below = lower.peek?.(key)
    return below && combined(key, below)
  }

  function readNow(id: string, part: Part = {}): Uint8Array | undefined {
    const copy = upper.readNow?.(id, part)
    if (copy !== undefined) lower.touch?.(id, part.slice)
    return copy
  }

  async function readAbove(id: string, part: Part): Promise<Uint8Array | undefined> {
    const copy = await upper.read(id, part)
    if (copy === undefined) return readBelow(id, part)
    lower.touch?.(id, part.slice)
    return copy
  }

  function readBelow(id: string, part: Part): Promise<Uint8Array | undefined> {
    const from = found.get(id)
    return from === undefined || !isWorthIt(from, part) ? lower.read(id, part) : readAndLift(from, part)
  }

  async function readAndLift(from: Found, { slice, range }: Part): Promise<Uint8Array | undefined> {
    // All of it, and not into the memory that is lent to us.
    const body = await lower.read(from.meta.id, { slice })
    if (body !== undefined) await lift(from, slice, body).catch(onFailure)
    return range === undefined ? body : body?.subarray(range.first, range.last + 1)
  }

  /** What the lower store resolves to; `undefined`, and somebody is told, when it fails. */
  async function belowOr<T>(result: Promise<T>): Promise<T | undefined> {
    try {
      return await result
    } catch (error) {
      onFailure(error)
      return undefined
    }
  }

  return {
    name: `${upper.name}+${lower.name}`,
    ...(lower.copies !== undefined && { copies: lower.copies }),
    async lookup(key) {
      const known = peek(key)
      if (known !== undefined) return known
      const [keyAt, discardsAt] = [changesOf(key), discards]
      let below: readonly StoredResponse[] | undefined
      try {
        below = await lower.lookup(key)
      } catch (error) {
        // With nothing above, that is for the caller to know.
        if (peekAbove(key)?.length === 0) throw error
        onFailure(error)
      }
      return combined(key, below ?? NONE, below === undefined || keyAt !== changesOf(key) || discardsAt !== discards)
    },
    peek,
    read(id, part = {}) {
      const now = readNow(id, part)
      if (now !== undefined) return Promise.resolve(now)
      // What is not at hand may be there all the same; what was never copied is not.
      return upper.readNow === undefined || above.has(id) ? readAbove(id, part) : readBelow(id, part)
    },
    ...(upper.readNow && { readNow }),
    has(id, slice) {
      return upper.has(id, slice) || lower.has(id, slice)
    },
    touch(id, slice) {
      upper.touch?.(id, slice)
      lower.touch?.(id, slice)
    },
    async write(meta, body) {
      const before = foundNow(meta)
      const kept = (await belowOr(lower.write(meta, body))) === true
      // What is removed while it is written is not to come back.
      const isLatest = isCurrent(before)
      keyChanged(meta.key)
      const now = foundNow(meta)
      let copied = isLatest && meta.length <= largest && (await writeAbove(meta, body))
      if (copied && !isCurrent(now)) {
        await dropAbove(meta)
        copied = false
      }
      if (copied && !kept) onlyAbove.add(meta.id)
      if (!copied && kept) await replaceAbove(meta)
      return kept || copied
    },
    async writeSlice(id, slice, bytes) {
      const kept = await belowOr(lower.writeSlice(id, slice, bytes))
      if (kept === false) return false
      // Slices of a response that is not there yet stay below.
      const meta = above.get(id)
      // The upper one may keep what it gets.
      const copied =
        meta !== undefined &&
        meta.length <= largest &&
        (await upper.writeSlice(id, slice, lower.copies === true ? new Uint8Array(bytes) : bytes))
      // It may have left meanwhile: nobody would find the slice.
      if (copied && !above.has(id)) await upper.discard(id)
      return kept === true || copied
    },
    async freshen(meta) {
      const kept = (await belowOr(lower.freshen(meta))) === true
      keyChanged(meta.key)
      const copied = await upper.freshen(meta)
      const known = above.get(meta.id)
      if (known !== undefined) above.set(meta.id, { ...meta, length: known.length, sliceBytes: known.sliceBytes })
      complete.delete(meta.key)
      return kept || copied
    },
    async remove(key) {
      try {
        const removed = await lower.remove(key)
        const others = (peekAbove(key) ?? NONE).filter(({ meta }) => onlyAbove.has(meta.id))
        return removed + others.length
      } finally {
        keyChanged(key)
        for (const { meta } of peekAbove(key) ?? NONE) goneAbove(meta.id)
        await upper.remove(key)
      }
    },
    async discard(id) {
      try {
        await lower.discard(id)
      } finally {
        discards++
        changed(id)
        const meta = above.get(id)
        if (meta !== undefined) await dropAbove(meta)
      }
    },
    ...(lower.all !== undefined && {
      async *all() {
        for (const id of [...onlyAbove]) {
          const meta = above.get(id)
          if (meta !== undefined) yield meta
        }
        yield* lower.all?.() ?? []
      },
    }),
    stats() {
      const [up, low] = [upper.stats(), lower.stats()]
      return {
        ...low,
        responses: low.responses + onlyAbove.size,
        memoryBytes: low.memoryBytes + up.memoryBytes + above.size * NOTE_BYTES,
        damaged: low.damaged + up.damaged,
      }
    },
    reportEvictions(listener) {
      listeners.push(listener)
    },
    async close() {
      await Promise.all([lower.close(), upper.close()])
      above.clear()
      onlyAbove.clear()
      complete.clear()
      found.clear()
    },
  }
}

/** FNV-1a: near enough to random for what is only ever compared within this process. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193)
  return (hash ^ (hash >>> 15)) >>> 0
}
