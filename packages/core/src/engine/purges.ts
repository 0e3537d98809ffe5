// A purge is a comparison, not a deletion: what was asked for before it is not reused, however many there are and whenever they arrive.
import type { StoredMeta } from '../http/stored-response.ts'
import type { Millis } from '../http/time.ts'

/** One purge, as it is applied, kept in a journal, and sent to other machines. */
export interface Purge {
  readonly id: string
  /** What was asked for up to then is purged, by the clock of the machine that applies it. */
  readonly at: Millis
  /** It may still be served stale, while it is asked for again or when the origin fails. */
  readonly soft: boolean
  readonly kind: PurgeKind
  /** A URL, a prefix, or a pattern with `*` for anything, all without scheme; a surrogate key; the name of a route; "" for everything. */
  readonly value: string
}

export type PurgeKind = 'url' | 'surrogate-key' | 'prefix' | 'pattern' | 'route' | 'everything'

/** What a purge does to a stored response. */
export interface Purged {
  /** Since when. */
  readonly at: Millis
  /** Whether it may still be served stale. */
  readonly soft: boolean
  /** Whether it may have been purged, rather than was: nobody can say at the moment. */
  readonly unknown?: boolean
}

/** Each kind, with how many of it are remembered one by one. Those purged longest ago leave, and take what is as old along. */
const MAX_MARKS: Readonly<Record<PurgeKind, number>> = {
  url: 100_000,
  'surrogate-key': 100_000,
  // These are compared one by one with what is older than they are.
  prefix: 1_000,
  pattern: 1_000,
  route: 1_000,
  everything: 1,
}

/** Of each kind, so much text at most. With names of usual length all of them take some 55 MB; with the longest ones, some 120 MB. */
const MAX_CHARACTERS = 10_000_000

export const PURGE_KINDS: ReadonlySet<unknown> = new Set(Object.keys(MAX_MARKS))

const NEVER = Number.NEGATIVE_INFINITY
const NONE: readonly string[] = []

interface Mark {
  readonly purge: Purge
  /** Of a pattern, what stands between its stars. */
  readonly parts: readonly string[]
  /** The latest that was not soft. */
  readonly hard: Millis
}

/** Those of one kind, by what they name, up to a bound: beyond it the ones purged longest ago are forgotten. */
class Marks {
  readonly #marks = new Map<string, Mark>()
  readonly #max: number
  #characters = 0
  readonly #forgotten: (purge: Purge) => void

  constructor(max: number, forgotten: (purge: Purge) => void) {
    this.#max = max
    this.#forgotten = forgotten
  }

  get size(): number {
    return this.#marks.size
  }

