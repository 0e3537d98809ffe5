// The memory of slices that a store keeps as it was given them: the next ones have it when these have left, and nobody reads them.
//
// Left to the garbage collector, a megabyte is as much work as to fill it: all of the heap is looked through for a few of them.
import type { InFlight } from './in-flight.ts'

/** What is known of one piece of memory, until it is used again. */
interface Use {
  readers: number
  /** Nobody but the store and readers has it. */
  isHandedOver: boolean
  hasLeft: boolean
  /** Somebody may still have it, and nobody will say until when. */
  isLost: boolean
}

export class Reuse {
  readonly #uses = new WeakMap<ArrayBufferLike, Use>()
  readonly #memory: Pick<InFlight, 'takeBack'>

  constructor(memory: Pick<InFlight, 'takeBack'>) {
    this.#memory = memory
  }

  /** Whoever brought it to the store does not look at it any more. */
  handOver(memory: Uint8Array): void {
    const use = this.#of(memory)
    use.isHandedOver = true
    this.#end(memory, use)
  }

  /** Somebody reads it from now on, until they say `leave`. */
  read(memory: Uint8Array): void {
    this.#of(memory).readers++
  }

  /** `again`: what was read has been used. */
  leave(memory: Uint8Array, again: boolean): void {
    const use = this.#of(memory)
    use.readers--
    if (!again) use.isLost = true
    this.#end(memory, use)
  }

  /** Somebody has it, for as long as they like. */
  lose(memory: Uint8Array): void {
    this.#of(memory).isLost = true
  }

  /** The store does not have it any more. */
  letGo(memory: Uint8Array): void {
    const use = this.#of(memory)
    use.hasLeft = true
    this.#end(memory, use)
  }

  #of({ buffer }: Uint8Array): Use {
    let use = this.#uses.get(buffer)
    if (use === undefined) {
      use = { readers: 0, isHandedOver: false, hasLeft: false, isLost: false }
      this.#uses.set(buffer, use)
    }
    return use
  }

  #end(memory: Uint8Array, { readers, isHandedOver, hasLeft, isLost }: Use): void {
    if (readers > 0 || !isHandedOver || !hasLeft || isLost) return
    this.#uses.delete(memory.buffer)
    this.#memory.takeBack(memory)
  }
}
