// The conditions a client puts on its request, against a response that is about to be sent (RFC 9110 §13).
import { type Fields, fieldValue } from './fields.ts'
import { type Millis, parseHttpDate } from './time.ts'
import { type EntityTag, entityTag, parseEntityTag, strongMatch, weakMatch } from './validators.ts'

/**
 * In the order of RFC 9110 §13.2.2; of a response that is no 200, nothing is asked. What other methods than GET and HEAD
 * are conditional on is for the origin alone (RFC 9111 §4.3.2). `not-modified` is answered with 304, `failed` with 412. `now`
 * places two-digit years.
 */
export function evaluatePreconditions(
  method: string,
  request: Fields,
  response: { readonly status: number; readonly fields: Fields },
  now: Millis,
): 'pass' | 'not-modified' | 'failed' {
  if (response.status !== 200 || (method !== 'GET' && method !== 'HEAD')) return 'pass'
  const tag = entityTag(response.fields)

  const ifMatch = fieldValue(request, 'if-match')
  const ifUnmodifiedSince = fieldValue(request, 'if-unmodified-since')
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, tag, strongMatch)) return 'failed'
  } else if (ifUnmodifiedSince !== undefined) {
    const changed = dateIn(response.fields, 'last-modified', now)
    const since = parseHttpDate(ifUnmodifiedSince, now)
    if (changed !== undefined && since !== undefined && changed > since) return 'failed'
  }

  const ifNoneMatch = fieldValue(request, 'if-none-match')
  if (ifNoneMatch !== undefined) {
    return lists(ifNoneMatch, tag, weakMatch) ? 'not-modified' : 'pass'
  }
  const ifModifiedSince = fieldValue(request, 'if-modified-since')
  if (ifModifiedSince === undefined) return 'pass'
  // Without Last-Modified, a cache goes by Date (RFC 9111 §4.3.2).
  const changed = dateIn(response.fields, 'last-modified', now) ?? dateIn(response.fields, 'date', now)
  const since = parseHttpDate(ifModifiedSince, now)
  return changed !== undefined && since !== undefined && changed <= since ? 'not-modified' : 'pass'
}

/** Whether a list of entity tags has this one, or is `*`, which any representation matches. */
function lists(value: string, tag: EntityTag | undefined, match: (a: EntityTag, b: EntityTag) => boolean): boolean {
  if (value === '*') return true
  if (tag === undefined) return false
  // Not listMembers(): in an entity tag a backslash escapes nothing (RFC 9110 §8.8.3). `w/` makes a tag void, not strong.
  for (const [text] of value.matchAll(/(?:W\/)?"[^"]*"/gi)) {
    const listed = parseEntityTag(text)
    if (listed !== undefined && match(listed, tag)) return true
  }
  return false
}

function dateIn(fields: Fields, name: string, now: Millis): Millis | undefined {
  const value = fieldValue(fields, name)
  return value === undefined ? undefined : parseHttpDate(value, now)
}
