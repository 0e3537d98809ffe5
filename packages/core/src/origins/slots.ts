// So many at a time, so many more that wait for their turn, and no more than that.

export class Slots {
  #free: number
  readonly #maxWaiting: number
  readonly #waiting = new Set<() => void>()

  constructor(count: number, maxWaiting: number) {
    this.#free = count
    this.#maxWaiting = maxWaiting
  }

  /** Whether `take` would have to wait, with as many waiting already as may. */
  get full(): boolean {
    return this.#free === 0 && this.#waiting.size >= this.#maxWaiting
  }

  /** Resolves when it is the caller's turn, in the order of calls. Rejects with the signal's reason, the place in the queue being free again. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free--
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = (): void => {
      this.#waiting.delete(resolve)
      reject(signal.reason)
    }
    this.#waiting.add(resolve)
    signal.addEventListener('abort', leave, { once: true })
    await promise
    signal.removeEventListener('abort', leave)
    // It may have been given a slot and left in the same turn.
    if (!signal.aborted) return
    this.release()
    throw signal.reason
  }

  /** Gives the slot to the next in the queue. */
  release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
