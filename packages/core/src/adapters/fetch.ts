// Fetch-style requests and responses: for Hono, Bun, Deno, service workers and tests.
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'

/** A handler that answers from the cache, and asks the origins for the rest. */
export function toFetchHandler(cdn: Pick<Handler, 'handle'>): (request: Request) => Promise<Response> {
  return async (request) => toResponse(await cdn.handle(toCdnRequest(request)))
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

function toResponse(answer: CdnResponse): Response {
  const headers = new Headers()
  for (let at = 0; at < answer.fields.length; at += 2)
    headers.append(answer.fields[at] as string, answer.fields[at + 1] as string)
  const init = { status: answer.status, headers }
  const { body } = answer
  if (body === undefined || body instanceof Uint8Array) {
    answer.finished(body?.byteLength ?? 0, true)
    return new Response(body as Uint8Array<ArrayBuffer> | undefined, init)
  }
  return new Response(streamed(body, answer), init)
}

function streamed(body: AsyncIterable<Uint8Array>, answer: CdnResponse): ReadableStream<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]()
  let bytes = 0
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next()
        if (done === true) {
          controller.close()
          return answer.finished(bytes, true)
        }
        bytes += value.byteLength
        controller.enqueue(value)
      } catch (error) {
        controller.error(error)
        answer.finished(bytes, false)
      }
    },
    async cancel() {
      await iterator.return?.()
      answer.finished(bytes, false)
    },
  })
}
