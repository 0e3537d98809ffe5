// A stored response whose body is on its way, or has gaps: put together from the store, from what is coming, and from the origin.
import { CdnError } from '../errors.ts'
import type { ByteRange, Coming } from '../http/body.ts'
import { inSlices } from '../http/ranges.ts'
import type { StoredHead, StoredMeta } from '../http/stored-response.ts'
import type { Reason } from '../policy/reasons.ts'
import type { Store } from '../stores/store.ts'
import { Fill } from './fill.ts'
import type { InFlight } from './in-flight.ts'
import { Reader, type ReaderHost } from './reader.ts'

/** Some bytes of a body, on their way from the origin. `first` is a multiple of the slice size, `end` exclusive. */
export interface Incoming {
  readonly first: number
  /** `undefined`: nobody knows. */
  readonly end: number | undefined
  readonly source: AsyncIterable<Uint8Array>
}

/** Asks the origin for these bytes, both included, of the very same version. Rejects with CDN_ORIGIN_CHANGED when there is another. */
export type AskForPart = (range: ByteRange, signal: AbortSignal) => Promise<Incoming>

export interface AssemblyOptions {
  readonly head: StoredHead
  /** Of the whole body, in bytes; `undefined` until its end has come. */
  readonly length: number | undefined
  readonly sliceBytes: number
  readonly store: Store
  /** What is missing is asked for with this; without it, the body can be had only as it comes. */
  readonly askForPart: AskForPart | undefined
  /** Whether the origin is known to answer a Range with the whole: then waiting is better than asking. */
  readonly ignoresRanges?: boolean
  /** Whether the store has it already, gaps and all. */
  readonly isStored: boolean
  /** A body that turns out longer is passed on to those who read it, and not stored. */
  readonly maxBytes: number
  /** From which share of a body on, 0 to 1, it is fetched to its end though every client has left. */
  readonly finishShare: number
  /** Asked before anything is kept: the key may have been invalidated meanwhile. */
  readonly mayStore: () => boolean
  /** Called when all of the body has come, and the store is about to take it. */
  readonly storing: () => void
  /** Called once, when it is clear whether the response is stored. */
  readonly settled: (result: { readonly stored: true } | { readonly stored: false; readonly reason: Reason }) => void
  /** Nobody reads it and nothing is coming: forget it. */
  readonly over: () => void
  readonly memory: InFlight
}

/** A reader waits for what is coming when it is at most so many slices away; else it asks for itself. */
const NEAR = 4

interface Pending {
  readonly first: number
  readonly end: number
  readonly controller: AbortController
  readonly landed: Promise<void>
}

export class Assembly {
  readonly head: StoredHead
  readonly #options: AssemblyOptions
  readonly #fills = new Set<Fill>()
  readonly #pending = new Set<Pending>()
  readonly #readers = new Set<Reader>()
  readonly #readerHost: ReaderHost
  #length: number | undefined
  #isStored: boolean
  #ignoresRanges: boolean
  #claims = 0
  #settled = false
  #isOver = false
  #keptBytes = 0
  #changed = Promise.withResolvers<void>()
  #isWaking = false

