// The names under which a response can be purged together with others.
import { type Fields, fieldLines, trimmed } from '../http/fields.ts'

/** At most this many of a response are kept: a response that belongs to everything belongs to nothing. */
const MAX_SURROGATE_KEYS = 256

/** Surrogate-Key is separated by white space, Cache-Tag by commas; names keep their spelling. */
export function surrogateKeys(fields: Fields): readonly string[] {
  const byWords = fieldLines(fields, 'surrogate-key').flatMap((line) => line.split(/[ \t]+/))
  const byCommas = fieldLines(fields, 'cache-tag').flatMap((line) => line.split(',').map((name) => trimmed(name)))
  const names = new Set([...byWords, ...byCommas])
  names.delete('')
  return [...names].slice(0, MAX_SURROGATE_KEYS)
}
