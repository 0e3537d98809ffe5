// What is remembered about keys that are not in the store: why they are absent, and when they were invalidated.
import { LRUCache } from 'lru-cache'
import type { CacheKey } from '../http/stored-response.ts'
import type { Millis } from '../http/time.ts'
import type { Reason } from '../policy/reasons.ts'

/** Keys remembered: some 2 MB at most. */
const MAX_KEYS = 10_000

export interface Absence {
  readonly reason: Reason
  readonly at: Millis
  /** Its last response could not be shared, so nobody should wait for the next one. */
  readonly unshareable: boolean
}

/** Why a key is absent, as far as it is remembered. One memory, two uses: explaining a miss, and not queueing behind what cannot be shared. */
export class Absences {
  readonly #known = new LRUCache<CacheKey, Absence>({ max: MAX_KEYS })
  /** Requests for a key whose last response was not shareable do not wait for each other for this long (hit-for-miss). */
  static readonly unshareableMs = 120_000

  note(key: CacheKey, reason: Reason, at: Millis, unshareable = false): void {
    this.#known.set(key, { reason, at, unshareable })
  }

  forget(key: CacheKey): void {
    this.#known.delete(key)
  }

  get(key: CacheKey): Absence | undefined {
    return this.#known.get(key)
  }

  isUnshareable(key: CacheKey, now: Millis): boolean {
    const absence = this.#known.get(key)
    return absence?.unshareable === true && now - absence.at < Absences.unshareableMs
  }
}

/**
 * When keys were last invalidated, as numbers that only grow. What began before its key was invalidated must not be
 * stored, however late it ends: an invalidation is a comparison, so a fill that was under way cannot undo it.
 */
export class Invalidations {
  #now = 0
  /** Everything that began before this counts as invalidated: keys older than that have been forgotten. */
  #floor = 0
  readonly #at = new LRUCache<CacheKey, number>({
    max: MAX_KEYS,
    dispose: (epoch, _, reason) => {
      if (reason === 'evict') this.#floor = Math.max(this.#floor, epoch)
    },
  })

  /** The number to remember when a request to the origin begins. */
  begin(): number {
    return this.#now
  }

  invalidate(key: CacheKey): void {
    this.#at.set(key, ++this.#now)
  }

  isCurrent(key: CacheKey, begun: number): boolean {
    return begun >= this.#floor && begun >= (this.#at.get(key) ?? 0)
  }
}
