// Whether an address answers as it should when asked now and then, whatever clients ask for.
import type { Clock, Millis } from '../http/time.ts'

export interface HealthOptions {
  /** What to ask for, after the path of the address. */
  readonly path: string
  /** From one check to the next, in milliseconds. Default: 10,000. */
  readonly everyMs?: number | undefined
  /** Longest wait for the head of the answer, in milliseconds; not longer than `everyMs`. Default: 9,000, or `everyMs`. */
  readonly timeoutMs?: number | undefined
  /** The statuses that are good: from one to another, both included. Default: 200. */
  readonly expect?: readonly [from: number, to: number] | undefined
  /** Healthy is an address of whose last `window` checks at least so many were good. Default: 3. */
  readonly threshold?: number | undefined
  /** Default: 5. */
  readonly window?: number | undefined
}

/** Asks for the path and resolves to the status of the answer, or rejects, after the time given at the latest. */
export type Probe = (path: string, timeoutMs: Millis) => Promise<number>

/** Checks one address from the start until it is stopped, one check at a time. Before the first check it is taken for healthy. */
export class HealthCheck {
  readonly #options: Required<{ [Name in keyof HealthOptions]: NonNullable<HealthOptions[Name]> }>
  readonly #probe: Probe
  readonly #clock: Clock
  readonly #lately: boolean[]
  #failures = 0
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: HealthOptions, probe: Probe, clock: Clock) {
    const { path, everyMs = 10_000, timeoutMs = Math.min(9_000, everyMs), threshold = 3, window = 5 } = options
    this.#options = { path, everyMs, timeoutMs, threshold, window, expect: options.expect ?? [200, 200] }
    this.#probe = probe
    this.#clock = clock
    this.#lately = Array(window).fill(true)
    this.#check()
  }

  get healthy(): boolean {
    return this.#lately.filter((good) => good).length >= this.#options.threshold
  }

  /** Checks since the start that were not good. */
  get failures(): number {
    return this.#failures
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #check(): void {
    const { path, everyMs, timeoutMs, expect } = this.#options
    const startedAt = this.#clock.now()
    void this.#probe(path, timeoutMs)
      .then(
        (status) => status >= expect[0] && status <= expect[1],
        () => false,
      )
      .then((good) => {
        if (this.#stopped) return
        this.#lately.shift()
        this.#lately.push(good)
        if (!good) this.#failures++
        this.#cancel = this.#clock.after(Math.max(0, startedAt + everyMs - this.#clock.now()), () => this.#check())
      })
  }
}
