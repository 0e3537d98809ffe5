// What a 304 changes in a stored response, and in which (RFC 9111 §3.2, §4.3.4).
import { endToEndFields, type Fields, withoutFields } from './fields.ts'
import type { StoredHead } from './stored-response.ts'
import { parseHttpDate } from './time.ts'
import { entityTag, lastModified, strongMatch, weakMatch } from './validators.ts'

/** What says how the stored bytes are to be read: it stays, for they do (RFC 9111 §3.2). */
const OF_THE_BYTES: ReadonlySet<string> = new Set(['content-encoding', 'content-length', 'content-range'])

/** When the stored message was made. The 304 is another one. */
const OF_THE_MESSAGE = ['age', 'date']

/**
 * The stored fields, with those of the 304 in place of the ones of the same name (RFC 9111 §3.2). When the 304 has no Date,
 * there is none: it is the cache's to add, being the time of arrival (RFC 9110 §6.6.1).
 */
export function mergedFields(stored: Fields, update: Fields): string[] {
  const changes = withoutFields(endToEndFields(update), OF_THE_BYTES)
  const changed = new Set(OF_THE_MESSAGE)
  for (let at = 0; at < changes.length; at += 2) changed.add((changes[at] as string).toLowerCase())
  return [...withoutFields(stored, changed), ...changes]
}

/**
 * Whether a 304 is about this stored response, the only one its request was conditional on (RFC 9111 §4.3.4). Then a 304
 * without validator is about it too.
 */
export function identifies(notModified: Fields, stored: StoredHead): boolean {
  const tag = entityTag(notModified)
  const storedTag = entityTag(stored.fields)
  if (tag !== undefined && storedTag !== undefined) return tag.weak ? weakMatch(tag, storedTag) : strongMatch(tag, storedTag)
  const modified = lastModified(notModified)
  if (modified === undefined) return tag === undefined
  const storedModified = lastModified(stored.fields)
  return (
    storedModified !== undefined &&
    parseHttpDate(modified, stored.receivedAt) === parseHttpDate(storedModified, stored.receivedAt)
  )
}
