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

  /** @throws Error when its answer is no better than none. */
  async function fromFallback(request: OriginRequest, signal: AbortSignal): Promise<OriginResponse> {
    const response = await fallback.fetch(request, signal)
    if (isFailure(response.status)) {
      letGo(response.body)
      throw new CdnError('CDN_ORIGIN_FAILED', `${fallback.name} answered ${response.status}`)
    }
    fellBack++
    return response
  }

  return {
    ...origin,
    async fetch(request, signal) {
      if (request.body !== undefined || !isSafe(request.method)) return origin.fetch(request, signal)
      if (origin.isHealthy?.() === false) return fromFallback(request, signal).catch(() => origin.fetch(request, signal))
      let failed: OriginResponse | undefined
      let error: CdnError | undefined
      try {
        const response = await origin.fetch(request, signal)
        if (!isFailure(response.status)) return response
        failed = response
      } catch (thrown) {
        error = asCdnError(thrown)
        if (error.source !== 'origin' || signal.aborted) throw error
      }
      try {
        const instead = await fromFallback(request, signal)
        letGo(failed?.body)
        return instead
      } catch (second) {
        if (failed !== undefined) return failed
        const { code, message, summary } = error as CdnError
        const detail = message.slice(summary.length + 2)
        throw new CdnError(code as CdnError['code'], `${detail}; its fallback: ${asCdnError(second).message}`, error)
      }
    },
    stats: () => ({ addresses: [], ...origin.stats?.(), fellBack }),
  }
}
