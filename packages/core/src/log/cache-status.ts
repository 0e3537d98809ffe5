// The Cache-Status field: what the log entry says about the cache, on one line (RFC 9211).
import { sfToken } from '../http/structured-fields.ts'
import type { CacheOutcome } from './entry.ts'

/** One member for the list; a cache appends it to what caches nearer to the origin have said. */
export function cacheStatus(name: string, outcome: Omit<CacheOutcome, 'key'>, error?: string): string {
  let text = sfToken(name)
  if (outcome.hit) text += '; hit'
  else if (outcome.fwd !== undefined) {
    text += `; fwd=${outcome.fwd}`
    if (outcome.fwdStatus !== undefined) text += `; fwd-status=${outcome.fwdStatus}`
  }
  if (outcome.ttl !== undefined) text += `; ttl=${outcome.ttl}`
  if (outcome.stored) text += '; stored'
  if (outcome.collapsed) text += '; collapsed'
  const detail = error ?? outcome.notStored ?? outcome.reason
  // Reasons and codes are tokens. What the rest of the line says already is not said twice.
  if (detail !== 'fresh' && detail !== outcome.fwd) text += `; detail=${detail}`
  return text
}
