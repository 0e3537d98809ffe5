// A clock that stands still until it is told to move.
import type { Clock } from '@simple-cdn/core'

export interface FakeClock extends Clock {
  /** Moves on by so many milliseconds, calling back what falls due on the way, in order. */
  advance(ms: number): Promise<void>
}

/** `start` is in milliseconds since 1970; by default the day HTTP caching got its own RFC. */
export function fakeClock(start: number = Date.UTC(2014, 5, 6)): FakeClock {
  let now = start
  const timers = new Set<{ readonly due: number; readonly callback: () => void }>()
  return {
    now: () => now,
    after(ms, callback) {
      const timer = { due: now + ms, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const next = [...timers].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0]
        if (next === undefined) break
        timers.delete(next)
        now = next.due
        next.callback()
        await settled()
      }
      now = end
      await settled()
    },
  }
}

/** Everything that was only waiting for its turn has had it. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
