// What is on its way takes memory, too: counted here, so that the memory store makes room for it.

const LARGEST_WINDOW = 1024 * 1024
const SMALLEST_WINDOW = 64 * 1024

export class InFlight {
  readonly #maxBytes: number
  #held = 0
  #readers = 0

  /** `maxBytes`: what all of it may take together. Readers get smaller windows as it fills. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that are held just now. */
  get held(): number {
    return this.#held
  }

  /** Counts memory that is held: positive when taken, negative when given back. */
  hold(bytes: number): void {
    this.#held += bytes
  }

  /** Counts those who read a body at present. */
  reads(readers: number): void {
    this.#readers += readers
  }

  /** Bytes that one reader may hold at a time, 64 KiB to 1 MiB: a quarter of the whole, shared among all. */
  get window(): number {
    const share = this.#maxBytes / 4 / Math.max(1, this.#readers)
    return Math.min(LARGEST_WINDOW, Math.max(SMALLEST_WINDOW, 2 ** Math.floor(Math.log2(share))))
  }
}
