// A stored response, how old it is, and which of several a request selects (RFC 9111 §2, §4.1, §4.2.3).
import {
  cookieValue,
  type Fields,
  fieldLines,
  fieldValue,
  hasField,
  isEndToEnd,
  isFieldName,
  listMembers,
  splitList,
} from './fields.ts'
import type { LifetimeSource } from './freshness.ts'
import { type Millis, parseHttpDate, type Seconds } from './time.ts'

/** Names the requests that a stored response may answer. Opaque outside `policy/key.ts`. */
export type CacheKey = string & { readonly cacheKey: unique symbol }

/** Everything that decides about reuse, worked out once, when the response was admitted. */
export interface Freshness {
  readonly lifetime: Seconds
  readonly from: LifetimeSource
  readonly staleWhileRevalidate: Seconds
  readonly staleIfError: Seconds
  /** `no-cache`: validate before every reuse, fresh or not. */
  readonly validateAlways: boolean
  /** `must-revalidate`, `proxy-revalidate`, `s-maxage`: once stale, no reuse without validation. */
  readonly forbidsStale: boolean
}

/** What a request had in the fields that select a stored response, normalised; `null` when it had none. */
export type Selecting = readonly (readonly [name: string, value: string | null])[]

/** What is known of a stored response when it is admitted, before its body has come. */
export interface StoredHead {
  /** Version of this record, so that a store can refuse what another release wrote. */
  readonly v: 1
  /** Unique for each stored response; the body is found by it. */
  readonly id: string
  readonly key: CacheKey
  readonly status: number
  readonly fields: Fields
  /** What was meant for this cache alone: kept for the next validation, never delivered. */
  readonly withheld: Fields
  readonly selecting: Selecting
  readonly requestedAt: Millis
  readonly receivedAt: Millis
  readonly initialAge: Seconds
  readonly freshness: Freshness
  /** Names under which this response can be purged together with others. */
  readonly surrogateKeys: readonly string[]
}

/** A stored response without its body. */
export interface StoredMeta extends StoredHead {
  /** Length of the body in bytes. */
  readonly length: number
  /** The body is kept in slices of so many bytes, the last one shorter; without it, in one piece. */
  readonly sliceBytes?: number | undefined
}

/** `current_age` (RFC 9111 §4.2.3), not rounded. A clock that was set back makes nothing younger than it arrived. */
export function currentAge(stored: StoredHead, now: Millis): Seconds {
  return stored.initialAge + Math.max(0, now - stored.receivedAt) / 1000
}

/**
 * The request fields that selected this response: lower case, sorted, each once. `'*'` when no later request is known to
 * select it: `*` is among them (RFC 9110 §12.5.5), or something that is not the name of a field.
 */
export function varyNames(fields: Fields): readonly string[] | '*' {
  const names = new Set(fieldLines(fields, 'vary').flatMap((line) => listMembers(line.toLowerCase())))
  for (const name of names) if (name === '*' || !isFieldName(name)) return '*'
  return [...names].sort()
}

export interface VaryNormalisation {
  /**
   * Whether languages are what counts in Accept-Language: without weights, their order does not matter; and a response
   * in the language a request likes best is selected whatever else the request lists. (RFC 9110 §12.5.4)
   */
  readonly languages: boolean
}

/** What a request has in the fields of these names. `cookie:NAME` stands for one cookie. */
export function selectingOf(names: readonly string[], request: Fields, normalise: VaryNormalisation): Selecting {
  return names.map((name) => [name, selectingValue(name, request, normalise)])
}

/** Whether a request has what the one had that the response answered (RFC 9111 §4.1). */
export function selects(stored: StoredHead, request: Fields, normalise: VaryNormalisation): boolean {
  for (const [name, value] of stored.selecting) {
    const asked = selectingValue(name, request, normalise)
    if (asked === value) continue
    if (name === 'accept-language' && normalise.languages && asked !== null && isPreferred(asked, stored)) continue
    return false
  }
  return true
}

