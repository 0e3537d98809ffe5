// An origin that another one stands in for, when it fails.
import { asCdnError, CdnError } from '../errors.ts'
import { isSafe } from '../http/invalidation.ts'
import type { Origin } from './origin.ts'

/**
 * Asks the fallback when the origin gives no answer at all to a safe request, and first when the origin is known not to be
 * well. An answer is an answer, a 503 too. Each has its own timeouts; when both fail, the error is that of the origin.
 * Closes neither origin but its own.
 */
export function withFallback(origin: Origin, fallback: Origin): Origin {
  let fellBack = 0
  return {
    ...origin,
    async fetch(request, signal) {
      if (request.body !== undefined || !isSafe(request.method)) return origin.fetch(request, signal)
      if (origin.isHealthy?.() === false) {
        const response = await fallback.fetch(request, signal).catch(() => undefined)
        if (response !== undefined) {
          fellBack++
          return response
        }
      }
      try {
        return await origin.fetch(request, signal)
      } catch (thrown) {
        const error = asCdnError(thrown)
        if (error.source !== 'origin' || signal.aborted) throw error
        try {
          const response = await fallback.fetch(request, signal)
          fellBack++
          return response
        } catch (second) {
          const detail = error.message.slice(error.summary.length + 2)
          throw new CdnError(error.code, `${detail}; its fallback: ${asCdnError(second).message}`, error)
        }
      }
    },
    stats: () => ({ addresses: [], ...origin.stats?.(), fellBack }),
  }
}
