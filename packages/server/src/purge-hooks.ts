// Tells others of each purge, such as a CDN that lies before this one: from a bounded queue, with retries, and whatever fails is counted.
import { type Clock, type Purge, systemClock } from '@simple-cdn/core'

/** Whom to tell of purges. */
export interface PurgeHookConfig {
  /** Gets a POST with the purge as JSON. */
  url: string
  /** Fields of the request, such as a token. */
  headers?: Readonly<Record<string, string>>
}

export interface PurgeHookStats {
  /** The host that is told: what else the URL says may be secret. */
  readonly host: string
  readonly waiting: number
  readonly delivered: number
  /** Purges that it has not taken after all attempts, or that nobody could keep waiting. */
  readonly lost: number
}

/** Waiting purges: some 500 KB. */
const MAX_WAITING = 1_000
const TIMEOUT_MS = 10_000
/** After each failure of one purge. */
const PAUSES_MS = [1_000, 4_000, 15_000, 60_000]

export interface PurgeHook {
  tell(purge: Purge): void
  stats(): PurgeHookStats
  /** What has not been told by now counts as lost. */
  close(): void
}

export function purgeHook(
  { url, headers }: PurgeHookConfig,
  onMessage: (message: string) => void,
  clock: Clock = systemClock,
): PurgeHook {
  const { host } = new URL(url)
  const waiting: Purge[] = []
  const counts = { delivered: 0, lost: 0 }
  const closed = new AbortController()
  let isTelling = false
  /** Ends a pause. */
  let wake: (() => void) | undefined

  async function deliver(purge: Purge): Promise<void> {
    for (const pause of [...PAUSES_MS, undefined]) {
      const why = await post(purge)
      if (why === undefined) {
        counts.delivered++
        return
      }
      if (pause === undefined || closed.signal.aborted) {
        counts.lost++
        return onMessage(`${host} was not told of purge ${purge.id}: ${why}`)
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      const cancel = clock.after(pause, resolve)
      wake = resolve
      await promise
      cancel()
    }
  }

  /** Why it was not taken; `undefined`: it was. */
  async function post(purge: Purge): Promise<string | undefined> {
    try {
      const { status, body } = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(purge),
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), closed.signal]),
      })
      await body?.cancel()
      return status >= 200 && status < 300 ? undefined : `it answered ${status}`
    } catch (error) {
      return (error as Error).message
    }
  }

  async function run(): Promise<void> {
    if (isTelling) return
    isTelling = true
    for (let purge = waiting.shift(); purge !== undefined; purge = waiting.shift()) await deliver(purge)
    isTelling = false
  }

  return {
    tell(purge) {
      if (waiting.length >= MAX_WAITING || closed.signal.aborted) counts.lost++
      else waiting.push(purge)
      void run()
    },
    stats: () => ({ host, waiting: waiting.length + (isTelling ? 1 : 0), ...counts }),
    close() {
      counts.lost += waiting.splice(0).length
      closed.abort()
      wake?.()
    },
  }
}
