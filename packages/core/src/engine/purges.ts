// A purge is a comparison, not a deletion: what was asked for before it is not reused, however many there are and whenever they arrive.
import { LRUCache } from 'lru-cache'
import type { StoredMeta } from '../http/stored-response.ts'
import type { Millis } from '../http/time.ts'

/** One purge, as it is applied, kept in a journal, and sent to other machines. */
export interface Purge {
  readonly id: string
  /** What was asked for up to then is purged. */
  readonly at: Millis
  /** It may still be served stale, while it is asked for again or when the origin fails. */
  readonly soft: boolean
  readonly kind: 'url' | 'surrogate-key' | 'prefix' | 'everything'
  /** A URL or a prefix without its scheme, a surrogate key; "" for everything. */
  readonly value: string
}

/** Where purges are kept beside a store that outlives the process. */
export interface PurgeJournal {
  /**
   * Those that were kept, in their order; and until when everything counts as purged, where some may be missing. Called once, before the
   * first request.
   */
  load(): { readonly purges: readonly Purge[]; readonly gapUntil: Millis | undefined }

  /** Resolves when it is safe. `all` gives what is to be kept when the journal is written anew. */
  append(purge: Purge, all: () => readonly Purge[]): Promise<void>

  close(): Promise<void>
}

/** URLs and surrogate keys that are remembered: some 20 MB at most. Those purged longest ago leave, and take what is as old along. */
const MAX_MARKS = 100_000
/** Prefixes are compared one by one with what is found. */
const MAX_PREFIXES = 1_000

interface Mark {
  readonly purge: Purge
  /** The latest that was not soft. */
  readonly hard: Millis
}

export class Purges {
  readonly #urls = this.#marks()
  readonly #surrogateKeys = this.#marks()
  readonly #prefixes = new Map<string, Mark>()
  #everything: Mark | undefined
  /** What was asked for up to then counts as purged: purges older than that have been forgotten. */
  #floor = Number.NEGATIVE_INFINITY
  #isEmpty = true

  /** Marks that leave the memory purge everything of their age: too much rather than too little. */
  #marks(): LRUCache<string, Mark> {
    return new LRUCache({
      max: MAX_MARKS,
      dispose: ({ purge }, _, reason) => {
        if (reason === 'evict') this.purgeUntil(purge.at)
      },
    })
  }

  /** Nothing has been purged: nothing needs to be looked at. */
  get isEmpty(): boolean {
    return this.#isEmpty
  }

  /** Purges everything that was asked for up to then. */
  purgeUntil(at: Millis): void {
    this.#isEmpty = false
    this.#floor = Math.max(this.#floor, at)
  }

  apply(purge: Purge): void {
    this.#isEmpty = false
    const { kind, value } = purge
    if (kind === 'everything') this.#everything = marked(this.#everything, purge)
    else if (kind === 'url') this.#urls.set(value, marked(this.#urls.peek(value), purge))
    else if (kind === 'surrogate-key') this.#surrogateKeys.set(value, marked(this.#surrogateKeys.peek(value), purge))
    else {
      const mark = marked(this.#prefixes.get(value), purge)
      this.#prefixes.delete(value)
      this.#prefixes.set(value, mark)
      for (const [oldest, { purge: old }] of this.#prefixes) {
        if (this.#prefixes.size <= MAX_PREFIXES) break
        this.#prefixes.delete(oldest)
        this.purgeUntil(old.at)
      }
    }
  }

  /** `undefined`: untouched. Else since when it is purged, and whether it may still be served stale. */
  of({ key, requestedAt, surrogateKeys }: StoredMeta): { readonly at: Millis; readonly soft: boolean } | undefined {
    if (this.#isEmpty) return undefined
    if (requestedAt <= this.#floor) return { at: this.#floor, soft: false }
    const url = withoutScheme(key)
    let soft: Millis | undefined
    for (const mark of this.#about(url, surrogateKeys)) {
      if (requestedAt <= mark.hard) return { at: mark.hard, soft: false }
      if (requestedAt <= mark.purge.at) soft = Math.min(soft ?? mark.purge.at, mark.purge.at)
    }
    return soft === undefined ? undefined : { at: soft, soft: true }
  }

  *#about(url: string, surrogateKeys: readonly string[]): Iterable<Mark> {
    if (this.#everything !== undefined) yield this.#everything
    const own = this.#urls.peek(url)
    if (own !== undefined) yield own
    for (const name of surrogateKeys) {
      const mark = this.#surrogateKeys.peek(name)
      if (mark !== undefined) yield mark
    }
    for (const [prefix, mark] of this.#prefixes) if (url.startsWith(prefix)) yield mark
  }

  /** Every purge that still counts, the oldest first: applied in this order, they come to the same. */
  all(): readonly Purge[] {
    const marks = [
      ...(this.#everything === undefined ? [] : [this.#everything]),
      ...this.#urls.values(),
      ...this.#surrogateKeys.values(),
      ...this.#prefixes.values(),
    ]
    const floor: Purge[] = Number.isFinite(this.#floor)
      ? [{ id: 'floor', at: this.#floor, soft: false, kind: 'everything', value: '' }]
      : []
    return [...floor, ...marks.flatMap(purgesOf)].sort((a, b) => a.at - b.at)
  }
}

function marked(before: Mark | undefined, purge: Purge): Mark {
  const hard = Math.max(before?.hard ?? Number.NEGATIVE_INFINITY, purge.soft ? Number.NEGATIVE_INFINITY : purge.at)
  return { purge: before !== undefined && before.purge.at > purge.at ? before.purge : purge, hard }
}

function purgesOf({ purge, hard }: Mark): readonly Purge[] {
  if (!purge.soft || !Number.isFinite(hard)) return [purge]
  return [{ ...purge, id: `${purge.id}-before`, at: hard, soft: false }, purge]
}

export function withoutScheme(url: string): string {
  return url.slice(url.indexOf('://') + 3)
}

/** What a soft purge leaves: no longer fresh from the moment of the purge on, with its windows for staleness. */
export function softened<Stored extends StoredMeta>(meta: Stored, at: Millis): Stored {
  const { freshness, initialAge, receivedAt } = meta
  const age = initialAge + Math.max(0, at - receivedAt) / 1000
  return age >= freshness.lifetime ? meta : { ...meta, freshness: { ...freshness, lifetime: age } }
}