/** The one of these that a request selects; the most recent of several (RFC 9111 §4.1). */
export function selectStored(
  candidates: readonly StoredMeta[],
  request: Fields,
  normalise: VaryNormalisation,
): StoredMeta | undefined {
  const matching = candidates.filter((stored) => selects(stored, request, normalise))
  if (matching.length <= 1) return matching[0]
  const latest = mostRecent(matching)
  if (latest === undefined || hasField(latest.fields, 'vary')) return latest
  // A default answer may lack the Vary it should have: what was chosen for this request is better. Unless it was stale
  // when the other came, which then may be what replaces it.
  const chosen = matching.filter((stored) => hasField(stored.fields, 'vary') && wasFresh(stored, latest.receivedAt))
  return mostRecent(chosen) ?? latest
}

function wasFresh(stored: StoredHead, at: Millis): boolean {
  return !stored.freshness.validateAlways && currentAge(stored, at) < stored.freshness.lifetime
}

function mostRecent(stored: readonly StoredMeta[]): StoredMeta | undefined {
  return stored.toSorted((a, b) => datedAt(b) - datedAt(a) || b.receivedAt - a.receivedAt)[0]
}

function datedAt({ fields, receivedAt }: StoredHead): Millis {
  return parseHttpDate(fieldValue(fields, 'date') ?? '', receivedAt) ?? receivedAt
}

function selectingValue(name: string, request: Fields, normalise: VaryNormalisation): string | null {
  if (name.startsWith('cookie:')) return cookieValue(request, name.slice('cookie:'.length)) ?? null
  const value = fieldValue(request, name)
  // What the origin did not get to see cannot have selected anything.
  if (value === undefined || !isEndToEnd(request, name)) return null
  if (name === 'accept-encoding') return acceptedCodings(value)
  if (name === 'accept-language') return acceptedLanguages(value, normalise)
  return splitList(value).join(', ')
}

interface Weighted {
  readonly value: string
  readonly weight: number
}

/** The members of an Accept-like list with their weights; `undefined` when one has anything else (RFC 9110 §12.4.2). */
function weighted(value: string): Weighted[] | undefined {
  const members: Weighted[] = []
  for (const member of listMembers(value)) {
    const parts = /^([^\s;]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/.exec(member)
    if (parts === null) return undefined
    members.push({ value: parts[1] as string, weight: Number(parts[2] ?? 1) })
  }
  return members
}

/** The set of codings a client accepts: any of them will do, whichever it likes best (RFC 9110 §12.5.3). */
function acceptedCodings(value: string): string {
  const text = value.toLowerCase()
  const codings = weighted(text)
  if (codings === undefined || codings.some((coding) => coding.value === '*' && coding.weight > 0))
    return splitList(text).join(', ')
  const accepted = new Set(
    codings.filter(({ weight }) => weight > 0).map((coding) => (coding.value === 'x-gzip' ? 'gzip' : coding.value)),
  )
  // What is not mentioned is acceptable only if it is no coding at all.
  if (!codings.some((coding) => coding.value === 'identity' || coding.value === '*')) accepted.add('identity')
  return [...accepted].sort().join(', ')
}

function acceptedLanguages(value: string, { languages }: VaryNormalisation): string {
  const members = splitList(value.toLowerCase())
  return (languages && !value.includes(';') ? members.sort() : members).join(', ')
}

/** Whether the response is in the language that a request likes better than any other. */
function isPreferred(asked: string, stored: StoredMeta): boolean {
  const languages = weighted(asked) ?? []
  const most = Math.max(...languages.map(({ weight }) => weight))
  const preferred = languages.filter(({ weight }) => weight === most)
  return (
    most > 0 && preferred.length === 1 && preferred[0]?.value === fieldValue(stored.fields, 'content-language')?.toLowerCase()
  )
}
