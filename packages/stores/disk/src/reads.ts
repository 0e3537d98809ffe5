// Reads from segments: those of one turn that lie together are one call, as the slices of a range mostly are.
import type { Files } from './files.ts'
import { HEADER_BYTES } from './record.ts'
import type { Segment } from './segment.ts'

/** A read that is asked for. */
interface Asked {
  readonly segment: Segment
  readonly into: Uint8Array
  readonly at: number
  readonly resolve: (filled: boolean) => void
}

/** What lies between two reads that are one: the header of the second record. Nobody looks at it. */
const SKIPPED = new Uint8Array(4 * HEADER_BYTES)
/** Most reads in one call: with what is skipped, no more parts than every system takes (IOV_MAX, 1,024). */
const MAX_RUN = 500

/** What waits for this runs when the turn is over, for less than `queueMicrotask` takes. */
const NOW = Promise.resolve()

export class Reads {
  readonly #files: Files
  readonly #unused: (segment: Segment) => void
  /** What is to be read as soon as this turn is over: each of it at once. */
  #asked: Asked[][] = []

  /** `unused`: called after each read, when the segment's `readers` is one less. */
  constructor(files: Files, unused: (segment: Segment) => void) {
    this.#files = files
    this.#unused = unused
  }

  /** Fills `into`; `false` when that cannot be done. */
  read(segment: Segment, into: Uint8Array, at: number): Promise<boolean> {
    segment.readers++
    return new Promise((resolve) => {
      const asked = { segment, into, at, resolve }
      const run = this.#asked.at(-1)
      if (run !== undefined && run.length < MAX_RUN && follows(asked, run.at(-1) as Asked)) run.push(asked)
      else if (this.#asked.push([asked]) === 1) void NOW.then(this.#readAsked)
    })
  }

  readonly #readAsked = (): void => {
    const runs = this.#asked
    this.#asked = []
    for (const run of runs) {
      const [first, ...others] = run as [Asked, ...Asked[]]
      if (others.length === 0) this.#readAlone(first)
      else this.#readTogether(run, first)
    }
  }

  #readTogether(run: readonly Asked[], { segment, at: begin }: Asked): void {
    const parts: Uint8Array[] = []
    let end = begin
    for (const { into, at } of run) {
      if (at > end) parts.push(SKIPPED.subarray(0, at - end))
      parts.push(into)
      end = at + into.byteLength
    }
    // One of them may be damaged: each is to be told of itself alone.
    const again = (): void => {
      for (const asked of run) this.#readAlone(asked)
    }
    this.#files.readv(segment.file, parts, begin).then((bytes) => {
      if (bytes < end - begin) again()
      else for (const asked of run) this.#hasRead(asked, true)
    }, again)
  }

  #readAlone(asked: Asked): void {
    const { segment, into, at } = asked
    this.#files.read(segment.file, into, at).then(
      (bytes) => this.#hasRead(asked, bytes === into.byteLength),
      () => this.#hasRead(asked, false),
    )
  }

  #hasRead({ segment, resolve }: Asked, filled: boolean): void {
    segment.readers--
    this.#unused(segment)
    resolve(filled)
  }
}

function follows({ segment, at }: Asked, before: Asked): boolean {
  const between = at - before.at - before.into.byteLength
  return segment === before.segment && between >= 0 && between <= SKIPPED.byteLength
}
