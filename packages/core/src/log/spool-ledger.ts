// The ledger of a process: for each day, which numbers it gave out, gave up, and has seen land. A small file, replaced as a whole.
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Millis } from '../http/time.ts'
import type { Boot, LedgerDay, LogBatch, Numbers } from './batch.ts'

/** More separate losses than this in a day are put together, and no longer told apart. */
const MAX_DROPPED = 1000

interface Day {
  first: number
  next: number
  dropped: Numbers[]
  objects: number
  entries: number
}

interface Written extends Boot {
  readonly v: 1
  readonly ended: boolean
  readonly days: Readonly<Record<string, Day>>
}

export class Ledger {
  readonly boot: Boot
  readonly #path: string
  readonly #days: Map<string, Day>
  ended: boolean

  private constructor(path: string, boot: Boot, days: Map<string, Day>, ended: boolean) {
    this.#path = path
    this.boot = boot
    this.#days = days
    this.ended = ended
  }

  static begun(path: string, boot: Boot): Ledger {
    return new Ledger(path, boot, new Map(), false)
  }

  /** `undefined` when there is none that can be read. */
  static async read(path: string): Promise<Ledger | undefined> {
    try {
      const { machine, region, boot, days, ended } = JSON.parse(await readFile(path, 'utf8')) as Written
      return new Ledger(path, { machine, region, boot }, new Map(Object.entries(days)), ended)
    } catch {
      return undefined
    }
  }

  get dates(): readonly string[] {
    return [...this.#days.keys()]
  }

  /** Numbers up to `next` were given out on that day. */
  took(date: string, first: number, next: number): void {
    const day = this.#days.get(date)
    if (day === undefined) this.#days.set(date, { first, next, dropped: [], objects: 0, entries: 0 })
    else {
      day.first = Math.min(day.first, first)
      day.next = Math.max(day.next, next)
    }
  }

  /** The same numbers may be told again: after a crash they are read back from disk. */
  dropped(date: string, [first, last, count]: Numbers): void {
    const day = this.#days.get(date) as Day
    const before = day.dropped.at(-1)
    if (day.dropped.some((known) => known[0] <= first && last <= known[1])) return
    if (before !== undefined && (before[1] + 1 === first || day.dropped.length >= MAX_DROPPED))
      day.dropped[day.dropped.length - 1] = [before[0], last, before[2] + count]
    else day.dropped.push([first, last, count])
  }

  landed(batch: LogBatch): void {
    this.took(batch.date, batch.first, batch.last + 1)
    for (const numbers of batch.dropped) this.dropped(batch.date, numbers)
    if (batch.entries === 0) return
    const day = this.#days.get(batch.date) as Day
    day.objects++
    day.entries += batch.entries
  }

  day(date: string, now: Millis): LedgerDay {
    const { first, next, dropped, objects, entries } = this.#days.get(date) as Day
    return { v: 1, ...this.boot, date, first, next, dropped, landed: { objects, entries }, ended: this.ended, at: now }
  }

  /** Whole or not at all. */
  async save(): Promise<void> {
    const written: Written = { v: 1, ...this.boot, ended: this.ended, days: Object.fromEntries(this.#days) }
    await writeFile(`${this.#path}.new`, `${JSON.stringify(written)}\n`)
    await rename(`${this.#path}.new`, this.#path)
  }
}
