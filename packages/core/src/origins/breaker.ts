// Whether an address is worth asking after what became of the last requests: left out for a while when it keeps failing.
import type { Millis } from '../http/time.ts'

export interface BreakerOptions {
  /** So many failures in a row, and the address is left out. Default: 5. */
  readonly failures?: number | undefined
  /** For how long it is left out at first, in milliseconds; each further failure doubles it. Default: 1,000. */
  readonly pauseMs?: number | undefined
  /** For how long at most. Default: 60,000. */
  readonly maxPauseMs?: number | undefined
}

/** After the pause one request is let through, a trial: it ends the pauses, or begins one twice as long. */
export class Breaker {
  readonly #limit: number
  readonly #firstPause: Millis
  readonly #maxPause: Millis
  #inARow = 0
  #pause: Millis = 0
  #openUntil: Millis | undefined
  #isTrying = false

  constructor({ failures = 5, pauseMs = 1_000, maxPauseMs = 60_000 }: BreakerOptions = {}) {
    this.#limit = failures
    this.#firstPause = pauseMs
    this.#maxPause = Math.max(pauseMs, maxPauseMs)
  }

  /** Whether the next request may go there. */
  admits(now: Millis): boolean {
    return this.#openUntil === undefined || (now >= this.#openUntil && !this.#isTrying)
  }

  /** A request goes there. The function it returns takes what became of it, once; a client that left says nothing. */
  begin(now: Millis): (outcome: 'answered' | 'failed' | 'left', now: Millis) => void {
    const isTrial = this.#openUntil !== undefined && this.admits(now)
    if (isTrial) this.#isTrying = true
    return (outcome, then) => {
      if (isTrial) this.#isTrying = false
      if (outcome === 'answered') this.#close()
      if (outcome === 'failed') this.#failed(isTrial, then)
    }
  }

  #close(): void {
    this.#inARow = 0
    this.#pause = 0
    this.#openUntil = undefined
  }

  #failed(isTrial: boolean, now: Millis): void {
    this.#inARow++
    // What is asked during a pause, for want of a better address, does not make it longer.
    if (!isTrial && (this.#openUntil !== undefined || this.#inARow < this.#limit)) return
    this.#pause = Math.min(this.#pause === 0 ? this.#firstPause : this.#pause * 2, this.#maxPause)
    this.#openUntil = now + this.#pause
  }
}
