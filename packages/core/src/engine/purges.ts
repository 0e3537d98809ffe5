// A purge is a comparison, not a deletion: what was asked for before it is not reused, however many there are and whenever they arrive.
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

/** Those of one kind, by what they name, up to a bound: beyond it the ones purged longest ago are forgotten. */
class Marks {
  readonly #marks = new Map<string, Mark>()
  readonly #max: number
  readonly #forgotten: (purge: Purge) => void

  constructor(max: number, forgotten: (purge: Purge) => void) {
    this.#max = max
    this.#forgotten = forgotten
  }

  add(purge: Purge): void {
    const mark = marked(this.#marks.get(purge.value), purge)
    // The order of a map is that in which its keys came.
    this.#marks.delete(purge.value)
    this.#marks.set(purge.value, mark)
    const [oldest] = this.#marks.size > this.#max ? this.#marks.values() : []
    if (oldest === undefined) return
    this.#marks.delete(oldest.purge.value)
    this.#forgotten(oldest.purge)
  }

  of(value: string): Mark | undefined {
    return this.#marks.get(value)
  }

  all(): Iterable<Mark> {
    return this.#marks.values()
  }
}

export class Purges {
  /** What is forgotten purges everything of its age: too much rather than too little. */
  readonly #forget = ({ at }: Purge): void => this.purgeUntil(at)
  readonly #byKind = {
    url: new Marks(MAX_MARKS, this.#forget),
    'surrogate-key': new Marks(MAX_MARKS, this.#forget),
    prefix: new Marks(MAX_PREFIXES, this.#forget),
    everything: new Marks(1, this.#forget),
  }
  /** What was asked for up to then counts as purged: purges older than that have been forgotten. */
  #floor = Number.NEGATIVE_INFINITY
  #isEmpty = true

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
    this.#byKind[purge.kind].add(purge)
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
    const { url: urls, 'surrogate-key': keys, prefix: prefixes, everything } = this.#byKind
    yield* everything.all()
    const own = urls.of(url)
    if (own !== undefined) yield own
    for (const name of surrogateKeys) {
      const mark = keys.of(name)
      if (mark !== undefined) yield mark
    }
    for (const mark of prefixes.all()) if (url.startsWith(mark.purge.value)) yield mark
  }

  /** Every purge that still counts, the oldest first: applied in this order, they come to the same. */
  all(): readonly Purge[] {
    const marks = Object.values(this.#byKind).flatMap((each) => [...each.all()])
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
