// Purges of this machine: applied at once, kept in the journal, and shared with other machines over the bus, if there is one.
import { LRUCache } from 'lru-cache'
import type { StoredMeta } from '../http/stored-response.ts'
import type { Clock, Millis } from '../http/time.ts'
import { thisPlace } from '../log/place.ts'
import type { PurgeBus, PurgeBusStats, PurgeStatus } from './purge-bus.ts'
import { type Purge, type Purged, Purges } from './purges.ts'

/** Where purges are kept beside a store that outlives the process. */
export interface PurgeJournal {
  /**
   * Those that were kept, in their order; until when everything counts as purged, where some may be missing; and how far on the bus they
   * reach. Called once, before the first request.
   */
  load(): { readonly purges: readonly Purge[]; readonly gapUntil: Millis | undefined; readonly cursor?: string | undefined }

  /**
   * Resolves when it is safe. `all` gives what is to be kept when the journal is written anew. `cursor` is where the purge stands on the
   * bus: it is kept together with the purge, or not at all.
   */
  append(purge: Purge, all: () => readonly Purge[], cursor?: string): Promise<void>

  close(): Promise<void>
}

export interface PurgingOptions {
  readonly clock: Clock
  readonly journal: PurgeJournal | undefined
  readonly bus: PurgeBus | undefined
  /** How long what is stored is reused while the bus cannot be heard. */
  readonly trustForMs: Millis
  /** Called with each purge when it holds, whoever asked for it. */
  readonly onPurge: (purge: Purge) => void
  readonly onMessage: (message: string) => void
}

export interface PurgeStats {
  /** Purges that have been applied since the start, and how many are remembered one by one. */
  readonly applied: number
  readonly remembered: number
  /** Purges that the journal did not take. They hold, but would not outlive this process. */
  readonly notKept: number
  /** Whether all purges of other machines are known here; `true` without other machines. */
  readonly current: boolean
  readonly bus?: { readonly name: string } & PurgeBusStats
}

/** Ids of own purges, to be known when they come back from the bus: some 2 MB at most. One that is forgotten is applied once more. */
const MAX_OWN = 10_000

export class Purging {
  readonly #options: PurgingOptions
  readonly #purges = new Purges()
  /** When each was applied here, by its id. */
  readonly #own = new LRUCache<string, Millis>({ max: MAX_OWN })
  /** When the origin was asked last. A clock may be set back; what was asked for before a purge is purged all the same. */
  #lastAsked: Millis = 0
  #applied = 0
  #notKept = 0
  #current: boolean
  #doubts: (() => void) | undefined
  #isClosed = false

  constructor(options: PurgingOptions) {
    this.#options = options
    const { journal, bus, clock } = options
    const { purges = [], gapUntil, cursor } = journal?.load() ?? {}
    if (gapUntil !== undefined) this.#purges.purgeUntil(gapUntil)
    for (const purge of purges) this.#purges.apply(purge)
    this.#current = bus === undefined
    // What was purged while this machine was away is not known before the bus has been heard.
    if (bus !== undefined) this.#purges.doubtUntil(clock.now())
    bus?.subscribe({
      cursor,
      machine: thisPlace.machine,
      clock,
      apply: (purge, at) => this.#heard(purge, at),
      gap: (at) => this.#heard({ id: `gap before ${at}`, at: 0, soft: false, kind: 'everything', value: '' }, at),
      hears: (isCurrent) => this.#hears(isCurrent),
      onMessage: options.onMessage,
    })
  }

  get isEmpty(): boolean {
    return this.#purges.isEmpty
  }

  of(meta: StoredMeta, route: string): Purged | undefined {
    return this.#purges.of(meta, route)
  }

  /** To be called with the time whenever the origin is asked. */
  asked(at: Millis): void {
    this.#lastAsked = Math.max(this.#lastAsked, at)
  }

  /**
   * Holds when this returns; when it has resolved, it is safe, and on its way to every machine.
   *
   * @throws Error when journal or bus cannot take it. It holds on this machine all the same.
   */
  async purge(asked: Omit<Purge, 'at'>): Promise<Purge> {
    const purge = this.#apply(asked)
    const { bus } = this.#options
    if (bus === undefined) {
      await this.#keep(purge)
      return purge
    }
    this.#own.set(purge.id, purge.at)
    try {
      // Written down here when it comes back.
      await bus.publish(purge)
    } catch (error) {
      await this.#keep(purge)
      const why = error instanceof Error ? error.message : String(error)
      throw new Error(`purged on this machine only, as ${purge.id}: ${bus.name} did not take it (${why}); try again`, {
        cause: error,
      })
    }
    return purge
  }

  /** @throws Error when the bus cannot be asked. */
  async status(id: string, options?: { waitMs?: Millis }): Promise<PurgeStatus> {
    const { bus } = this.#options
    if (bus !== undefined) return bus.status(id, options)
    const appliedAt = this.#purges.find(id)?.at
    return { id, machines: appliedAt === undefined ? [] : [{ machine: thisPlace.machine, state: 'applied', appliedAt }] }
  }

  stats(): PurgeStats {
    const { bus } = this.#options
    return {
      applied: this.#applied,
      remembered: this.#purges.size,
      notKept: this.#notKept,
      current: this.#current,
      ...(bus !== undefined && { bus: { name: bus.name, ...bus.stats() } }),
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#options.bus?.close().catch(() => undefined)
    this.#doubts?.()
    await this.#options.journal?.close().catch(() => undefined)
  }

  /** With the time of this machine: its clock need not agree with that of whoever purged. */
  #apply(asked: Omit<Purge, 'at'>): Purge {
    const purge = { ...asked, at: Math.max(this.#options.clock.now(), this.#lastAsked) }
    this.#purges.apply(purge)
    this.#applied++
    this.#options.onPurge(purge)
    return purge
  }

  #heard(purge: Purge, cursor: string): Promise<void> {
    const at = this.#own.get(purge.id)
    this.#own.delete(purge.id)
    return this.#keep(at === undefined ? this.#apply(purge) : { ...purge, at }, cursor)
  }

  #hears(isCurrent: boolean): void {
    // A bus that lets go of its connection says that it hears nothing, and a timer would hold all this for as long as `trustFor` says.
    if (this.#isClosed) return
    const { clock, trustForMs } = this.#options
    this.#current = isCurrent
    if (isCurrent) {
      this.#doubts?.()
      this.#doubts = undefined
      this.#purges.trust()
      return
    }
    if (!Number.isFinite(trustForMs)) return
    this.#doubts ??= clock.after(trustForMs, () => this.#purges.doubtUntil(Number.POSITIVE_INFINITY))
  }

  async #keep(purge: Purge, cursor?: string): Promise<void> {
    try {
      await this.#options.journal?.append(purge, () => this.#purges.all(), cursor)
    } catch (error) {
      this.#notKept++
      throw error
    }
  }
}
