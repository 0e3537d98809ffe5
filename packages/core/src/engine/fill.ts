// An origin's body on its way into the store, slice by slice, with any number of clients reading along.
import { CdnError } from '../errors.ts'
import type { InFlight } from './in-flight.ts'

export interface FillOptions {
  readonly source: AsyncIterable<Uint8Array>
  readonly sliceBytes: number
  /** Where in the body the source begins; a multiple of `sliceBytes`. */
  readonly first: number
  /** Where it will end, exclusive, when that is known. A source that ends elsewhere has been broken off. */
  readonly end: number | undefined
  /**
   * Takes a slice that is complete; `last` when nothing comes after it. `false`: what comes from here on is not kept. The store
   * sets the pace: while it takes one slice, the next one comes, where there is memory for it.
   */
  readonly keep: (slice: number, bytes: Uint8Array, last: boolean) => Promise<boolean>
  /** Whether somebody else already has the slice that would come next, so that this is the end. */
  readonly isElsewhere: (slice: number) => boolean
  /** Where the slowest of those who read along is; `undefined` when nobody does. Asked only when nothing is kept any more. */
  readonly slowest: () => number | undefined
  /** Something has changed: more of a slice is there, or, `atEnd`, the end of one, or of all. */
  readonly moved: (atEnd: boolean) => void
  /** Where the memory it holds is counted. It waits there for room, and never while it holds any. */
  readonly memory: Pick<InFlight, 'hold' | 'take' | 'hasRoom' | 'block' | 'giveBack' | 'reuse'>
  /** Whether what was kept has been copied, so that its memory can be used again. Default: no. */
  readonly isCopied?: boolean
}

/** Bodies of unknown length get room for so much at first, and twice as much whenever that is not enough. */
const FIRST_BLOCK = 64 * 1024

/** How many slices a body that is not kept may run ahead of its slowest reader. */
const AHEAD = 1

type Memory = Pick<InFlight, 'giveBack' | 'reuse'>

