// An origin in this process: a Fetch-style app, such as Hono's `app.fetch`.
import { CdnError } from '../errors.ts'
import type { Origin } from './origin.ts'

/** What Hono, h3, Bun, Deno and service workers call a handler. */
export type App = (request: Request) => Response | Promise<Response>

export interface AppOriginOptions {
  /** Longest wait for the app's response, in milliseconds. Default: 30,000. */
  headTimeoutMs?: number
}

/**
 * What the app throws becomes CDN_ORIGIN_UNREACHABLE, so that a stale response may stand in for it. Its request is aborted
 * when the client has gone, or the app has taken too long.
 */
export function appOrigin(name: string, app: App, { headTimeoutMs = 30_000 }: AppOriginOptions = {}): Origin {
  return {
    name,
    async fetch({ method, scheme, authority, target, fields, body }, signal) {
      const ending = new AbortController()
      const leave = (): void => ending.abort(new CdnError('CDN_CLIENT_GONE'))
      if (signal.aborted) leave()
      signal.addEventListener('abort', leave, { once: true })
      const timeout = setTimeout(
        () => ending.abort(new CdnError('CDN_ORIGIN_TIMEOUT', `${name} sent no response within ${headTimeoutMs} ms`)),
        headTimeoutMs,
      )
      try {
        const headers = new Headers()
        for (let at = 0; at < fields.length; at += 2) headers.append(fields[at] as string, fields[at + 1] as string)
        const init: RequestInit & { duplex?: 'half' } = { method, headers, signal: ending.signal, redirect: 'manual' }
        // A Request has no place for the content of a GET, which has no meaning anyway (RFC 9110 §9.3.1).
        if (body !== undefined && method !== 'GET' && method !== 'HEAD') {
          init.body = ReadableStream.from(body)
          init.duplex = 'half'
        }
        const answered = answer(app, new Request(`${scheme}://${authority}${target}`, init))
        const response = await Promise.race([answered, aborted(ending.signal)]).catch((error) => {
          // It may answer yet.
          void answered.then((late) => late.body?.cancel()).catch(() => undefined)
          throw error
        })
        return { status: response.status, fields: [...response.headers].flat(), body: chunks(response, leave) }
      } catch (error) {
        if (error instanceof CdnError) throw error
        throw new CdnError('CDN_ORIGIN_UNREACHABLE', `${name}: ${error instanceof Error ? error.message : String(error)}`, error)
      } finally {
        clearTimeout(timeout)
        signal.removeEventListener('abort', leave)
      }
    },
  }
}

/** What it throws at once is a rejection like any other. */
async function answer(app: App, request: Request): Promise<Response> {
  return app(request)
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  if (signal.aborted) reject(signal.reason)
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}

/** Leaving ends it at once. The stream's own iterator would wait for the next chunk first, which may never come. */
function chunks({ body }: Response, left: () => void): AsyncIterableIterator<Uint8Array> {
  const reader = body?.getReader()
  const end = { done: true, value: undefined } as const
  let over = reader === undefined
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const result = await reader?.read()
      over ||= result?.done === true
      if (result === undefined || result.done) return end
      if (!(result.value instanceof Uint8Array)) throw new TypeError('a chunk of the body is not a Uint8Array')
      return result
    },
    async return() {
      if (over) return end
      over = true
      left()
      await reader?.cancel()
      return end
    },
  }
}
