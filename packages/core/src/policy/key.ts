// The cache key: what of a request's URL goes in, and in which spelling.
import type { CacheKey } from '../http/stored-response.ts'
import type { Policy } from './policy.ts'

/** Printable ASCII that needs no second look: no escapes, no backslash, no fragment, no brackets or quotes. */
const PLAIN = /^\/[A-Za-z0-9\-_~!$&()*+,;=:@/?.]*$/
const DOT_SEGMENT = /\/\.{1,2}(?:\/|\?|$)/

/**
 * The path and query of a request in one spelling: escapes in upper case, unreserved characters unescaped, dot segments
 * resolved (RFC 3986 §6.2.2). A `%` that begins no escape is escaped: with what comes to stand behind it, it could begin one;
 * and, as by all browsers, the apostrophe in a query.
 * Key, route and origin all see this spelling, so that no two of them can disagree about what was asked. `undefined` when
 * the target is not a path (RFC 9112 §3.2.1).
 */
export function normalisedTarget(target: string): string | undefined {
  if (PLAIN.test(target) && !DOT_SEGMENT.test(target)) return target
  if (!target.startsWith('/') || /[^\x21-\x7e\x80-\xff]|[#\\]/.test(target)) return undefined
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark)
  return resolvedDots(normalisedEscapes(path)) + normalisedEscapes(query).replaceAll("'", '%27')
}

function normalisedEscapes(text: string): string {
  return text
    .replace(/%(?![0-9A-Fa-f]{2})|[\x80-\xff"<>^`{|}]/g, (character) => escaped(character.charCodeAt(0)))
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => {
      const character = String.fromCharCode(Number.parseInt(hex, 16))
      return /[A-Za-z0-9\-._~]/.test(character) ? character : `%${hex.toUpperCase()}`
    })
}

function escaped(code: number): string {
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`
}

function resolvedDots(path: string): string {
  if (!DOT_SEGMENT.test(path)) return path
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (last) kept.push('')
  }
  return `/${kept.join('/')}`
}

/** The host and port of a request in one spelling: lower case, without the port that the scheme implies (RFC 9110 §4.2.3). */
export function normalisedAuthority(scheme: string, authority: string): string {
  const implied = scheme === 'https' ? ':443' : ':80'
  return (authority.endsWith(implied) ? authority.slice(0, -implied.length) : authority).toLowerCase()
}

/** Names the stored responses for a URL. `authority` and `target` have to be normalised. */
export function cacheKey(scheme: string, authority: string, target: string, query: Policy['query']): CacheKey {
  return `${scheme}://${authority}${query === 'all' && !target.includes('?') ? target : keyedTarget(target, query)}` as CacheKey
}

function keyedTarget(target: string, query: Policy['query']): string {
  const mark = target.indexOf('?')
  if (mark < 0) return target
  const path = target.slice(0, mark)
  if (query === 'none') return path
  const parameters = target.slice(mark + 1).split('&')
  const kept = query === 'all' ? parameters : parameters.filter((parameter) => counts(query, parameterName(parameter)))
  if (kept.length === 0) return path
  // Sorted by name only: the order of several values of one parameter may matter to the origin.
  return `${path}?${kept.sort(byName).join('&')}`
}

function counts(query: Exclude<Policy['query'], 'all' | 'none'>, name: string): boolean {
  if (!('ignore' in query)) return query.includes(name)
  return !query.ignore.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))
}

/**
 * Path and query of a request without the parameters that do not count, in the order of the client: an origin that is asked on
 * behalf of everybody is asked nothing that only one of them said.
 */
export function countedTarget(target: string, query: Policy['query']): string {
  const mark = target.indexOf('?')
  if (query === 'all' || mark < 0) return target
  const kept =
    query === 'none'
      ? []
      : target
          .slice(mark + 1)
          .split('&')
          .filter((parameter) => counts(query, parameterName(parameter)))
  return kept.length === 0 ? target.slice(0, mark) : `${target.slice(0, mark)}?${kept.join('&')}`
}

/** The name of a query parameter as applications read it: `a%5B%5D` is `a[]`, and `+` is a space. Bytes are characters. */
export function parameterName(parameter: string): string {
  const equals = parameter.indexOf('=')
  return decodedParameter(equals < 0 ? parameter : parameter.slice(0, equals))
}

/** The name or the value of a query parameter as applications read it. */
export function decodedParameter(text: string): string {
  if (!/[%+]/.test(text)) return text
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function byName(a: string, b: string): number {
  const nameA = parameterName(a)
  const nameB = parameterName(b)
  return nameA < nameB ? -1 : nameA > nameB ? 1 : 0
}
