// An origin that another one stands in for, when it fails.
import { asCdnError, CdnError } from '../errors.ts'
import { letGo } from '../http/body.ts'
import { isSafe } from '../http/invalidation.ts'
import { isFailure } from '../policy/decide.ts'
import type { Origin, OriginRequest, OriginResponse } from './origin.ts'

/**
 * Asks the fallback when the origin fails to answer a safe request, or answers it with 500, 502, 503 or 504 (RFC 5861 §4); and
 * first when the origin is known not to be well. Each has its own timeouts. When both fail, the failure is that of the origin.
 * Closes neither origin but its own.
 */
export function withFallback(origin: Origin, fallback: Origin): Origin {
  let fellBack = 0

  /** `undefined`: its answer is no better. */
  async function fromFallback(request: OriginRequest, signal: AbortSignal): Promise<OriginResponse | undefined> {
    const response = await fallback.fetch(request, signal)
    if (isFailure(response.status)) {
      letGo(response.body)
      return undefined
    }
    fellBack++
    return response
  }

  return {
    ...origin,
    async fetch(request, signal) {
      if (request.body !== undefined || !isSafe(request.method)) return origin.fetch(request, signal)
      const isWell = origin.isHealthy?.() !== false
      const first = isWell ? undefined : await fromFallback(request, signal).catch(() => undefined)
      if (first !== undefined) return first
      try {
        const response = await origin.fetch(request, signal)
        if (!isFailure(response.status) || !isWell) return response
        const instead = await fromFallback(request, signal).catch(() => undefined)
        if (instead !== undefined) letGo(response.body)
        return instead ?? response
      } catch (thrown) {
        const error = asCdnError(thrown)
        if (error.source !== 'origin' || signal.aborted) throw error
        try {
          const instead = await fallback.fetch(request, signal)
          fellBack++
          return instead
        } catch (second) {
          const detail = error.message.slice(error.summary.length + 2)
          throw new CdnError(error.code, `${detail}; its fallback: ${asCdnError(second).message}`, error)
        }
      }
    },
    stats: () => ({ addresses: [], ...origin.stats?.(), fellBack }),
  }
}
