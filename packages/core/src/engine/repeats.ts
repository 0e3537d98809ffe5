// What is asked for over and over is the same answer for a second, until its age is another: made once, it is sent again as it is.
import type { Fields } from '../http/fields.ts'
import type { StoredMeta } from '../http/stored-response.ts'
import type { Seconds } from '../http/time.ts'
import type { Reason } from '../policy/reasons.ts'
import type { Kept } from './messages.ts'

/** What an answer to a plain GET depends on besides the stored response. */
export interface Circumstances {
  readonly reason: Reason
  readonly age: Seconds
  readonly ttl: Seconds | undefined
}

export interface Repeat extends Circumstances {
  readonly status: number
  readonly fields: Fields
  readonly kept: Kept
}

/** They are those of the last second or so; with what adapters keep, some 64 KiB each at most. */
const MAX_REPEATS = 64

export class Repeats {
  readonly #repeats = new Map<StoredMeta, Repeat>()

  /** \`undefined\`: not for this age, or not lately. */
  get(meta: StoredMeta, { reason, age, ttl }: Circumstances): Repeat | undefined {
    const repeat = this.#repeats.get(meta)
    return repeat !== undefined && repeat.age === age && repeat.ttl === ttl && repeat.reason === reason ? repeat : undefined
  }

  set(meta: StoredMeta, repeat: Omit<Repeat, 'kept'>): void {
    if (this.#repeats.size === MAX_REPEATS && !this.#repeats.has(meta)) this.#repeats.clear()
    this.#repeats.set(meta, { ...repeat, kept: {} })
  }
}
