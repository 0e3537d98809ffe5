// Revalidations that nobody waits for: bounded in number, drained at close.

/** More stale responses than this are not revalidated at the same time; the next request for one tries again. */
const MAX_RUNNING = 64

export class Background {
  readonly #running = new Set<Promise<void>>()
  started = 0
  /** Not started, since too many were running. */
  skipped = 0

  /** `false` when too many are running. */
  start(work: () => Promise<void>): boolean {
    if (this.#running.size >= MAX_RUNNING) {
      this.skipped++
      return false
    }
    this.started++
    const run: Promise<void> = work()
      .catch(() => undefined)
      .finally(() => this.#running.delete(run))
    this.#running.add(run)
    return true
  }

  async drained(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
