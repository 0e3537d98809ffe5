// What a change makes invalid: the URLs whose stored responses an unsafe method does away with (RFC 9111 §4.4).
import { type Fields, fieldLines } from './fields.ts'

/** RFC 9110 §9.2.1, and what the IANA registry of methods calls safe. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH'])

/** Whether a method only reads. One that nobody knows may do anything. */
export function isSafe(method: string): boolean {
  return SAFE.has(method)
}

/**
 * URLs that a successful unsafe request to `target`, an absolute URL, invalidates: its own, and those in Location and
 * Content-Location. Only of the same origin: anybody could name somebody else's (RFC 9111 §4.4).
 */
export function invalidatedUrls(target: string, response: Fields): readonly string[] {
  const own = new URL(target)
  const named = [...fieldLines(response, 'location'), ...fieldLines(response, 'content-location')]
    .filter((reference) => URL.canParse(reference, target))
    .map((reference) => new URL(reference, own))
    .filter((url) => url.origin === own.origin)
  return [...new Set([own, ...named].map(withoutFragment))]
}

function withoutFragment(url: URL): string {
  url.hash = ''
  return url.href
}
