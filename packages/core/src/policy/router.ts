// Finds the route of a request among thousands: those that cannot match are not looked at.
import { type ClientFacts, holds } from './conditions.ts'
import { type Match, matches, type Route, withoutQuery } from './route.ts'

export interface Found<Source> {
  readonly route: Route<Source>
  /** What `*` stood for. */
  readonly star: string
  /** What the route's table says of this path. */
  readonly entry: string | undefined
}

interface Candidate {
  readonly at: number
  readonly match: Match
}

/** Those of one host, by path, or by the first segment of the path; each in the order of the routes. */
interface Candidates {
  readonly exact: Map<string, Candidate[]>
  readonly segments: Map<string, Candidate[]>
}

/** So few are looked through one after the other, which is faster. */
const FEW = 16

/** The first route that matches, in the order of the configuration. */
export class Router<Source> {
  readonly #routes: readonly Route<Source>[]
  /** Of "" for those that are not for one host alone. */
  readonly #hosts = new Map<string, Candidates>()
  readonly #few: readonly Candidate[] | undefined

  constructor(routes: readonly Route<Source>[]) {
    this.#routes = routes
    const all = routes.flatMap((route, at) => route.matches.map((match) => ({ at, match })))
    this.#few = all.length <= FEW ? all : undefined
    for (const candidate of all) this.#add(candidate)
  }

  #add(candidate: Candidate): void {
    const { before, after } = candidate.match
    const host = plainHost(candidate.match)
    const candidates = this.#hosts.get(host) ?? { exact: new Map(), segments: new Map() }
    this.#hosts.set(host, candidates)
    const [map, key] = after === undefined ? [candidates.exact, before] : [candidates.segments, wholeSegment(before)]
    const list = map.get(key)
    if (list === undefined) map.set(key, [candidate])
    else list.push(candidate)
  }

  /** `authority` and `target` have to be normalised. `facts`: without them, conditions count as holding. */
  find(scheme: string, authority: string, target: string, facts?: ClientFacts): Found<Source> | undefined {
    const path = withoutQuery(target)
    if (this.#few !== undefined) {
      for (const candidate of this.#few) {
        const found = this.#found(candidate, scheme, authority, target, path, facts)
        if (found !== undefined) return found
      }
      return undefined
    }
    const lists: (readonly Candidate[])[] = []
    const segment = wholeSegment(path)
    addLists(lists, this.#hosts.get(''), path, segment)
    addLists(lists, this.#hosts.get(withoutPort(authority)), path, segment)
    const places = lists.map(() => 0)
    for (;;) {
      let next: Candidate | undefined
      let from = -1
      for (let list = 0; list < lists.length; list++) {
        const candidate = lists[list]?.[places[list] as number]
        if (candidate !== undefined && (next === undefined || candidate.at < next.at)) {
          next = candidate
          from = list
        }
      }
      if (next === undefined) return undefined
      places[from] = (places[from] as number) + 1
      const found = this.#found(next, scheme, authority, target, path, facts)
      if (found !== undefined) return found
    }
  }

  /** All that match as far as a URL tells, in the order of the configuration: also those that others hide, or that ask for more. */
  all(scheme: string, authority: string, target: string): readonly Route<Source>[] {
    return this.#routes.filter((route) => route.matches.some((match) => matches(match, scheme, authority, target) !== undefined))
  }

  #found(
    { at, match }: Candidate,
    scheme: string,
    authority: string,
    target: string,
    path: string,
    facts: ClientFacts | undefined,
  ): Found<Source> | undefined {
    const route = this.#routes[at] as Route<Source>
    const entry = route.table?.get(path)
    if (route.table !== undefined && entry === undefined) return undefined
    const star = matches(match, scheme, authority, target)
    if (star === undefined) return undefined
    if (route.when !== undefined && facts !== undefined && !holds(route.when, facts)) return undefined
    return { route, star, entry }
  }
}

function addLists(lists: (readonly Candidate[])[], candidates: Candidates | undefined, path: string, segment: string): void {
  if (candidates === undefined) return
  const { exact, segments } = candidates
  const [one, any, some] = [exact.get(path), segments.get(''), segment === '' ? undefined : segments.get(segment)]
  if (one !== undefined) lists.push(one)
  if (any !== undefined) lists.push(any)
  if (some !== undefined) lists.push(some)
}

function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':')
  return colon < 0 || authority.endsWith(']') ? authority : authority.slice(0, colon)
}

/** A host that can be looked up; "" for a pattern, one with a port, or any. */
function plainHost({ authority }: Match): string {
  return authority === undefined || authority.includes('*') || /:\d+$/.test(authority) ? '' : authority
}

/** "/a/" of "/a/b", and "" where the first segment may go on. */
function wholeSegment(path: string): string {
  const end = path.indexOf('/', 1)
  return end < 0 ? '' : path.slice(0, end + 1)
}
