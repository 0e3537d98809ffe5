// Whether a route takes a request, and what `*` stood for.
import type { Access } from './access.ts'
import type { Conditions } from './conditions.ts'
import type { Cors } from './cors.ts'
import type { FieldRule } from './field-rules.ts'
import type { Policy } from './policy.ts'

export interface Match {
  readonly scheme: string | undefined
  /** A host, or "*" labels before it: "*.example.com". `undefined`: any. */
  readonly authority: string | undefined
  /** Text before and after the one `*` of the path; `after` is undefined when there is no `*`. */
  readonly before: string
  readonly after: string | undefined
}

interface RouteBase {
  readonly name: string
  /** One of them has to match. */
  readonly matches: readonly Match[]
  /** What else has to hold. */
  readonly when: Conditions | undefined
  readonly methods: readonly string[] | undefined
  /** Paths that the route takes, and what becomes of each; without it, all that match. */
  readonly table: Table | undefined
  /** Whether the query of the request goes along: to the origin, or to where a redirect leads. */
  readonly keepsQuery: boolean
  readonly access: Access | undefined
  readonly cors: Cors | undefined
  /** For what the origin is sent. */
  readonly requestRules: readonly FieldRule[]
  /** For what the client is sent. */
  readonly responseRules: readonly FieldRule[]
  /** Bodies for our own errors, by status or class such as "5xx". */
  readonly errorPages: ReadonlyMap<string, ErrorPage>
}

/** Where each path leads. */
type Table = ReadonlyMap<string, string>

export interface ErrorPage {
  readonly type: string
  readonly body: string
}

/** `Source` is what answers requests that go forward; this floor does not look into it. */
export type Route<Source = unknown> =
  | (RouteBase & {
      readonly kind: 'origin'
      readonly origin: Source
      /** Without it, and without a table, the path stays as it is. */
      readonly rewrite: string | undefined
      readonly policy: Policy
    })
  | (RouteBase & { readonly kind: 'redirect'; readonly location: string | undefined; readonly status: number })
  | (RouteBase & { readonly kind: 'respond'; readonly status: number; readonly fields: readonly string[]; readonly body: string })

/** "/a/*", "https://host/a/*" or "//host/a/*" as a `Match`; a message when it is none. */
export function parseMatch(text: string): Match | string {
  const url = /^(?:(https?):)?\/\/([^/?#]+)(\/.*)?$/.exec(text)
  const path = url ? (url[3] ?? '/*') : text
  if (!path.startsWith('/')) return 'must begin with "/" or "https://"'
  if (/[?#\s]/.test(path)) return 'must not contain "?", "#" or white space: a match is about the path'
  const star = path.indexOf('*')
  if (star >= 0 && path.indexOf('*', star + 1) >= 0) return 'may contain one "*" in its path'
  const authority = url?.[2]?.toLowerCase()
  if (authority !== undefined && authority.lastIndexOf('*') > 0) return 'may contain "*" only as the first label of its host'
  return {
    scheme: url?.[1],
    authority,
    before: star < 0 ? path : path.slice(0, star),
    after: star < 0 ? undefined : path.slice(star + 1),
  }
}

/**
 * What `*` stood for: "" when the match has none, `undefined` when it does not match. `authority` has to be normalised;
 * `target` may carry a query.
 */
export function matches(match: Match, scheme: string, authority: string, target: string): string | undefined {
  if (match.scheme !== undefined && match.scheme !== scheme) return undefined
  if (match.authority !== undefined && !matchesHost(match.authority, scheme, authority)) return undefined
  if (match.after === '') {
    // By far the most common form, and nothing to copy when it is "/*".
    if (!target.startsWith(match.before)) return undefined
    return withoutQuery(target).slice(match.before.length)
  }
  const path = withoutQuery(target)
  if (match.after === undefined) return path === match.before ? '' : undefined
  if (path.length < match.before.length + match.after.length) return undefined
  if (!path.startsWith(match.before) || !path.endsWith(match.after)) return undefined
  return path.slice(match.before.length, path.length - match.after.length)
}

/** A pattern without a port matches whatever the port is. */
function matchesHost(pattern: string, scheme: string, authority: string): boolean {
  if (pattern === '*') return true
  const host = /:\d+$/.test(pattern) ? withPort(scheme, authority) : authority.replace(/:\d+$/, '')
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern
}

/** What the scheme implies is left out in requests, and may be in a pattern (RFC 9110 §4.2.3). */
function withPort(scheme: string, authority: string): string {
  return /:\d+$/.test(authority) ? authority : `${authority}:${scheme === 'https' ? 443 : 80}`
}

export function withoutQuery(target: string): string {
  const mark = target.indexOf('?')
  return mark < 0 ? target : target.slice(0, mark)
}

/** The path and query to ask the origin for, or where to go. A rewrite changes what the origin sees, never the key. */
export function rewritten(rewrite: string | undefined, star: string, target: string, keepsQuery = true): string {
  if (rewrite === undefined) return keepsQuery ? target : withoutQuery(target)
  // Two slashes at the start of a reference would name a host, and the client chooses what the star stands for (RFC 3986 §4.2).
  const [place = '', fragment] = rewrite
    .replace('*', () => star)
    .replace(/^\/+/, '/')
    .split('#', 2)
  const mark = keepsQuery ? target.indexOf('?') : -1
  const query = mark < 0 ? '' : place.includes('?') ? `&${target.slice(mark + 1)}` : target.slice(mark)
  return place + query + (fragment === undefined ? '' : `#${fragment}`)
}
