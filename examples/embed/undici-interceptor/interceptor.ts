// An interceptor for undici's dispatchers: what a program asks others for is kept as far as they allow. `agent.compose(cache())`.
import { stringify } from 'node:querystring'
import { type Cdn, CdnError, createCdn, type Fields, type OriginRequest } from '@simple-cdn/core'
import { type Dispatcher, request } from 'undici'

/** Safe requests without a body go through a cache of their own; everything else goes on as it is. Failures are errors, as without it. */
export function cache(): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => {
    const next = { dispatch } as Dispatcher
    const cdn = createCdn({
      origins: { next: { name: 'next', fetch: (asked, signal) => ask(next, asked, signal) } },
      routes: [{ match: '/*', origin: 'next' }],
      log: [],
    })
    return (options, handler) => {
      const { method, origin, body, upgrade } = options
      // A Client and a Pool know themselves where they ask.
      if (!['GET', 'HEAD'].includes(method) || origin === undefined || body || upgrade) return dispatch(options, handler)
      void answer(cdn, options, handler)
      return true
    }
  }
}

async function ask(next: Dispatcher, { method, scheme, authority, target, fields }: OriginRequest, signal: AbortSignal) {
  const response = await request(`${scheme}://${authority}${target}`, {
    ...{ method: method as Dispatcher.HttpMethod, headers: [...fields], signal, dispatcher: next },
    responseHeaders: 'raw',
  }).catch((error: Error) => {
    throw new CdnError('CDN_ORIGIN_UNREACHABLE', error.message, error)
  })
  return { status: response.statusCode, fields: (response.headers as unknown as Buffer[]).map(String), body: response.body }
}

async function answer(cdn: Cdn, options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): Promise<void> {
  const aborted = new AbortController()
  let paused = false
  let going = Promise.withResolvers<void>()
  going.resolve()
  const controller = {
    get paused() {
      return paused
    },
    get aborted() {
      return aborted.signal.aborted
    },
    get reason() {
      return aborted.signal.aborted ? aborted.signal.reason : null
    },
    abort(reason: Error) {
      aborted.abort(reason)
      going.resolve()
    },
    pause() {
      if (paused) return
      paused = true
      going = Promise.withResolvers()
    },
    resume() {
      paused = false
      going.resolve()
    },
  } as unknown as Dispatcher.DispatchController
  try {
    const { protocol, host } = new URL(String(options.origin))
    handler.onRequestStart?.(controller, {})
    aborted.signal.throwIfAborted()
    const response = await cdn.handle({
      method: options.method,
      scheme: protocol === 'https:' ? 'https' : 'http',
      authority: host,
      target: targetOf(options),
      httpVersion: '1.1',
      fields: fieldsOf(options.headers),
      signal: aborted.signal,
    })
    const failure = /; detail=(CDN_\w+)$/.exec(fieldOf(response.fields, 'cache-status'))?.[1]
    if (failure !== undefined) {
      response.finished(0, true)
      throw Object.assign(
        new Error(
          Buffer.from(response.body as Uint8Array)
            .toString()
            .trim(),
        ),
        { code: failure },
      )
    }
    // What undici's fetch reads instead.
    Object.assign(controller, { rawHeaders: response.fields.map((text) => Buffer.from(text, 'latin1')) })
    handler.onResponseStart?.(controller, response.status, headersOf(response.fields))
    let bytes = 0
    try {
      for await (const chunk of response.body instanceof Uint8Array ? [response.body] : (response.body ?? [])) {
        bytes += chunk.byteLength
        // A copy: what the cache hands out is good until the next piece is asked for.
        handler.onResponseData?.(controller, Buffer.from(chunk))
        await going.promise
        aborted.signal.throwIfAborted()
      }
    } catch (error) {
      response.finished(bytes, false, error)
      throw error
    }
    response.finished(bytes, true)
    handler.onResponseEnd?.(controller, {})
  } catch (error) {
    handler.onResponseError?.(controller, aborted.signal.aborted ? aborted.signal.reason : (error as Error))
  }
}

/** undici joins these where it writes the request, which comes after us. */
function targetOf({ path, query }: Dispatcher.DispatchOptions): string {
  return query === undefined || query === null ? path : `${path}?${stringify(query as NodeJS.Dict<string>)}`
}

/** undici takes a list of names and values, pairs, or an object. */
function fieldsOf(headers: Dispatcher.DispatchOptions['headers']): Fields {
  if (headers === undefined || headers === null) return []
  if (Array.isArray(headers) && !Array.isArray(headers[0])) return headers as string[]
  const pairs = Symbol.iterator in headers ? [...(headers as Iterable<[string, string]>)] : Object.entries(headers)
  return pairs.flatMap(([name, value]) => [value ?? []].flat().flatMap((each) => [name, String(each)]))
}

function headersOf(fields: Fields): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase()
    const value = fields[at + 1] as string
    const before = headers[name]
    headers[name] = before === undefined ? value : [before, value].flat()
  }
  return headers
}

function fieldOf(fields: Fields, name: string): string {
  // What caches before us have said stands first.
  const at = fields.findLastIndex((text, index) => index % 2 === 0 && text.toLowerCase() === name)
  return at < 0 ? '' : (fields[at + 1] as string)
}
