// What is on its way takes memory, too: counted here, so that the memory store makes room for it, and bounded.
import { type Clock, type Millis, systemClock } from '../http/time.ts'
import { Reuse } from './reuse.ts'

const LARGEST_WINDOW = 1024 * 1024
const SMALLEST_WINDOW = 64 * 1024
const SMALLEST_LOAN = 4 * 1024

/** What is so small does not queue behind what is large, within a quarter on top that is set aside for it. */
const SMALL = 64 * 1024
const SET_ASIDE = 1 / 4

/** Nobody waits longer for room: a clientless store on a stuck disk must not hold up everybody else for good. */
const LONGEST_WAIT: Millis = 10_000

/** Buffers kept for the next reader: making one costs as much as filling it. */
const MAX_SPARE = 16
/** Of all that may be on its way, as much may lie there for the next ones when a store lets go of more. */
const MAX_TAKEN_BACK = 1 / 16

interface Waiting {
  readonly bytes: number
  readonly go: () => void
}

export class InFlight {
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #waiting = new Set<Waiting>()
  readonly #spare: Uint8Array[] = []
  #spareBytes = 0
  #held = 0
  #readers = 0
  /** Knows when the memory of slices that a store keeps as they came can be used again. */
  readonly reuse = new Reuse(this)

  /** `maxBytes`: what all of it may take together. */
  constructor(maxBytes: number, clock: Clock = systemClock) {
    this.#maxBytes = maxBytes
    this.#clock = clock
  }

  /** Bytes that are held just now, those that nobody uses included. */
  get held(): number {
    return this.#held
  }

  /** Without what lies there for the next one. */
  get used(): number {
    return this.#held - this.#spareBytes
  }

  /** Counts memory that is held: positive when taken, negative when given back. */
  hold(bytes: number): void {
    this.#held += bytes
    // What lies there for the next one gives way to one who needs something else.
    while (this.#held > this.#maxBytes && this.#spare.length > 0) this.#dropSpare()
    if (bytes < 0) this.#goOn()
  }

  /** Lets those who wait have what has come free. */
  #goOn(): void {
    for (const waiting of this.#waiting) {
      if (!this.#hasRoom(waiting.bytes)) return
      waiting.go()
    }
  }

  /**
   * Takes memory as soon as there is room for it, in the order of asking, 64 KiB and less before all others; after ten seconds in
   * any case. `undefined`: at once.
   * Only what needs no more until it gives this back may wait, or all would wait for each other.
   */
  take(bytes: number): Promise<void> | undefined {
    const isSmall = bytes <= SMALL && this.used + bytes <= this.#maxBytes * (1 + SET_ASIDE)
    if (isSmall || this.hasRoom(bytes)) {
      this.hold(bytes)
      return undefined
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiting = {
      bytes,
      go: () => {
        this.#waiting.delete(waiting)
        cancel()
        this.hold(bytes)
        resolve()
      },
    }
    const cancel = this.#clock.after(LONGEST_WAIT, waiting.go)
    this.#waiting.add(waiting)
    return promise
  }

  /** Whether so much could be taken at once. */
  hasRoom(bytes: number): boolean {
    return this.#waiting.size === 0 && this.#hasRoom(bytes)
  }

  /** Something always fits when nothing else is there. */
  #hasRoom(bytes: number): boolean {
    return this.used === 0 || this.used + bytes <= this.#maxBytes
  }

  /** Memory of so many bytes at least, 1 GiB at most, in one of few sizes, so that the next one can have it; counted until it is given back. */
  lend(bytes: number): Uint8Array {
    const size = bytes <= SMALLEST_LOAN ? SMALLEST_LOAN : 1 << (32 - Math.clz32(bytes - 1))
    const spare = this.#takeSpare(size)
    if (spare === undefined) this.hold(size)
    return spare ?? Buffer.allocUnsafeSlow(size)
  }

  /** Memory of exactly so many bytes for which there is room already: `take` or `hold` has counted it. */
  block(bytes: number): Uint8Array {
    const spare = this.#takeSpare(bytes)
    // It was counted twice.
    if (spare !== undefined) this.hold(-bytes)
    return spare ?? Buffer.allocUnsafeSlow(bytes)
  }

  #takeSpare(size: number): Uint8Array | undefined {
    const at = this.#spare.findLastIndex((buffer) => buffer.byteLength === size)
    return at < 0 ? undefined : this.#spareAt(at)
  }

  #spareAt(at: number): Uint8Array {
    const [spare] = this.#spare.splice(at, 1) as [Uint8Array]
    this.#spareBytes -= spare.byteLength
    return spare
  }

  /** Sizes that nobody asks for any more leave first. */
  #dropSpare(): void {
    this.#held -= this.#spareAt(0).byteLength
  }

  /** `again`: nobody looks at it any more, so that the next one may have it. */
  giveBack(buffer: Uint8Array, { again }: { again: boolean }): void {
    if (again) {
      this.#spare.push(buffer)
      this.#spareBytes += buffer.byteLength
      if (this.#spare.length > MAX_SPARE) this.#dropSpare()
    } else this.#held -= buffer.byteLength
    this.#goOn()
  }

  /** Takes memory that is not counted, for the next one, where there is room. What has lain there for long leaves for it. */
  takeBack(memory: Uint8Array): void {
    const { byteLength } = memory
    const most = this.#maxBytes * MAX_TAKEN_BACK
    if (byteLength > most || this.used + byteLength > this.#maxBytes) return
    while (this.#spareBytes + byteLength > most) this.#dropSpare()
    this.hold(byteLength)
    this.giveBack(memory, { again: true })
  }

  /**
   * How large slices are to be, a power of two from 64 KiB to 1 MiB: a hundred bodies on their way fit into twice what is for them,
   * each with a slice that comes and one that is read.
   */
  get sliceBytes(): number {
    return between(SMALLEST_WINDOW, this.#maxBytes / 100, LARGEST_WINDOW)
  }

  /** Counts those who read a body at present. */
  reads(readers: number): void {
    this.#readers += readers
  }

  /** Whether so little is held that a reader may take more than it needs just now: who is slow keeps it for long. */
  get isRoomy(): boolean {
    return this.used < this.#maxBytes / 8
  }

  /** Bytes that one reader may hold at a time, 64 KiB to 1 MiB: half of the whole, shared among all. */
  get window(): number {
    return between(SMALLEST_WINDOW, this.#maxBytes / 2 / Math.max(1, this.#readers), LARGEST_WINDOW)
  }
}

/** The power of two that is next below, within two others. Logarithms cost more, and this is asked for every piece of a body. */
function between(least: number, bytes: number, most: number): number {
  if (bytes <= least) return least
  return bytes >= most ? most : 1 << (31 - Math.clz32(bytes))
}
