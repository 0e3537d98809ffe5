// How long a response is fresh, and how old it is on arrival (RFC 9111 §4.2).
import { type DecidingDirectives, type Directives, directiveSeconds } from './cache-control.ts'
import { type Fields, fieldLines, fieldValue, listMembers } from './fields.ts'
import { type Millis, parseHttpDate, type Seconds } from './time.ts'

/** Where a lifetime comes from; `cdn-cache-control: max-age` when from a targeted field. */
export type LifetimeSource = 's-maxage' | 'max-age' | 'expires' | 'heuristic' | 'none' | 'default' | 'override' | (string & {})

export interface Lifetime {
  /** Not negative. */
  readonly seconds: Seconds
  readonly from: LifetimeSource
}

/** What the response says about its lifetime, for a shared cache (RFC 9111 §4.2.1); `undefined` when it says nothing. */
export function explicitLifetime(
  fields: Fields,
  { directives, from }: DecidingDirectives,
  receivedAt: Millis,
): Lifetime | undefined {
  for (const name of ['s-maxage', 'max-age']) {
    const seconds = directiveSeconds(directives, name)
    if (seconds !== undefined) return { seconds, from: from === 'cache-control' ? name : `${from}: ${name}` }
  }
  // Who obeys a targeted field ignores Expires too (RFC 9213 §2.2).
  const value = from === 'cache-control' ? fieldValue(fields, 'expires') : undefined
  if (value === undefined) return undefined
  // What is no date, such as "0", or two lines of it, has expired (RFC 9111 §5.3).
  const expires = parseHttpDate(value, receivedAt)
  if (expires === undefined) return { seconds: 0, from: 'expires' }
  return { seconds: Math.max(0, (expires - (dateOf(fields, receivedAt) ?? receivedAt)) / 1000), from: 'expires' }
}

/** The statuses that are heuristically cacheable (RFC 9110 §15.1). */
const HEURISTIC = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])
const MOST_HEURISTIC: Seconds = 86_400

/** Whether a response that names no lifetime may be stored, and given one (RFC 9111 §3, §4.2.2). */
export function isHeuristicallyCacheable(status: number, directives: Directives): boolean {
  return HEURISTIC.has(status) || directives.has('public')
}

/** A tenth of the time since its last change, a day at most; for a response that says nothing itself (RFC 9111 §4.2.2). */
export function heuristicLifetime(
  status: number,
  fields: Fields,
  { directives }: DecidingDirectives,
  receivedAt: Millis,
): Lifetime | undefined {
  if (!isHeuristicallyCacheable(status, directives)) return undefined
  const changed = parseHttpDate(fieldValue(fields, 'last-modified') ?? '', receivedAt)
  if (changed === undefined) return undefined
  const unchangedFor = (dateOf(fields, receivedAt) ?? receivedAt) - changed
  return unchangedFor < 0 ? undefined : { seconds: Math.min(unchangedFor / 10_000, MOST_HEURISTIC), from: 'heuristic' }
}

/** `corrected_initial_age` (RFC 9111 §4.2.3). Not negative. */
export function initialAge(fields: Fields, requestedAt: Millis, receivedAt: Millis): Seconds {
  const date = dateOf(fields, receivedAt) ?? receivedAt
  // Date is cut to whole seconds, so a part of one says nothing.
  const apparentAge = Math.floor(Math.max(0, receivedAt - date) / 1000)
  const responseDelay = Math.max(0, receivedAt - requestedAt) / 1000
  return Math.max(apparentAge, ageValue(fields) + responseDelay)
}

/** Of several members the first counts, and what is invalid does not (RFC 9111 §5.1). */
function ageValue(fields: Fields): Seconds {
  const [line = ''] = fieldLines(fields, 'age')
  const [first = ''] = listMembers(line)
  return directiveSeconds(new Map([['age', first]]), 'age') ?? 0
}

function dateOf(fields: Fields, now: Millis): Millis | undefined {
  return parseHttpDate(fieldValue(fields, 'date') ?? '', now)
}