/** A slice, or as much of it as has come. */
export class Block {
  bytes: Uint8Array
  filled = 0
  /** Who else has the bytes, but for readers: nobody, a store that keeps them as they are, or who knows. */
  keeper: 'nobody' | 'store' | 'unknown' = 'unknown'
  /** A reader has left before it had used what it was given: that may be on its way out still. */
  #isLost = false
  /** Taken out of its fill: its memory goes back as soon as nobody reads it. `undefined`: it is not counted any more. */
  #over: Memory | undefined
  #readers = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  read(): void {
    this.#readers++
  }

  /** `again`: a reader has used what it was given, so that its memory can be. */
  leave(again: boolean): void {
    if (!again) this.#isLost = true
    if (--this.#readers === 0 && this.#over !== undefined) this.#end(this.#over)
  }

  drop(memory: Memory): void {
    if (this.#readers === 0) this.#end(memory)
    else this.#over = memory
  }

  #end(memory: Memory): void {
    memory.giveBack(this.bytes, { again: this.keeper === 'nobody' && !this.#isLost })
    if (this.keeper === 'store' && !this.#isLost) memory.reuse.handOver(this.bytes)
  }
}

/** One response of the origin: the whole body, or some slices of it. */
export class Fill {
  /** Resolves when the last byte has come, or none will. Never rejects. */
  readonly ended: Promise<void>
  readonly #options: FillOptions
  readonly #source: AsyncIterator<Uint8Array>
  /** By number of slice: the one that is coming and, when nothing is kept, what readers have not got yet. */
  readonly #blocks = new Map<number, Block>()
  #at: number
  #kept = true
  #stopped = false
  #complete = false
  #failure: CdnError | undefined
  /** What is being handed on. */
  #keeping: Promise<void> | undefined
  #readerMoved: (() => void) | undefined
  /** Of the memory that is counted; `undefined` when all of it has been given back. */
  #held: number | undefined = 0

  constructor(options: FillOptions) {
    this.#options = options
    this.#source = options.source[Symbol.asyncIterator]()
    this.#at = options.first
    this.ended = this.#pump()
  }

  /** Up to where the body has come. */
  get at(): number {
    return this.#at
  }

  /** Whether more will come. */
  get isRunning(): boolean {
    return !this.#complete && !this.#stopped && this.#failure === undefined
  }

  get isComplete(): boolean {
    return this.#complete
  }

  /** What ended it early. */
  get failure(): CdnError | undefined {
    return this.#failure
  }

  /** Whether what has passed can still be had from the store. */
  get isKept(): boolean {
    return this.#kept
  }

  /** Where it will end, exclusive, as far as is known. */
  get end(): number {
    return this.#complete ? this.#at : (this.#options.end ?? Number.POSITIVE_INFINITY)
  }

  get first(): number {
    return this.#options.first
  }

  /** What is in memory from `at` on, within one slice, and what has to be told when it is read and when that is over. */
  piece(at: number, end: number): { readonly bytes: Uint8Array; readonly block: Block } | undefined {
    const { sliceBytes } = this.#options
    const slice = Math.floor(at / sliceBytes)
    const block = this.#blocks.get(slice)
    const from = at - slice * sliceBytes
    const to = Math.min(block?.filled ?? 0, end - slice * sliceBytes)
    return block === undefined || from >= to ? undefined : { bytes: block.bytes.subarray(from, to), block }
  }

  /** Ends it: nobody wants the rest. */
  stop(): void {
    if (!this.isRunning) return
    this.#stopped = true
    this.#readerMoved?.()
    // Also wakes it when it waits for the origin.
    void this.#source.return?.()
  }

  /** A reader has moved on, or left. */
  readersMoved(): void {
    if (!this.#kept) this.#readerMoved?.()
  }

  async #pump(): Promise<void> {
    const { end, moved } = this.#options
    try {
      for (;;) {
        const { done, value } = await this.#source.next()
        if (done === true || this.#stopped) break
        const waits = this.#append(value)
        if (waits !== undefined) await waits
        moved(waits !== undefined)
        if (this.#stopped) break
      }
      if (!this.#stopped && end !== undefined && this.#at !== end) {
        throw new CdnError('CDN_ORIGIN_BROKE_OFF', `${this.#at - this.first} of ${end - this.first} bytes came`)
      }
      if (this.#stopped) await this.#keepWhole()
      else await this.#finish()
    } catch (error) {
      if (!this.#stopped) {
        this.#failure = error instanceof CdnError ? error : new CdnError('CDN_ORIGIN_BROKE_OFF', undefined, error)
      }
      await this.#keepWhole()
    }
    moved(true)
  }

  /** The slice that came last, if all of it has come: the next one would have handed it on. */
  async #keepWhole(): Promise<void> {
    const { sliceBytes } = this.#options
    await this.#keeping
    if (this.#at % sliceBytes === 0) await this.#flush(this.#at / sliceBytes - 1, false)
  }

  /** Takes a piece in. Only where a slice ends is there something to wait for. */
  #append(chunk: Uint8Array): Promise<void> | undefined {
    const { sliceBytes, end = Number.POSITIVE_INFINITY } = this.#options
    // What comes after the declared end is not part of this body.
    const length = Math.min(chunk.byteLength, end - this.#at)
    const used = this.#at % sliceBytes
    if (used === 0 || used + length > sliceBytes) return this.#appendToSlices(chunk, length)
    this.#put(chunk, 0, length)
    return undefined
  }

  async #appendToSlices(chunk: Uint8Array, length: number): Promise<void> {
    const { sliceBytes, isElsewhere } = this.#options
    for (let from = 0; from < length; ) {
      const slice = Math.floor(this.#at / sliceBytes)
      const used = this.#at - slice * sliceBytes
      if (used === 0) {
        // Not before: only now is it known that this is not the end.
        if (this.#blocks.has(slice - 1)) await this.#handOn(slice - 1)
        if (isElsewhere(slice)) this.stop()
        if (!this.#kept) await this.#windowed(slice)
        if (this.#stopped) return
        await this.#open(slice)
        if (this.#stopped) return
      }
      const to = Math.min(length, from + sliceBytes - used)
      this.#put(chunk, from, to)
      from = to
    }
  }

  /** Copies what lies within one slice. */
  #put(chunk: Uint8Array, from: number, to: number): void {
    const { sliceBytes } = this.#options
    const slice = Math.floor(this.#at / sliceBytes)
    const used = this.#at - slice * sliceBytes
    const filled = used + to - from
    const block = this.#roomFor(slice, filled)
    block.bytes.set(from === 0 && to === chunk.byteLength ? chunk : chunk.subarray(from, to), used)
    block.filled = filled
    this.#at += to - from
  }

  /** Waits for the slice before this one to be kept, and for this one only where there is no memory for the next. */
  async #handOn(slice: number): Promise<void> {
    await this.#keeping
    this.#keeping = this.#flush(slice, false)
    const { memory, sliceBytes, end = Number.POSITIVE_INFINITY } = this.#options
    if (!memory.hasRoom(Math.min(sliceBytes, end - this.#at))) await this.#keeping
  }

  /** Begins a slice, when there is memory for it. */
  async #open(slice: number): Promise<void> {
    const { sliceBytes, end, memory } = this.#options
    const size = end === undefined ? Math.min(sliceBytes, FIRST_BLOCK) : Math.min(sliceBytes, end - slice * sliceBytes)
    // Who holds some while waiting for more could wait for others that do the same.
    const room = this.#blocks.size === 0 ? memory.take(size) : memory.hold(size)
    if (room !== undefined) await room
    if (this.#held === undefined) return memory.hold(-size)
    this.#held += size
    // Memory of its own: a small piece of something larger would keep all of it alive.
    this.#blocks.set(slice, new Block(memory.block(size)))
  }

  /** The block of a slice, with room for `bytes`: one of a body whose length nobody knows grows. */
  #roomFor(slice: number, bytes: number): Block {
    const block = this.#blocks.get(slice) as Block
    const size = block.bytes.byteLength
    if (size >= bytes) return block
    const most = Math.min(this.#options.sliceBytes, Math.max(bytes, size * 2))
    this.#hold(most - size)
    const larger = this.#options.memory.block(most)
    larger.set(block.bytes.subarray(0, block.filled))
    block.bytes = larger
    return block
  }

  /** Hands a complete slice on. Who has not read it yet finds it in the store. */
  async #flush(slice: number, last: boolean): Promise<void> {
    if (!this.#kept) return
    const block = this.#blocks.get(slice)
    if (block === undefined) return
    if (block.filled < block.bytes.byteLength) {
      this.#hold(block.filled - block.bytes.byteLength)
      // A copy: the whole of it would be kept alive by a piece.
      block.bytes = new Uint8Array(block.bytes.subarray(0, block.filled))
    }
    this.#kept = await this.#options.keep(slice, block.bytes, last).catch(() => false)
    if (this.#kept) block.keeper = this.#options.isCopied === true ? 'nobody' : 'store'
    if (this.#kept && !last) this.#drop(slice)
  }

  #drop(slice: number): void {
    const block = this.#blocks.get(slice)
    if (block === undefined) return
    this.#blocks.delete(slice)
    if (this.#held === undefined) return
    this.#held -= block.bytes.byteLength
    block.drop(this.#options.memory)
  }

  async #finish(): Promise<void> {
    const { sliceBytes, first } = this.#options
    await this.#keeping
    const last = this.#at === first ? Math.floor(first / sliceBytes) : Math.ceil(this.#at / sliceBytes) - 1
    if (this.#at === first) await this.#open(last)
    await this.#flush(last, true)
    this.#complete = true
  }

  /** Nothing is kept: drops what every reader has passed, and waits until the slowest is near. */
  async #windowed(slice: number): Promise<void> {
    const { slowest, sliceBytes } = this.#options
    for (;;) {
      const at = slowest()
      if (at === undefined) this.stop()
      if (this.#stopped || at === undefined) return
      const passed = Math.floor(at / sliceBytes)
      for (const held of [...this.#blocks.keys()]) if (held < passed) this.#drop(held)
      if (slice - passed <= AHEAD) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#readerMoved = resolve
      await promise
    }
  }

  #hold(bytes: number): void {
    if (this.#held === undefined) return
    this.#held += bytes
    this.#options.memory.hold(bytes)
  }

  /** Nobody counts on it any more, though it may not know yet that it has ended: what is left of it is the garbage collector's. */
  release(): void {
    this.#hold(-(this.#held ?? 0))
    this.#held = undefined
  }
}
