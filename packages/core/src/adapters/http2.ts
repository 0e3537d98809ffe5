// Node's HTTP/2: http2.createSecureServer(…).on('stream', toHttp2Handler(cdn)).
import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'
import { CdnError } from '../errors.ts'
import { leave, letGo } from '../http/body.ts'
import { type Fields, fieldValue } from '../http/fields.ts'
import { goneSignal } from './gone.ts'

/** What an HTTP/2 server calls for each stream. `rawHeaders` are there on every version of Node, beside its own reading of them. */
export type Http2StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void

/** For `server.on('stream', toHttp2Handler(cdn))`. */
export function toHttp2Handler(cdn: Pick<Handler, 'handle'>): Http2StreamListener {
  return (stream, headers, _, rawHeaders) => {
    // What becomes of it is told by `close`.
    stream.on('error', () => undefined)
    const answer = cdn.handle(new Http2Request(stream, headers, rawHeaders))
    if (answer instanceof Promise) void answer.then((answered) => send(answered, stream))
    else send(answer, stream)
  }
}

class Http2Request implements CdnRequest {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly target: string
  readonly httpVersion = '2.0'
  readonly clientAddress: string | undefined
  readonly fields: Fields
  readonly #stream: ServerHttp2Stream
  #signal: AbortSignal | undefined

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]) {
    this.#stream = stream
    this.method = headers[':method'] as string
    // Its session is gone by the time when the log wants to know.
    this.clientAddress = stream.session?.socket.remoteAddress
    // What a client says of the scheme is not what the connection is (RFC 9113 §8.3.1).
    this.scheme = (stream.session?.socket as { encrypted?: boolean } | undefined)?.encrypted === true ? 'https' : 'http'
    this.authority = headers[':authority'] ?? headers.host ?? ''
    this.target = headers[':path'] ?? ''
    this.fields = fieldsOf(rawHeaders)
  }

  get body(): AsyncIterable<Uint8Array> | undefined {
    if (this.#stream.endAfterHeaders || fieldValue(this.fields, 'content-length') === '0') return undefined
    return bodyOf(this.#stream, /^100-continue$/i.test(fieldValue(this.fields, 'expect') ?? ''))
  }

  get signal(): AbortSignal {
    this.#signal ??= goneSignal(this.#stream, this.#stream.closed || this.#stream.destroyed)
    return this.#signal
  }

  onInterim(status: number, fields: Fields): void {
    if (this.#stream.headersSent || this.#stream.closed) return
    try {
      this.#stream.additionalHeaders({ ...headersOf(fields), ':status': status })
    } catch {
      // What cannot be said in HTTP/2 is left out: nobody relies on an interim response (RFC 9110 §15.2).
    }
  }
}

/** Without what begins with a colon, and with the crumbs of a cookie in one line again (RFC 9113 §8.2.3). */
function fieldsOf(rawHeaders: readonly string[]): Fields {
  const fields: string[] = []
  let cookie = -1
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string
    const value = rawHeaders[at + 1] as string
    if (name.startsWith(':')) continue
    if (name === 'cookie' && cookie >= 0) {
      fields[cookie] += `; ${value}`
      continue
    }
    if (name === 'cookie') cookie = fields.length + 1
    fields.push(name, value)
  }
  return fields
}

/** Left early, it does not take the stream along: the answer still has to go out on it. */
async function* bodyOf(stream: ServerHttp2Stream, expectsContinue: boolean): AsyncGenerator<Uint8Array> {
  if (expectsContinue && !stream.headersSent && !stream.closed) stream.additionalHeaders({ ':status': 100 })
  try {
    yield* stream.iterator({ destroyOnReturn: false })
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new CdnError('CDN_CLIENT_GONE', 'in the middle of its body')
  } finally {
    stream.resume()
  }
}

/** Names are lower case in HTTP/2 (RFC 9113 §8.2). A name that comes twice has a list of values. */
function headersOf(fields: Fields): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null)
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase()
    const value = fields[at + 1] as string
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (typeof before === 'string') headers[name] = [before, value]
    else before.push(value)
  }
  return headers
}

function send(answer: CdnResponse, stream: ServerHttp2Stream): void {
  if (stream.closed || stream.destroyed) {
    letGo(answer.body)
    answer.finished(0, false)
    return
  }
  try {
    const waitForTrailers = answer.trailers !== undefined
    stream.respond(
      { ...headersOf(answer.fields), ':status': answer.status },
      { endStream: answer.body === undefined, waitForTrailers },
    )
    if (waitForTrailers) stream.once('wantTrailers', () => stream.sendTrailers(headersOf(answer.trailers?.() ?? [])))
  } catch (error) {
    letGo(answer.body)
    sendInstead(answer, error, stream)
    return
  }
  sendBody(answer, stream)
}

/** For a response that Node refuses to send. */
function sendInstead(answer: CdnResponse, error: unknown, stream: ServerHttp2Stream): void {
  if (stream.headersSent || stream.closed) {
    stream.destroy()
    answer.finished(0, false, error)
    return
  }
  const failure = answer.fail(new CdnError('CDN_ORIGIN_PROTOCOL', error instanceof Error ? error.message : String(error), error))
  stream.respond({ ...headersOf(failure.fields), ':status': failure.status }, { endStream: failure.body === undefined })
  sendBody(failure, stream)
}

function sendBody(answer: CdnResponse, stream: ServerHttp2Stream): void {
  const { body } = answer
  if (body !== undefined && !(body instanceof Uint8Array)) {
    void pass(body, answer, stream)
    return
  }
  const bytes = body?.byteLength ?? 0
  stream.once('close', () => answer.finished(bytes, isComplete(stream)))
  if (body !== undefined) stream.end(body)
}

function isComplete(stream: ServerHttp2Stream): boolean {
  return stream.rstCode === constants.NGHTTP2_NO_ERROR && stream.writableFinished
}

async function pass(body: AsyncIterable<Uint8Array>, answer: CdnResponse, stream: ServerHttp2Stream): Promise<void> {
  let bytes = 0
  let broke: unknown
  const declared = fieldValue(answer.fields, 'content-length')
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  const iterator = body[Symbol.asyncIterator]()
  // Also wakes an iterator that waits for an origin: nobody waits for it any more.
  void closed.then(() => leave(iterator))
  try {
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true || stream.closed) break
      // Until it is out, these bytes must stay as they are.
      const out = new Promise<unknown>((resolve) => stream.write(value, resolve))
      bytes += value.byteLength
      if ((await Promise.race([closed, out])) instanceof Error || stream.closed || stream.destroyed) await closed
    }
    if (declared !== undefined && !stream.closed && Number(declared) !== bytes)
      throw new CdnError('CDN_ORIGIN_BROKE_OFF', `${bytes} bytes of ${declared}`)
    if (!stream.closed) stream.end()
  } catch (error) {
    // Broken off: the client must be able to tell.
    if (!stream.closed) broke = error
    // `close` would end the body in the proper way first.
    stream.destroy(error instanceof Error ? error : new Error(String(error)))
  }
  await closed
  answer.finished(bytes, broke === undefined && isComplete(stream), broke)
}
