// Validators, and the request that asks the origin whether a stored response still holds (RFC 9110 §8.8, RFC 9111 §4.3.1).
import { type Fields, fieldValue } from './fields.ts'
import type { StoredHead } from './stored-response.ts'
import { parseHttpDate } from './time.ts'

export interface EntityTag {
  readonly weak: boolean
  /** What is between the quotes. */
  readonly opaque: string
}

const ENTITY_TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/

/** `undefined` when the text is not an entity tag: `W/` is in upper case, and quotes are part of it (RFC 9110 §8.8.3). */
export function parseEntityTag(text: string): EntityTag | undefined {
  const parts = ENTITY_TAG.exec(text)
  return parts === null ? undefined : { weak: parts[1] !== undefined, opaque: parts[2] as string }
}

/** The same, byte for byte (RFC 9110 §8.8.3.2). */
export function strongMatch(a: EntityTag, b: EntityTag): boolean {
  return !a.weak && !b.weak && a.opaque === b.opaque
}

/** The same as far as the origin cares (RFC 9110 §8.8.3.2). */
export function weakMatch(a: EntityTag, b: EntityTag): boolean {
  return a.opaque === b.opaque
}

export function entityTag(fields: Fields): EntityTag | undefined {
  const value = fieldValue(fields, 'etag')
  return value === undefined ? undefined : parseEntityTag(value)
}

/** Last-Modified as it was sent; `undefined` when it is not a date. */
export function lastModified(fields: Fields): string | undefined {
  const value = fieldValue(fields, 'last-modified')
  return value === undefined || parseHttpDate(value, 0) === undefined ? undefined : value
}

export function hasValidator(fields: Fields): boolean {
  return entityTag(fields) !== undefined || lastModified(fields) !== undefined
}

/**
 * The fields that make a request conditional on what is stored, the selected response first (RFC 9111 §4.3.1). None when
 * it has no validator. A time tells only one stored response from what is new, so that of several is not sent.
 */
export function validationFields(stored: readonly StoredHead[]): string[] {
  const fields: string[] = []
  const tags = stored.filter((each) => entityTag(each.fields) !== undefined).map((each) => fieldValue(each.fields, 'etag'))
  if (tags.length > 0) fields.push('If-None-Match', [...new Set(tags)].join(', '))
  const [only] = stored
  const modified = only === undefined || stored.length > 1 ? undefined : lastModified(only.fields)
  if (modified !== undefined) fields.push('If-Modified-Since', modified)
  return fields
}
