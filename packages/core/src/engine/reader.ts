// One who reads a body: where it is, and the memory that it holds meanwhile.
import type { Coming } from '../http/body.ts'
import type { Block } from './fill.ts'
import type { InFlight } from './in-flight.ts'

/** What a reader needs of the body that it reads. */
export interface ReaderHost {
  readonly memory: InFlight
  /** What comes next, `undefined` at the end. It is the reader's until it asks for more. */
  readonly next: (reader: Reader) => Promise<Uint8Array | undefined>
  /** Once. */
  readonly left: (reader: Reader) => void
}

const DONE = { done: true, value: undefined } as const

/** One who reads a body, or a range of it. */
export class Reader implements AsyncIterableIterator<Uint8Array>, Coming {
  at: number
  /** Exclusive. */
  readonly end: number
  readonly isNear: boolean
  /** What it was given last, where that is the memory of a fill. */
  block: Block | undefined
  /** What was read for it at once and comes next, in order. */
  readonly ahead: Uint8Array[] = []
  hasLeft = false
  readonly #host: ReaderHost
  #buffer: Uint8Array | undefined
  /** Memory of the store's of which it was given parts. */
  #held: Uint8Array[] = []

  constructor(host: ReaderHost, at: number, end: number, isNear: boolean) {
    this.#host = host
    this.at = at
    this.end = end
    this.isNear = isNear
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      this.#leaveBlock(true)
      if (this.ahead.length === 0) this.#leaveHeld(true)
      const value = this.hasLeft ? undefined : await this.#host.next(this)
      if (value !== undefined && !this.hasLeft) return { done: false, value }
      this.#leave(true)
      return DONE
    } catch (error) {
      this.#leave(false)
      throw error
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#leave(false)
    return DONE
  }

  /** Memory of its own, until it has left. */
  into(bytes: number): Uint8Array {
    // A store may ask late, when nobody is there any more to give it back.
    if (this.hasLeft) return new Uint8Array(bytes)
    const { memory } = this.#host
    const buffer = this.#buffer
    // Where memory is short, what is much too large is not kept.
    if (buffer === undefined || buffer.byteLength < bytes || (buffer.byteLength >= 4 * bytes && !memory.isRoomy)) {
      if (buffer !== undefined) memory.giveBack(buffer, { again: true })
      this.#buffer = memory.lend(bytes)
    }
    return this.#buffer as Uint8Array
  }

  /** Takes note of memory of the store's of which it is given a part, until all of what it was given has been used. */
  hold(stored: Uint8Array): void {
    const { memory } = this.#host
    // A store may answer late, when nobody is there any more to say so.
    if (this.hasLeft) memory.reuse.lose(stored)
    else {
      memory.reuse.read(stored)
      this.#held.push(stored)
    }
  }

  #leaveHeld(again: boolean): void {
    if (this.#held.length === 0) return
    for (const stored of this.#held.splice(0)) this.#host.memory.reuse.leave(stored, again)
  }

  /** Once for each: who has gone may ask for more all the same. */
  #leaveBlock(again: boolean): void {
    const { block } = this
    this.block = undefined
    block?.leave(again)
  }

  /** `again`: what was handed out has been used, so that its memory can be. */
  #leave(again: boolean): void {
    if (this.hasLeft) return
    this.hasLeft = true
    this.#leaveBlock(again)
    this.#leaveHeld(again)
    if (this.#buffer !== undefined) this.#host.memory.giveBack(this.#buffer, { again })
    this.#host.left(this)
  }
}