  constructor(options: AssemblyOptions) {
    this.head = options.head
    this.#options = options
    this.#length = options.length
    this.#isStored = options.isStored
    this.#ignoresRanges = options.ignoresRanges === true
    this.#settled = options.isStored
    this.#readerHost = {
      memory: options.memory,
      next: (reader) => this.#next(reader),
      left: (reader) => {
        this.#readers.delete(reader)
        options.memory.reads(-1)
        this.#left()
      },
    }
  }

  get length(): number | undefined {
    return this.#length
  }

  /** Whether it can be stored before it is complete, since what is missing can be asked for. */
  get canHaveGaps(): boolean {
    const { askForPart, sliceBytes } = this.#options
    return askForPart !== undefined && (this.#length ?? 0) > sliceBytes
  }

  /** Resolves when nothing more is coming. Never rejects. */
  async ended(): Promise<void> {
    for (;;) {
      const running = [...this.#fills].filter((fill) => fill.isRunning)
      if (running.length + this.#pending.size === 0) return
      await Promise.allSettled([...running.map((fill) => fill.ended), ...[...this.#pending].map(({ landed }) => landed)])
    }
  }

  /** Whether a newcomer can have the whole body. */
  get isJoinable(): boolean {
    if (this.#isStored) return true
    return [...this.#fills].some((fill) => fill.first === 0 && fill.isKept && (fill.isRunning || fill.isComplete))
  }

  /** Keeps it going until the returned function is called, though nobody reads yet. */
  claim(): () => void {
    this.#claims++
    let claimed = true
    return () => {
      if (!claimed) return
      claimed = false
      this.#claims--
      this.#left()
    }
  }

  /** Makes the response visible before its slices have come, so that others find it and ask for theirs. `false`: no room. */
  async announce(): Promise<boolean> {
    const { head, store, sliceBytes, mayStore } = this.#options
    if (this.#length === undefined || !mayStore()) return false
    this.#isStored = await store.write({ ...head, length: this.#length, sliceBytes }).catch(() => false)
    if (this.#isStored) this.#settle({ stored: true })
    return this.#isStored
  }

  /** Takes what is coming from the origin. `throughout`: though some of it is there. */
  take({ first, end, source }: Incoming, { throughout = false } = {}): void {
    const { sliceBytes, memory, store } = this.#options
    const fill: Fill = new Fill({
      source,
      sliceBytes,
      first,
      end,
      keep: (slice, bytes, last) => this.#keep(fill, slice, bytes, last),
      isElsewhere: (slice) => this.#isStored && !throughout && slice * sliceBytes > first && this.#isElsewhere(slice, fill),
      slowest: () => this.#slowest(fill),
      // An origin in this process may be faster than any turn: its readers are to be told before all of it has come.
      moved: (atEnd) => (atEnd ? this.#wake() : this.#wakeSoon()),
      memory,
      isCopied: store.copies === true,
    })
    this.#fills.add(fill)
    void fill.ended.then(() => {
      if (fill.isComplete && this.#length === undefined) this.#length = fill.at
      this.#settle({
        stored: false,
        reason: fill.failure !== undefined ? 'broke-off' : fill.isComplete ? 'too-large' : 'abandoned',
      })
      this.#wake()
      this.#left()
    })
  }

  /** The first slice of a range that is neither there nor about to come. */
  missing(range: ByteRange): number | undefined {
    for (const { slice } of inSlices(range, this.#options.sliceBytes)) if (!this.#isElsewhere(slice)) return slice
    return undefined
  }

  /** Asks the origin from a slice on, for as much as is wanted up to `end` (exclusive) and is not there. Resolves when it begins to come. */
  async fetch(slice: number, end: number): Promise<void> {
    const { askForPart, sliceBytes, head } = this.#options
    const length = this.#length ?? Number.POSITIVE_INFINITY
    if (askForPart === undefined)
      throw new CdnError('CDN_ORIGIN_CHANGED', `a part of ${head.key} has left, and nothing ties another to it`)
    const first = slice * sliceBytes
    let to = Math.min(length, Math.ceil(end / sliceBytes) * sliceBytes)
    for (let next = slice + 1; next * sliceBytes < to; next++) if (this.#isElsewhere(next)) to = next * sliceBytes
    const controller = new AbortController()
    const land = async (): Promise<void> => {
      try {
        const incoming = await askForPart({ first, last: to - 1 }, controller.signal)
        if (incoming.first !== first) this.#ignoresRanges = true
        this.take(incoming, { throughout: incoming.first !== first })
      } finally {
        this.#pending.delete(pending)
        this.#wake()
      }
    }
    // Nobody may be waiting when it fails.
    const landed = land()
    const pending: Pending = { first, end: to, controller, landed }
    this.#pending.add(pending)
    landed.catch(() => this.#left())
    await landed
  }

  /** The body, or a range of it. Bytes are the caller's until the next ones are asked for. */
  read(range?: ByteRange): AsyncIterableIterator<Uint8Array> & Coming {
    const end = range === undefined ? Number.POSITIVE_INFINITY : range.last + 1
    const { store, sliceBytes, memory } = this.#options
    const at = range?.first ?? 0
    const isNear = this.#isStored && store.has(this.head.id, Math.floor(at / sliceBytes))
    const reader = new Reader(this.#readerHost, at, end, isNear)
    this.#readers.add(reader)
    memory.reads(1)
    return reader
  }

  async #next(reader: Reader): Promise<Uint8Array | undefined> {
    // A fill that ends without giving anything is asked for again once, not for ever.
    for (let asked = 0; ; ) {
      const end = Math.min(reader.end, this.#length ?? Number.POSITIVE_INFINITY)
      if (reader.at >= end || reader.hasLeft) return undefined
      const live = reader.ahead.length > 0 ? undefined : this.#live(reader.at, end)
      live?.block.read()
      reader.block = live?.block
      if (live === undefined && reader.ahead.length === 0) reader.ahead.push(...(await this.#fromStore(reader, end)))
      const value = live?.bytes ?? reader.ahead.shift()
      if (value !== undefined) {
        reader.at += value.byteLength
        for (const fill of this.#fills) fill.readersMoved()
        return value
      }
      const { promise } = this.#changed
      // What came between looking into memory and asking the store.
      if (this.#live(reader.at, end) !== undefined) continue
      if (this.#isComing(reader.at)) {
        await promise
        continue
      }
      const failure = [...this.#fills].find((fill) => fill.failure !== undefined)?.failure
      if (this.#options.askForPart === undefined || !this.#isStored || asked++ > 0) {
        throw failure ?? new CdnError('CDN_ORIGIN_BROKE_OFF', `${this.head.key}: the rest is not to be had`)
      }
      await this.fetch(Math.floor(reader.at / this.#options.sliceBytes), end)
    }
  }

  #live(at: number, end: number): ReturnType<Fill['piece']> {
    const { window } = this.#options.memory
    for (const fill of this.#fills) {
      const piece = fill.piece(at, Math.min(end, at + window))
      if (piece !== undefined) return piece
    }
    return undefined
  }

  /** As much as a window holds of what the store has from `at` on, or a slice where memory is short, in as few pieces as it can be had. */
  async #fromStore(reader: Reader, end: number): Promise<readonly Uint8Array[]> {
    const { at } = reader
    const { store, sliceBytes, head, memory } = this.#options
    const to = Math.min(end, at + (memory.isRoomy ? memory.window : Math.min(memory.window, sliceBytes)))
    const isWhole = this.#length !== undefined && this.#length <= sliceBytes && this.#isStored
    if (isWhole) {
      const body = await store
        .read(head.id, { range: { first: at, last: to - 1 }, into: (bytes) => reader.into(bytes) })
        .catch(() => undefined)
      return body === undefined ? [] : [body]
    }
    let shared: Uint8Array | undefined
    const reads: Promise<Uint8Array | undefined>[] = []
    for (const { slice, range } of inSlices({ first: at, last: to - 1 }, sliceBytes)) {
      if (!store.has(head.id, slice)) break
      const place = slice * sliceBytes + range.first - at
      const lent = (bytes: number): Uint8Array => {
        // A store that wants more room than for what it was asked for: what follows is the next slice's.
        if (bytes > range.last - range.first + 1) return new Uint8Array(bytes)
        shared ??= reader.into(to - at)
        return shared.subarray(place, place + bytes)
      }
      reads.push(store.read(head.id, { slice, range, into: lent, hold: (stored) => reader.hold(stored) }).catch(() => undefined))
    }
    const pieces = reads.length === 1 ? [await reads[0]] : await Promise.all(reads)
    const missing = pieces.indexOf(undefined)
    return joined((missing < 0 ? pieces : pieces.slice(0, missing)) as Uint8Array[])
  }

  /** Whether waiting is better than asking: a fill is near, or it is the only one there will be. */
  #isComing(at: number, than?: Fill): boolean {
    const { sliceBytes, askForPart } = this.#options
    const mayAsk = askForPart !== undefined && this.#isStored && !this.#ignoresRanges
    const far = mayAsk ? NEAR * sliceBytes : Number.POSITIVE_INFINITY
    for (const fill of this.#fills)
      if (fill !== than && fill.isRunning && fill.at <= at && at < fill.end && at - fill.at <= far) return true
    for (const { first, end } of this.#pending) if (first <= at && at < end && at - first <= far) return true
    return false
  }

  /** Whether a slice is there, or about to come, leaving out what one of them will bring itself. */
  #isElsewhere(slice: number, than?: Fill): boolean {
    const { store, head, sliceBytes } = this.#options
    const at = slice * sliceBytes
    if (store.has(head.id, slice) || this.#isComing(at, than)) return true
    return [...this.#fills].some((fill) => fill !== than && fill.piece(at, at + 1) !== undefined)
  }

  async #keep(fill: Fill, slice: number, bytes: Uint8Array, last: boolean): Promise<boolean> {
    const { head, store, sliceBytes, maxBytes, mayStore } = this.#options
    if (!mayStore()) return this.#notKept('invalidated')
    const isEnd = last && fill.at === (this.#length ?? fill.at)
    if (isEnd) {
      // Readers have their end now, and do not wait for the store.
      this.#length = fill.at
      if (!this.#isStored) this.#options.storing()
      this.#wake()
    }
    if (slice === 0 && isEnd) {
      const stored = await store.write({ ...head, length: bytes.byteLength }, bytes).catch(() => undefined)
      if (stored !== true) return this.#notKept(stored === false ? 'too-large' : 'store-failed')
      this.#isStored = true
      this.#settle({ stored: true })
      return true
    }
    // The rest of this slice was not asked for, or did not come: whoever wants it asks for all of it.
    if (bytes.byteLength < sliceBytes && !isEnd) return true
    if (!this.#isStored && fill.first > 0) return this.#notKept('store-failed')
    this.#keptBytes += bytes.byteLength
    if (!this.#isStored && this.#keptBytes > Math.min(maxBytes, store.stats().maxBytes / 2)) return this.#notKept('too-large')
    const kept = await store.writeSlice(head.id, slice, bytes).catch(() => undefined)
    if (kept !== true) return this.#notKept(kept === false ? 'too-large' : 'store-failed')
    if (!isEnd || this.#isStored) return true
    const meta: StoredMeta = { ...head, length: fill.at, sliceBytes }
    if (!mayStore()) return this.#notKept('invalidated')
    const stored = await store.write(meta).catch(() => undefined)
    if (stored !== true) return this.#notKept(stored === false ? 'too-large' : 'store-failed')
    this.#isStored = true
    this.#settle({ stored: true })
    return true
  }

  #notKept(reason: Reason): false {
    this.#settle({ stored: false, reason })
    return false
  }

  #settle(result: Parameters<AssemblyOptions['settled']>[0]): void {
    if (this.#settled) return
    this.#settled = true
    this.#options.settled(result)
  }

  #slowest(fill: Fill): number | undefined {
    let slowest: number | undefined
    for (const { at, end } of this.#readers) if (end > fill.first) slowest = Math.min(slowest ?? at, at)
    return slowest ?? (this.#claims > 0 ? fill.first : undefined)
  }

  /** More has come. What comes in the same turn goes out together: each write takes as much as a hundred kilobytes of it. */
  #wakeSoon(): void {
    if (this.#isWaking) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      this.#wake()
    })
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  /** Somebody has left, or something has ended. */
  #left(): void {
    this.#wake()
    for (const fill of this.#fills) {
      if (fill.isRunning && !this.#isWanted(fill)) fill.stop()
      fill.readersMoved()
      if (!fill.isRunning && !this.#isHeldFor(fill)) this.#forget(fill)
    }
    if (this.#readers.size + this.#claims > 0) return
    for (const { controller } of this.#pending) controller.abort()
    if (this.#fills.size + this.#pending.size > 0 || this.#isOver) return
    this.#isOver = true
    if (!this.#isStored) void this.#options.store.discard(this.head.id).catch(() => undefined)
    this.#options.over()
  }

  /** Whether what a fill that has ended still has in memory may be needed. What lies in slices comes from the store. */
  #isHeldFor(fill: Fill): boolean {
    if (this.#readers.size + this.#claims === 0) return false
    return !this.#isStored || !fill.isKept || fill.at <= this.#options.sliceBytes
  }

  #forget(fill: Fill): void {
    this.#fills.delete(fill)
    fill.release()
  }

  /** Whether somebody waits for what is still coming, or so little of it is missing that it is worth having anyway. */
  #isWanted(fill: Fill): boolean {
    if (this.#claims > 0) return true
    for (const { at, end } of this.#readers) if (at < fill.end && end > fill.at) return true
    const { finishShare, sliceBytes } = this.#options
    if (!fill.isKept || finishShare > 1) return false
    const end = Math.min(fill.end, this.#length ?? Number.POSITIVE_INFINITY)
    if (!Number.isFinite(end)) return fill.at <= sliceBytes || finishShare === 0
    const [come, whole] = [fill.at - fill.first, end - fill.first]
    return come >= whole * finishShare || whole - come <= sliceBytes
  }
}

/** Pieces that lie behind each other in memory are one. */
function joined(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  const together: Uint8Array[] = []
  for (const piece of pieces) {
    const before = together.at(-1)
    if (before !== undefined && before.buffer === piece.buffer && before.byteOffset + before.byteLength === piece.byteOffset)
      together[together.length - 1] = new Uint8Array(piece.buffer, before.byteOffset, before.byteLength + piece.byteLength)
    else together.push(piece)
  }
  return together
}
