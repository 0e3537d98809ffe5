// How often something may be asked for: a bucket that fills up steadily, and from which each takes what it needs.
import type { Clock } from '@simple-cdn/core'

const MINUTE_MS = 60_000

export interface RateLimit {
  /** 0: granted. Else how many seconds to wait before so much can be; nothing is taken then. More than the limit is never granted at once. */
  take(amount: number): number
}

/** As many at once as in a minute. */
export function rateLimit(perMinute: number, clock: Clock): RateLimit {
  let left = perMinute
  let at = clock.now()
  return {
    take(amount) {
      const now = clock.now()
      // A clock may be set back.
      left = Math.min(perMinute, left + (Math.max(0, now - at) / MINUTE_MS) * perMinute)
      at = now
      if (amount > left) return Math.ceil((((amount - left) / perMinute) * MINUTE_MS) / 1000)
      left -= amount
      return 0
    },
  }
}
