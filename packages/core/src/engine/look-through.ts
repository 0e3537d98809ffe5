// Looks through all that is stored for what a purge would concern, without keeping anybody waiting.
import type { StoredMeta } from '../http/stored-response.ts'
import type { Clock, Millis } from '../http/time.ts'

/** What a purge would concern. */
export interface Findings {
  readonly found: number
  /** Some of them: the first that came. */
  readonly sample: readonly StoredMeta[]
  /** Stored responses that have been looked at, and whether those were all. */
  readonly looked: number
  readonly complete: boolean
}

export interface FindOptions {
  /** How many are shown of those that are found. Default: 20. */
  readonly sample?: number
  /** How many are looked at. Default: 1,000,000. */
  readonly maxLooked?: number
}

/** So many stored responses are looked at in one go: about a millisecond. */
const TURN = 1_000
/** Longest time that is spent on looking through a store. */
const FIND_MS: Millis = 10_000

export async function lookThrough(
  all: AsyncIterable<StoredMeta> | Iterable<StoredMeta>,
  concerns: (meta: StoredMeta) => boolean,
  clock: Clock,
  { sample = 20, maxLooked = 1_000_000 }: FindOptions = {},
): Promise<Findings> {
  const some: StoredMeta[] = []
  let [found, looked, complete] = [0, 0, true]
  const end = clock.now() + FIND_MS
  for await (const meta of all) {
    if (looked === maxLooked || clock.now() > end) {
      complete = false
      break
    }
    // Others get their turn.
    if (++looked % TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    if (!concerns(meta)) continue
    found++
    if (some.length < sample) some.push(meta)
  }
  return { found, sample: some, looked, complete }
}
