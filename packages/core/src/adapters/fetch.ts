// Fetch-style requests and responses: for Hono, Bun, Deno, service workers and tests.
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'
import { CdnError } from '../errors.ts'
import { leave, letGo } from '../http/body.ts'

/** A handler that answers from the cache, and asks the origins for the rest. */
export function toFetchHandler(cdn: Pick<Handler, 'handle'>): (request: Request) => Promise<Response> {
  return async (request) => {
    const answer = await cdn.handle(toCdnRequest(request))
    try {
      return toResponse(answer, request.signal)
    } catch (error) {
      // There are statuses and fields that a Response cannot have.
      letGo(answer.body)
      const detail = error instanceof Error ? error.message : String(error)
      return toResponse(answer.fail(new CdnError('CDN_ORIGIN_PROTOCOL', detail, error)), request.signal)
    }
  }
}

function toCdnRequest(request: Request): CdnRequest {
  const url = new URL(request.url)
  return {
    method: request.method,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    authority: url.host,
    target: url.pathname + url.search,
    httpVersion: '1.1',
    fields: [...request.headers].flat(),
    body: request.body ?? undefined,
    signal: request.signal,
  }
}

/** Those that a Response may have no body with, not even an empty one. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304])

function toResponse(answer: CdnResponse, signal: AbortSignal): Response {
  const { status, body } = answer
  const headers = new Headers()
  for (let at = 0; at < answer.fields.length; at += 2)
    headers.append(answer.fields[at] as string, answer.fields[at + 1] as string)
  if (body === undefined || WITHOUT_BODY.has(status)) {
    letGo(body)
    answer.finished(0, true)
    return new Response(null, { status, headers })
  }
  if (!(body instanceof Uint8Array)) return new Response(streamed(body, answer, signal), { status, headers })
  answer.finished(body.byteLength, true)
  return new Response(body as Uint8Array<ArrayBuffer>, { status, headers })
}

/** At the pace of its reader: nothing is read ahead, and what has been read is what the log says. */
function streamed(body: AsyncIterable<Uint8Array>, answer: CdnResponse, signal: AbortSignal): ReadableStream<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]()
  let bytes = 0
  let over = false
  let gone: () => void
  const finish = (complete: boolean, error?: unknown): void => {
    over = true
    signal.removeEventListener('abort', gone)
    answer.finished(bytes, complete, error)
  }
  return new ReadableStream(
    {
      start(controller) {
        gone = () => {
          finish(false)
          controller.error(signal.reason)
          leave(iterator)
        }
        signal.addEventListener('abort', gone)
        if (signal.aborted) gone()
      },
      async pull(controller) {
        try {
          const { done, value } = await iterator.next()
          if (over) return
          if (done === true) {
            controller.close()
            return finish(true)
          }
          bytes += value.byteLength
          // Whoever reads it may keep it.
          controller.enqueue(new Uint8Array(value))
        } catch (error) {
          if (over) return
          controller.error(error)
          finish(false, error)
        }
      },
      cancel() {
        finish(false)
        leave(iterator)
      },
    },
    { highWaterMark: 0 },
  )
}
