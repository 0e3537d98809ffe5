// Node's requests and responses: http.createServer(toNodeHandler(cdn)), or as Express middleware.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'
import { CdnError } from '../errors.ts'
import { type Coming, leave, letGo, Pieces } from '../http/body.ts'
import { type Fields, fieldValue, hasField } from '../http/fields.ts'
import { goneSignal } from './gone.ts'
import { targetOf } from './target.ts'

export { type AtHand, type AtHandOptions, answerAtHand } from './at-hand.ts'
export { type Http2StreamListener, toHttp2Handler } from './http2.ts'
export { isPassedOn, toUpgradeHandler, type UpgradeHandlerOptions } from './upgrade.ts'

/** For `http.createServer(toNodeHandler(cdn))`. */
export function toNodeHandler(cdn: Pick<Handler, 'handle'>): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const asked = new NodeRequest(request, response)
    const answer = asked.isWellFormed ? cdn.handle(asked) : undefined
    if (answer === undefined) refuse(response)
    else if (answer instanceof Promise) void answer.then((answered) => send(answered, response))
    else send(answer, response)
  }
}

/** Answers what a route matches, and hands everything else to `next`. Routes see the whole path, wherever it is mounted. */
export function toMiddleware(
  cdn: Handler,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void {
  const handle = toNodeHandler(cdn)
  return (request, response, next) => {
    if (cdn.matches(new NodeRequest(request, response))) handle(request, response)
    else next()
  }
}

/** Express shortens `url` by the path that a handler is mounted under, and keeps that here; Connect and others only what the client asked for. */
type Mounted = IncomingMessage & { readonly baseUrl?: string; readonly originalUrl?: string }

/** As it was before it was shortened, and after whatever else middleware has made of it. */
function wholeUrl({ url = '', baseUrl, originalUrl }: Mounted): string {
  if (baseUrl === undefined) return originalUrl ?? url
  // Of what is mounted under "/a", "/a" itself is shortened to "/".
  const bare = baseUrl + url.slice(1)
  return originalUrl === bare ? bare : baseUrl + url
}

/** What only some requests need is made when it is asked for. */
class NodeRequest implements CdnRequest {
  readonly method: string
  readonly target: string
  readonly authority: string
  readonly fields: Fields
  readonly httpVersion: string
  readonly isWellFormed: boolean
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #signal: AbortSignal | undefined

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
    this.method = request.method as string
    this.fields = request.rawHeaders
    this.httpVersion = request.httpVersion
    const host = hostOf(request)
    const { authority, target } = targetOf(wholeUrl(request), host)
    this.authority = authority
    this.target = target
    this.isWellFormed = host !== undefined
  }

  get scheme(): 'http' | 'https' {
    return (this.#request.socket as { encrypted?: boolean }).encrypted === true ? 'https' : 'http'
  }

  get clientAddress(): string | undefined {
    return this.#request.socket.remoteAddress
  }

  get body(): AsyncIterable<Uint8Array> | undefined {
    // A length of 0 is as good as none: some clients send it with every GET.
    const length = fieldValue(this.fields, 'content-length') ?? '0'
    if (length === '0' && !hasField(this.fields, 'transfer-encoding')) return undefined
    return bodyOf(this.#request, this.#response)
  }

  get signal(): AbortSignal {
    // A finished response closes, too; then nobody listens any more.
    this.#signal ??= goneSignal(this.#response, this.#response.closed || this.#request.socket.destroyed)
    return this.#signal
  }

  onInterim(status: number, fields: Fields): void {
    const { socket, headersSent } = this.#response
    if (headersSent || socket === null || socket.destroyed || this.httpVersion !== '1.1') return
    let head = `HTTP/1.1 ${status} \r\n`
    for (let at = 0; at < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`
    // node:http can send 100, 102 and 103 only, and reshapes their fields.
    socket.write(`${head}\r\n`, 'latin1')
  }
}

/** The one Host, "localhost" for HTTP/1.0 without any, `undefined` when there is none or more than one (RFC 9112 §3.2). */
function hostOf({ rawHeaders, httpVersion }: IncomingMessage): string | undefined {
  let host: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue
    if (host !== undefined) return undefined
    host = rawHeaders[at + 1] as string
  }
  return host ?? (httpVersion === '1.0' ? 'localhost' : undefined)
}

function refuse(response: ServerResponse): void {
  response.writeHead(400, { 'Content-Type': 'text/plain', Connection: 'close' })
  response.end('400 the request is malformed: it needs exactly one Host\n')
}

/** Left early, it does not take the connection along: the answer still has to go out on it. */
async function* bodyOf(request: IncomingMessage, response: ServerResponse): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false })
  } finally {
    // Node skips the rest of a body only if nobody has begun to read it, and the next request comes after it.
    if (response.closed) request.resume()
    else response.once('close', () => request.resume())
  }
}

function send(answer: CdnResponse, response: ServerResponse): void {
  if (response.closed || response.destroyed) {
    letGo(answer.body)
    return void answer.finished(0, false)
  }
  try {
    response.writeHead(answer.status, answer.fields as string[])
  } catch (error) {
    letGo(answer.body)
    return void sendInstead(answer, error, response)
  }
  sendBody(answer, response)
}

/** For a response that Node refuses to send, or for which it is too late, somebody having answered before us. */
function sendInstead(answer: CdnResponse, error: unknown, response: ServerResponse): void {
  if (response.headersSent) {
    response.destroy()
    return void answer.finished(0, false, error)
  }
  const failure = answer.fail(new CdnError('CDN_ORIGIN_PROTOCOL', error instanceof Error ? error.message : String(error), error))
  // Node keeps the phrase of the status it has refused.
  response.statusMessage = ''
  response.writeHead(failure.status, failure.fields as string[])
  sendBody(failure, response)
}

/** Bodies of up to so many bytes go to Node as text, a character for each byte: it writes that in one piece with the head, for a tenth less. */
const SMALL = 4096

function sendBody(answer: CdnResponse, response: ServerResponse): void {
  const { body } = answer
  if (body !== undefined && !('byteLength' in body)) return void stream(body, answer, response)
  const bytes = body === undefined ? 0 : body.byteLength
  response.once('close', () => answer.finished(bytes, response.writableFinished))
  if (body instanceof Pieces) {
    for (const piece of body.pieces) response.write(piece)
    return void response.end()
  }
  if (body === undefined || bytes > SMALL) response.end(body)
  else response.end(Buffer.from(body.buffer, body.byteOffset, bytes).toString('latin1'), 'latin1')
}

function pairs(fields: Fields): [string, string][] {
  return Array.from({ length: fields.length / 2 }, (_, at) => [fields[2 * at] as string, fields[2 * at + 1] as string])
}

async function stream(body: Coming, answer: CdnResponse, response: ServerResponse): Promise<void> {
  let bytes = 0
  let broke: unknown
  let goOn: (() => void) | undefined
  const iterator = body[Symbol.asyncIterator]()
  const closed = new Promise<void>((resolve) =>
    response.once('close', () => {
      resolve()
      goOn?.()
      // Also wakes an iterator that waits for an origin: nobody waits for it any more.
      leave(iterator)
    }),
  )
  // A body that is not as long as it said must not be taken for whole, nor its end for the next response.
  response.strictContentLength = true
  // Node keeps the head for the first bytes of the body, which may be long in coming: events, or an origin that thinks.
  if (body.isNear !== true)
    setImmediate(() => {
      if (!response.closed && bytes === 0) response.flushHeaders()
    })
  try {
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true || response.closed) break
      // Until it is out, these bytes must stay as they are.
      const { promise: out, resolve } = Promise.withResolvers<Error | null | undefined>()
      goOn = () => resolve(undefined)
      response.write(value, resolve)
      bytes += value.byteLength
      // A connection that is gone refuses at once. A body that is always ready would leave it no time to say that it is gone.
      if ((await out) instanceof Error) await closed
    }
    // On some versions of Node, a response that is ended after its connection has gone counts as sent.
    if (!response.closed) {
      const trailers = answer.trailers?.() ?? []
      // Only a body in chunks has a place for them, and Node drops them without one.
      if (trailers.length > 0) response.addTrailers(pairs(trailers))
      response.end()
    }
  } catch (error) {
    // Broken off: the client must be able to tell, so the connection ends without an end of the message.
    if (!response.closed) broke = error
    response.destroy()
  }
  await closed
  answer.finished(bytes, response.writableFinished, broke)
}
