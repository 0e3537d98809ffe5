// What is at hand, or in a store without a gap, is answered on the bare connection, for half of what node:http takes. Everything else is for node:http, on the same connection.
import { type IncomingMessage, maxHeaderSize, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'
import { CdnError } from '../errors.ts'
import { type Coming, leave, letGo, Pieces } from '../http/body.ts'
import { type Fields, fieldValue, isFieldName, isFieldValue } from '../http/fields.ts'
import { knowing } from '../http/known.ts'
import { type RequestHead, readRequestHead } from '../http/request-head.ts'
import { formatHttpDate, type Millis, systemClock } from '../http/time.ts'
import { goneSignal } from './gone.ts'

export interface AtHand {
  /** For each connection, in place of `server.emit('connection', socket)`. */
  accept(socket: Socket): void
  /**
   * From now on, everything is for the server; connections that have nothing under way are ended. Resolves when all that was
   * answered here is out, or its client gone: closing a server ends connections that it takes for idle. Who takes longer than `graceMs`
   * (default: 30,000) is cut off.
   */
  drain(options?: { graceMs?: Millis }): Promise<void>
}

export interface AtHandOptions {
  /** A client has taken nothing of an answer for as long as `server.timeout`: its connection is about to be ended. */
  onStalled?: () => void
}

/** How often connections are looked at that the server does not know of: so much longer than it should a client may be silent. */
const LOOKING_MS = 500
/** Larger chunks have more than a few heads in them. */
const MAX_CHUNK = 16 * 1024
/** Bodies of up to so many bytes are copied behind their heads: one write for both costs less than the copy. */
const MAX_COPIED = 64 * 1024

/**
 * The whole of `server`'s connections are given to `accept`: `net.createServer({ allowHalfOpen: true, noDelay: true }, accept)`. An answer
 * that `cdn.handleNow` has is written as `server` would write it, byte for byte, in the same order, and under the same timeouts. `server`
 * gets to know of a connection with the first request on it that is not answered so, and again no more than it has to.
 */
export function answerAtHand(
  cdn: Pick<Handler, 'handleNow'>,
  server: Server,
  { onStalled = () => {} }: AtHandOptions = {},
): AtHand {
  const connections = new Map<Duplex, Connection>()
  let draining = false
  let drained: (() => void) | undefined
  // One timer for all: a socket's own would be set anew with each read and each write.
  const looking = setInterval(() => {
    for (const connection of connections.values()) connection.look(LOOKING_MS)
  }, LOOKING_MS).unref()
  const shared: Shared = {
    cdn,
    server,
    onStalled,
    sending: 0,
    isDraining: () => draining,
    sent() {
      if (shared.sending === 0) drained?.()
    },
  }

  // Not the response's socket: it has none while another is before it.
  server.on('request', (request, response) => connections.get(request.socket)?.begun(response))
  const leave = (_: IncomingMessage, socket: Duplex): void => connections.get(socket)?.leave()
  server.on('upgrade', leave)
  server.on('connect', leave)

  return {
    accept(socket) {
      const connection = new Connection(socket, shared)
      connections.set(socket, connection)
      socket.once('close', () => {
        connections.delete(socket)
        connection.closed()
      })
    },
    async drain({ graceMs = 30_000 } = {}) {
      draining = true
      for (const connection of connections.values()) connection.drain()
      if (shared.sending > 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        drained = resolve
        const cancel = systemClock.after(graceMs, () => {
          for (const connection of connections.values()) connection.cutOff()
        })
        await promise
        cancel()
      }
      clearInterval(looking)
    },
  }
}

/** An answer on its way out. */
interface Sending {
  readonly answer: CdnResponse
  bytes: number
  /** What of its body is still to be read. */
  readonly coming?: AsyncIterator<Uint8Array>
  /** Whether the socket itself looks how long its client takes nothing. */
  isTimed?: boolean
}

interface Shared {
  readonly cdn: Pick<Handler, 'handleNow'>
  readonly server: Server
  readonly onStalled: () => void
  /** Answers that the kernel has not taken as a whole. */
  sending: number
  readonly isDraining: () => boolean
  readonly sent: () => void
}

class Connection {
  readonly #socket: Socket
  readonly #shared: Shared
  /** How the server takes in what comes, and that no more will, as soon as it knows of the connection. */
  #feed: ((chunk: Buffer) => void) | undefined
  #serverEnd: (() => void) | undefined
  /** Requests that the server has not answered yet. */
  #open = 0
  /** Whether the server, all being answered, waits for the first byte of a request. */
  #isBetween = true
  #isServers = false
  /** What the kernel has not taken all of, or what is still being read. */
  #sending: Sending | undefined
  /** What has come while an answer was being read: its own goes out behind that. */
  #held: Buffer | undefined
  /** The client has said all it wanted. */
  #isLast = false

  /** How long it has been silent, in milliseconds, until the server looks after it. */
  #silentMs = 0
  #address: string | undefined
  #signal: AbortSignal | undefined

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket
    this.#shared = shared
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError)
  }

  get isEncrypted(): boolean {
    return (this.#socket as { encrypted?: boolean }).encrypted === true
  }

  /** One for all its requests: a client that stays sends any number of them. */
  get signal(): AbortSignal {
    this.#signal ??= goneSignal(this.#socket, this.#socket.destroyed)
    return this.#signal
  }

  /** Asking the socket is not for free. */
  get address(): string | undefined {
    this.#address ??= this.#socket.remoteAddress
    return this.#address
  }

  /** Another so many milliseconds have passed. */
  look(ms: number): void {
    if (this.#feed !== undefined || this.#isServers || this.#sending?.isTimed === true) return
    this.#silentMs += ms
    const { timeout, headersTimeout } = this.#shared.server
    // For the first byte there is as much time as for a whole head.
    const allowed = this.#sending !== undefined ? timeout : this.#socket.bytesRead === 0 ? headersTimeout : this.#idleMs
    if (allowed > 0 && this.#silentMs > allowed) this.#onTimeout()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#silentMs = 0
    if (this.#sending?.coming !== undefined) return void this.#hold(chunk)
    if (!this.#isBetween) return void this.#pass(chunk)
    const text = chunk.byteLength > MAX_CHUNK ? '' : chunk.toString('latin1')
    const at = this.#mayAnswer(text) ? this.#answer(text) : 0
    if (at === chunk.byteLength) return
    if (this.#sending?.coming !== undefined) return void this.#hold(chunk.subarray(at))
    this.#isBetween = text !== '' && consistsOfHeads(text, at)
    this.#pass(at === 0 ? chunk : chunk.subarray(at))
  }

  readonly #onEnd = (): void => {
    this.#isLast = true
    if (this.#sending?.coming === undefined) this.#end()
  }

  /** No answer comes after those that the server owes. */
  #end(): void {
    if (this.#serverEnd === undefined) this.#socket.end()
    else this.#serverEnd.call(this.#socket)
  }

  readonly #onError = (): void => {
    this.#socket.destroy()
  }

  readonly #onTimeout = (): void => {
    const { server, onStalled } = this.#shared
    const sending = this.#sending
    if (sending !== undefined) {
      if (this.#socket.writableLength > 0) onStalled()
      else this.#ended(sending, false, new CdnError('CDN_STORE_FAILED', 'nothing more came from it in time'))
    }
    if (this.#socket.bytesRead > 0) return void this.#socket.destroy()
    this.#attach()
    // As the server itself finds those out that begin and do not go on.
    this.#socket.emit('error', Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }))
    if (server.listenerCount('clientError') === 0) this.#socket.destroy()
  }

  #mayAnswer(text: string): boolean {
    const { server, isDraining } = this.#shared
    // Once it is known to the server, its answers come first.
    if (this.#open > 0 || this.#sending !== undefined || isDraining()) return false
    return text.length <= ((server as { maxHeaderSize?: number }).maxHeaderSize ?? maxHeaderSize) && this.#socket.writable
  }

  /** Answers one request after the other, up to the one that begins at the result. */
  #answer(text: string): number {
    let at = 0
    while (at < text.length && this.#sending === undefined) {
      const head = readRequestHead(text, at)
      const answer = head && this.#shared.cdn.handleNow(new PlainRequest(head, this))
      if (head === undefined || answer === undefined) return at
      this.#write(head, answer)
      at = head.end
    }
    return at
  }

  #write({ method }: RequestHead, answer: CdnResponse): void {
    const socket = this.#socket
    const { kept } = answer
    if (kept?.bytes !== undefined && kept.by === this.#shared && method === 'GET') {
      socket.write(kept.bytes)
      this.#written(answer, (answer.body as Uint8Array).byteLength)
      return
    }
    let sendable = answer
    let head = headOf(answer, this.#shared.server)
    if (head === undefined) {
      letGo(answer.body)
      sendable = answer.fail(new CdnError('CDN_ORIGIN_PROTOCOL', 'a field has characters that may not be in it'))
      head = headOf(sendable, this.#shared.server) as string
    }
    const body = method === 'HEAD' ? undefined : sendable.body
    if (body !== undefined && !('byteLength' in body)) return void this.#stream(sendable, head, body)
    const bytes = body?.byteLength ?? 0
    const pieces = body instanceof Pieces ? body.pieces : body === undefined ? [] : [body]
    if (bytes === 0) socket.write(head, 'latin1')
    else if (bytes <= MAX_COPIED) {
      const out = Buffer.allocUnsafe(head.length + bytes)
      let at = out.write(head, 0, 'latin1')
      for (const piece of pieces) {
        out.set(piece, at)
        at += piece.byteLength
      }
      socket.write(out)
      if (sendable.kept !== undefined) Object.assign(sendable.kept, { by: this.#shared, bytes: out })
    } else {
      socket.cork()
      socket.write(head, 'latin1')
      for (const piece of pieces) socket.write(piece)
      socket.uncork()
    }
    this.#written(sendable, bytes)
  }

  #written(answer: CdnResponse, bytes: number): void {
    if (this.#socket.writableLength === 0 && !this.#socket.destroyed) answer.finished(bytes, true)
    else this.#wait(answer, bytes)
  }

  /** What comes meanwhile is for the server: it stops reading when a client asks on and on, and takes nothing. */
  #wait(answer: CdnResponse, bytes: number): void {
    const sending: Sending = { answer, bytes }
    this.#start(sending)
    this.#giveTime(sending)
    this.#socket.write('', (error) => this.#ended(sending, !error))
  }

  /** A body that is read while it goes out, one piece after the other: each is written over when the next is asked for. */
  async #stream(answer: CdnResponse, head: string, body: Coming): Promise<void> {
    const socket = this.#socket
    const coming = body[Symbol.asyncIterator]()
    const sending: Sending = { answer, bytes: 0, coming }
    this.#start(sending)
    // The server has set a time for the next request.
    if (this.#feed !== undefined) this.#giveTime(sending)
    let broke: unknown
    try {
      for (let isFirst = true; ; isFirst = false) {
        const { done, value } = await coming.next()
        // Who has gone is told of, now or soon.
        if (this.#sending !== sending || socket.destroyed) return
        if (done === true) break
        if (isFirst) {
          // One write for both.
          socket.cork()
          socket.write(Buffer.from(head, 'latin1'))
        }
        socket.write(value)
        if (isFirst) socket.uncork()
        sending.bytes += value.byteLength
        this.#silentMs = 0
        // Not asked for more, the body knows that this has not been used.
        if (socket.errored !== null) return
        if (socket.writableLength === 0) continue
        this.#giveTime(sending)
        if ((await new Promise((resolve) => socket.write('', resolve))) instanceof Error) return
      }
      // What is not as long as it said must not be taken for whole, nor its end for the next response.
      if (String(sending.bytes) !== fieldValue(answer.fields, 'content-length'))
        throw new CdnError('CDN_ORIGIN_BROKE_OFF', 'the body is not as long as was said')
    } catch (error) {
      broke = error
      socket.destroy()
    }
    this.#ended(sending, broke === undefined, broke)
  }

  #start(sending: Sending): void {
    this.#sending = sending
    this.#shared.sending++
  }

  /** Until an answer is out, its client has as much time for each part of it as the server gives. */
  #giveTime(sending: Sending): void {
    if (sending.isTimed === true) return
    sending.isTimed = true
    this.#socket.setTimeout(this.#shared.server.timeout).on('timeout', this.#onTimeout)
  }

  #hold(chunk: Buffer): void {
    this.#held = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    this.#socket.pause()
  }

  #ended(sending: Sending, complete: boolean, error?: unknown): void {
    if (this.#sending !== sending) return
    this.#sending = undefined
    if (sending.coming !== undefined && !complete) leave(sending.coming)
    this.#shared.sending--
    this.#silentMs = 0
    if (sending.isTimed === true) this.#socket.off('timeout', this.#onTimeout)
    // The server sets its own with the next request.
    if (sending.isTimed === true && !this.#socket.destroyed && this.#open === 0)
      this.#socket.setTimeout(this.#feed === undefined ? 0 : this.#idleMs)
    sending.answer.finished(sending.bytes, complete, error)
    if (sending.coming !== undefined) this.#goOn()
    this.#shared.sent()
  }

  /** With what had to wait for a body to be out. */
  #goOn(): void {
    const held = this.#held
    this.#held = undefined
    if (this.#socket.destroyed) return
    if (held !== undefined) {
      // In this order: who pauses it from here on, or takes it over, has the last word.
      this.#socket.resume()
      this.#onData(held)
    }
    if (this.#sending?.coming !== undefined) return
    if (this.#isLast) this.#end()
    else if (this.#shared.isDraining()) this.drain()
  }

  /** As after an answer of the server. */
  get #idleMs(): number {
    const { keepAliveTimeout, keepAliveTimeoutBuffer = 1000 } = this.#shared.server as Server & {
      keepAliveTimeoutBuffer?: number
    }
    return keepAliveTimeout > 0 ? keepAliveTimeout + keepAliveTimeoutBuffer : 0
  }

  // ── the server's part ──

  #pass(chunk: Buffer): void {
    if (this.#feed === undefined) this.#attach()
    if (this.#feed === undefined) this.#socket.emit('data', chunk)
    else this.#feed(chunk)
  }

  #attach(): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError)
    const before = socket.listeners('end')
    this.#shared.server.emit('connection', socket)
    const [feed, ...more] = socket.listeners('data') as ((chunk: Buffer) => void)[]
    const [end, ...others] = socket.listeners('end').filter((each) => !before.includes(each)) as (() => void)[]
    if (feed === undefined || end === undefined || more.length + others.length > 0) {
      // A way of taking a connection in that is unknown to us: the server has it for good.
      this.#isBetween = false
      this.#isServers = true
      return
    }
    this.#feed = feed
    this.#serverEnd = end
    socket.off('data', feed).off('end', end)
    // Listening makes the server give up reading below the socket.
    socket.on('data', this.#onData).on('end', this.#onEnd)
  }

  begun(response: ServerResponse): void {
    this.#open++
    response.once('close', () => {
      this.#open--
      if (!response.shouldKeepAlive || !response.writableFinished) this.#isBetween = false
    })
  }

  /** The connection speaks something else from now on. */
  leave(): void {
    this.#isBetween = false
    this.#socket.off('data', this.#onData).off('end', this.#onEnd)
  }

  closed(): void {
    if (this.#sending !== undefined) this.#ended(this.#sending, false)
  }

  cutOff(): void {
    if (this.#sending !== undefined) this.#socket.destroy()
  }

  drain(): void {
    if (this.#feed !== undefined || this.#sending?.coming !== undefined) return
    // Who has asked for nothing yet is not told why: there is nothing to answer.
    if (this.#socket.bytesRead === 0) this.#socket.destroy()
    else this.#socket.destroySoon()
  }
}

function consistsOfHeads(text: string, start: number): boolean {
  let at = start
  while (at < text.length) {
    const head = readRequestHead(text, at)
    if (head === undefined) return false
    at = head.end
  }
  return true
}

/** A request without a body, on a connection that stays open. */
class PlainRequest implements CdnRequest {
  readonly method: string
  readonly target: string
  readonly authority: string
  readonly fields: Fields
  readonly httpVersion = '1.1'
  readonly body = undefined
  readonly #connection: Connection

  constructor({ method, target, host, fields }: RequestHead, connection: Connection) {
    this.method = method
    this.target = target
    this.authority = host
    this.fields = fields
    this.#connection = connection
  }

  get scheme(): 'http' | 'https' {
    return this.#connection.isEncrypted ? 'https' : 'http'
  }

  get clientAddress(): string | undefined {
    return this.#connection.address
  }

  get signal(): AbortSignal {
    return this.#connection.signal
  }
}

const isName = knowing(isFieldName, 1_000)

/** As node:http writes it; `undefined` when a field is none. */
function headOf({ status, fields }: CdnResponse, server: Server): string | undefined {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
  let dated = false
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    const value = fields[at + 1] as string
    if (!isName(name) || !isFieldValue(value)) return undefined
    if (name.length === 4 && name.toLowerCase() === 'date') dated = true
    head += `${name}: ${value}\r\n`
  }
  if (!dated) head += `Date: ${formatHttpDate(systemClock.now())}\r\n`
  head += 'Connection: keep-alive\r\n'
  if (server.keepAliveTimeout > 0) head += `Keep-Alive: timeout=${Math.floor(server.keepAliveTimeout / 1000)}\r\n`
  return `${head}\r\n`
}
