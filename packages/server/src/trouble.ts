// Counters that should stand still: when one has grown, that is logged, once in a while and not for each time.
import type { Log } from './log.ts'

const LOOK_EVERY_MS = 10_000

export interface TroubleWatch {
  /** Looks a last time. */
  stop(): void
}

/** `counters` are named by what has happened: "connections dropped". */
export function watchTrouble(
  counters: () => Readonly<Record<string, number>>,
  log: Log,
  everyMs: number = LOOK_EVERY_MS,
): TroubleWatch {
  let before = counters()
  const look = (): void => {
    const now = counters()
    for (const [what, total] of Object.entries(now)) {
      const more = total - (before[what] ?? 0)
      if (more > 0) log.warn({ more, total }, what)
    }
    before = now
  }
  const timer = setInterval(look, everyMs).unref()
  return {
    stop() {
      clearInterval(timer)
      look()
    },
  }
}
