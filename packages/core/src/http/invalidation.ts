// What a change makes invalid: which methods make one, and whose stored responses they do away with besides their own (RFC 9111 §4.4).
import { type Fields, fieldLines } from './fields.ts'

/** RFC 9110 §9.2.1, and what the IANA registry of methods calls safe. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH'])

/** Whether a method only reads. One that nobody knows may do anything. */
export function isSafe(method: string): boolean {
  return SAFE.has(method)
}

/**
 * URLs that a successful unsafe request to `target`, an absolute URL, invalidates besides its own: those in Location and
 * Content-Location. Only of the same origin: anybody could name somebody else's (RFC 9111 §4.4).
 */
export function alsoInvalidated(target: string, response: Fields): readonly string[] {
  // A Host that a client may send is not always one that a URL may have.
  if (!URL.canParse(target)) return []
  const own = new URL(target)
  const named = [...fieldLines(response, 'location'), ...fieldLines(response, 'content-location')]
    .filter((reference) => URL.canParse(reference, target))
    .map((reference) => new URL(reference, own))
    .filter((url) => url.origin === own.origin)
    .map(withoutFragment)
  return [...new Set(named)].filter((href) => href !== own.href)
}

function withoutFragment(url: URL): string {
  url.hash = ''
  return url.href
}