  add(given: Purge): void {
    const purge = { ...given, id: copied(given.id), value: copied(given.value) }
    const mark = marked(this.#marks.get(purge.value), purge)
    // The order of a map is that in which its keys came.
    this.#drop(purge.value)
    this.#marks.set(purge.value, mark)
    this.#characters += charactersOf(mark)
    while (this.#marks.size > this.#max || this.#characters > MAX_CHARACTERS) {
      const [oldest] = this.#marks.values()
      if (oldest === undefined) return
      this.#drop(oldest.purge.value)
      this.#forgotten(oldest.purge)
    }
  }

  #drop(value: string): void {
    const mark = this.#marks.get(value)
    if (mark === undefined) return
    this.#characters -= charactersOf(mark)
    this.#marks.delete(value)
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
  readonly #byKind: Readonly<Record<PurgeKind, Marks>> = {
    url: new Marks(MAX_MARKS.url, this.#forget),
    'surrogate-key': new Marks(MAX_MARKS['surrogate-key'], this.#forget),
    prefix: new Marks(MAX_MARKS.prefix, this.#forget),
    pattern: new Marks(MAX_MARKS.pattern, this.#forget),
    route: new Marks(MAX_MARKS.route, this.#forget),
    everything: new Marks(MAX_MARKS.everything, this.#forget),
  }
  /** What was asked for up to then counts as purged: purges older than that have been forgotten. */
  #floor = NEVER
  /** What was asked for up to then may have been purged. */
  #doubt = NEVER
  /** Nothing that was asked for after it is purged. */
  #latest = NEVER

  /** Nothing has been purged: nothing needs to be looked at. */
  get isEmpty(): boolean {
    return this.#latest === NEVER && this.#doubt === NEVER
  }

  /** How many are remembered one by one. */
  get size(): number {
    return Object.values(this.#byKind).reduce((sum, marks) => sum + marks.size, 0)
  }

  /** Purges everything that was asked for up to then. */
  purgeUntil(at: Millis): void {
    this.#floor = Math.max(this.#floor, at)
    this.#latest = Math.max(this.#latest, at)
  }

  /** What was asked for up to then is not reused until `trust` is called. */
  doubtUntil(at: Millis): void {
    this.#doubt = at
  }

  trust(): void {
    this.#doubt = NEVER
  }

  apply(purge: Purge): void {
    this.#latest = Math.max(this.#latest, purge.at)
    this.#byKind[purge.kind].add(purge)
  }

  /** `undefined`: untouched. Else what has become of a stored response, as the route of that name has it. */
  of(meta: StoredMeta, route: string): Purged | undefined {
    const { requestedAt } = meta
    // By far most of what is found was asked for after the last purge.
    if (requestedAt > this.#latest && requestedAt > this.#doubt) return undefined
    if (requestedAt <= this.#floor) return { at: this.#floor, soft: false }
    let [hard, soft]: (Millis | undefined)[] = []
    const see = (mark: Mark | undefined): void => {
      if (mark === undefined) return
      if (requestedAt <= mark.hard) hard ??= mark.hard
      else if (requestedAt <= mark.purge.at) soft = Math.min(soft ?? mark.purge.at, mark.purge.at)
    }
    const { url: urls, 'surrogate-key': keys, prefix: prefixes, pattern: patterns, route: routes, everything } = this.#byKind
    const url = withoutScheme(meta.key)
    for (const mark of everything.all()) see(mark)
    see(urls.of(url))
    see(routes.of(route))
    for (const name of meta.surrogateKeys) see(keys.of(name))
    for (const mark of prefixes.all()) if (requestedAt <= mark.purge.at && url.startsWith(mark.purge.value)) see(mark)
    for (const mark of patterns.all()) if (requestedAt <= mark.purge.at && fits(url, mark.parts)) see(mark)
    if (hard !== undefined) return { at: hard, soft: false }
    if (requestedAt <= this.#doubt) return { at: requestedAt, soft: false, unknown: true }
    return soft === undefined ? undefined : { at: soft, soft: true }
  }

  /** The one of that id, if it is remembered. */
  find(id: string): Purge | undefined {
    for (const marks of Object.values(this.#byKind)) for (const { purge } of marks.all()) if (purge.id === id) return purge
    return undefined
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

function charactersOf({ purge: { id, value } }: Mark): number {
  return id.length + value.length
}

/** A string of its own: what was cut out of another keeps that alive, and what was put together its parts, 600 bytes of them for a UUID. */
function copied(text: string): string {
  return Buffer.from(text).toString()
}

function marked(before: Mark | undefined, purge: Purge): Mark {
  const hard = Math.max(before?.hard ?? NEVER, purge.soft ? NEVER : purge.at)
  const parts = purge.kind === 'pattern' ? purge.value.split('*') : NONE
  return { purge: before !== undefined && before.purge.at > purge.at ? before.purge : purge, parts, hard }
}

function purgesOf({ purge, hard }: Mark): readonly Purge[] {
  if (!purge.soft || !Number.isFinite(hard)) return [purge]
  return [{ ...purge, id: `${purge.id}-before`, at: hard, soft: false }, purge]
}

/** Whether something can stand between each two of the parts. The leftmost place will do for all but the last: no trying back and forth. */
export function fits(text: string, parts: readonly string[]): boolean {
  const [first = ''] = parts
  const last = parts.at(-1) as string
  if (parts.length === 1) return text === first
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let from = first.length
  for (let part = 1; part < parts.length - 1; part++) {
    const at = text.indexOf(parts[part] as string, from)
    if (at < 0) return false
    from = at + (parts[part] as string).length
  }
  return text.length - last.length >= from
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
