// The public listener: node:http with limits on everything a client can make wait or grow.
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse, STATUS_CODES } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { answerAtHand, type Http2StreamListener, isPassedOn } from '@simple-cdn/core/node'
import { type Certificate, frontOf } from './front.ts'
import { http2Connections } from './http2.ts'
import { malformed, type Refusal, refusalOf } from './well-formed.ts'

/** What can change while it listens. */
interface Limits {
  /** Requests on more connections than this are answered with 503; connections far above it are dropped. */
  readonly maxConnections: number
  /** Larger heads are refused with 431. */
  readonly maxHeadBytes: number
  /** Longest time for the head of a request to come in. */
  readonly headTimeoutMs: number
  /** Longest time that a connection stays open between requests. */
  readonly idleTimeoutMs: number
  /** Longest silence of a client in the middle of a body, its own or ours. How long a body takes as a whole has no limit. */
  readonly bodyTimeoutMs: number
}

export interface ListenOptions extends Limits {
  /** `undefined`: all interfaces. */
  readonly host: string | undefined
  /** 0: any that is free. */
  readonly port: number
  /** With it, TLS, and HTTP/2 for those who want it. */
  readonly certificate: Certificate | undefined
  /** Whether a peer is a proxy that speaks the PROXY protocol. `undefined`: none does. */
  readonly isProxy: ((address: string | undefined) => boolean) | undefined
  /** Trouble with the listening socket itself, which goes on listening. */
  readonly onError: (error: Error) => void
}

/** What is done with a connection that is to speak another protocol. */
type UpgradeListener = (request: IncomingMessage, socket: Socket, head: Buffer) => void

export interface Handlers {
  /** What is at hand, before `request` is asked. */
  readonly now: Parameters<typeof answerAtHand>[0]['handleNow']
  readonly request: RequestListener
  readonly upgrade: UpgradeListener
  readonly stream: Http2StreamListener
}

export interface Listener {
  readonly url: string
  readonly stats: () => ListenerStats
  /** For connections from now on, and where it can for those there are. */
  limit(limits: Limits): void
  /** For handshakes from now on. Throws when the two do not fit each other. */
  use(certificate: Certificate): void
  /** Takes no more connections, lets each one finish what it has begun, and ends those that take longer than `graceMs`. */
  stop(graceMs: number): Promise<void>
}

export interface ListenerStats {
  readonly connections: number
  /** Connections that were ended at once, there being too many. */
  readonly dropped: number
  /** Connections whose request was answered with 503, there being too many. */
  readonly refused: number
  /** Connections ended because their client was silent for too long in the middle of a body. */
  readonly stalled: number
  /** Connections that came to no request: a failed TLS handshake, or a proxy that did not say who it came for. */
  readonly failedHandshakes: number
  /** Requests that were not HTTP as it should be. */
  readonly malformed: number
}

/** How many connections above the limit are told so before others are dropped. */
const ROOM_FOR_REFUSALS = 128
/** More at a time on one connection is no pipelining, but a flood. */
const MAX_PIPELINED = 128
/** How long a client may go on sending what nobody wants. Ending at once would take the answer from under its eyes (RFC 9112 §9.6). */
const LINGER_MS = 5_000
/** How often Node looks for heads that take too long. */
const CHECKING_INTERVAL_MS = 1_000

/** Methods that ask for no change (RFC 9110 §9.2.1). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** What is under way on one connection. */
interface Conversation {
  /** In the order of their requests. Pipelining clients have several. */
  readonly responses: ServerResponse[]
  readonly tooMany: boolean
  /** The one that came last, and so the only one that may still be coming in. */
  request: IncomingMessage | undefined
  /** The last answer is decided, or out. */
  ended: boolean
  /** Waiting for us to say that it may send its body. */
  expectsContinue: boolean
  /** Its parser has given up: to be told when everything asked before has been answered. */
  refusal: Refusal | undefined
}

/** Answers requests with `request`. Rejects when the address cannot be had. */
export async function listen({ now, request: handle, upgrade, stream }: Handlers, options: ListenOptions): Promise<Listener> {
  const conversations = new Map<Socket, Conversation>()
  const counts = { dropped: 0, refused: 0, stalled: 0, failedHandshakes: 0, malformed: 0 }
  let draining = false

  const server = createServer({
    headersTimeout: options.headTimeoutMs,
    // It would cut a large upload, however steadily it comes in; silence is what `timeout` below is about.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(CHECKING_INTERVAL_MS, options.headTimeoutMs),
    insecureHTTPParser: false,
    // Ours says what is wrong.
    requireHostHeader: false,
  })
  let limits: Limits = options
  const front = frontOf({
    certificate: options.certificate,
    isProxy: options.isProxy,
    timeoutMs: () => limits.headTimeoutMs,
    http1: (socket) => accept(socket),
    http2: (socket) => {
      // One connection is one client, however many streams it has.
      if (connections() < limits.maxConnections) return http2.accept(socket)
      counts.refused++
      socket.destroy()
    },
    failed: () => counts.failedHandshakes++,
  })
  /** What clients connect to. */
  const listening = front.server
  const atHand = answerAtHand({ handleNow: now }, server, { onStalled: () => counts.stalled++ })
  const http2 = http2Connections(stream, () => limits, counts)
  const connections = (): number => conversations.size + http2.sessions()
  const limit = (next: Limits): void => {
    limits = next
    Object.assign(server, { maxHeaderSize: next.maxHeadBytes })
    server.headersTimeout = next.headTimeoutMs
    server.keepAliveTimeout = next.idleTimeoutMs
    server.timeout = next.bodyTimeoutMs
    listening.maxConnections = next.maxConnections + ROOM_FOR_REFUSALS
  }
  limit(options)
  // Who has said everything may still be waiting for the answer.
  Object.assign(server, { httpAllowHalfOpen: true })

  const accept = (socket: Socket): void => {
    const conversation: Conversation = {
      responses: [],
      tooMany: connections() >= limits.maxConnections,
      request: undefined,
      ended: false,
      expectsContinue: false,
      refusal: undefined,
    }
    conversations.set(socket, conversation)
    socket.once('close', () => conversations.delete(socket))
    const { destroySoon } = socket
    // Node calls it when the last answer is out. A client that is still sending would lose that answer (RFC 9112 §9.6).
    socket.destroySoon = () => {
      conversation.ended = true
      const { request } = conversation
      if (request === undefined || request.complete) return destroySoon.call(socket)
      socket.end()
      skip(request, socket)
      request.once('end', () => destroySoon.call(socket))
    }
    if (conversation.tooMany) server.emit('connection', socket)
    else atHand.accept(socket)
  }
  listening.on('drop', () => counts.dropped++)

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request
    const conversation = conversations.get(socket) as Conversation
    const { responses } = conversation
    conversation.request = request
    // What comes after the last that is answered does not count (RFC 9112 §9.6).
    if (conversation.ended || responses.at(-1)?.shouldKeepAlive === false) return void request.resume()
    responses.push(response)
    response.once('close', () => {
      responses.splice(responses.indexOf(response), 1)
      if (conversation.refusal !== undefined) giveUp(socket, conversation, conversation.refusal)
      else if (conversation.ended) return
      else if (draining && responses.length === 0) socket.destroySoon()
      else if (!request.complete) skip(request, socket)
    })
    const tooMuch = conversation.tooMany || responses.length > MAX_PIPELINED
    const refusal = tooMuch ? OVERLOADED : refusalOf(request)
    if (refusal === undefined) {
      if (draining) response.shouldKeepAlive = false
      // About the server as a whole: no more than a way to see whether it answers (RFC 9110 §9.3.7).
      if (request.url === '*') return void response.writeHead(204).end()
      const before = responses.at(-2)
      // Only safe requests are answered side by side (RFC 9112 §9.3.2).
      if (before === undefined || responses.every(({ req }) => SAFE.has(req.method as string))) {
        handle(request, response)
        return
      }
      before.once('close', () => {
        if (before.shouldKeepAlive && !socket.destroyed) handle(request, response)
      })
      return
    }
    conversation.ended = true
    if (refusal === OVERLOADED) counts.refused++
    else counts.malformed++
    response.writeHead(refusal.status, refusalFields(refusal)).end(refusalText(refusal))
  }
  server.on('request', answer)
  server.on('checkExpectation', answer)

  server.on('checkContinue', (request, response) => {
    const conversation = conversations.get(request.socket) as Conversation
    conversation.expectsContinue = true
    const proceed = (event: string | symbol): void => {
      if (event !== 'readable' && event !== 'data') return
      request.off('newListener', proceed)
      conversation.expectsContinue = false
      // Without it, the answer is the last: it is anybody's guess whether the body comes after all (RFC 9110 §10.1.1).
      if (!response.headersSent) response.writeContinue()
    }
    // The body is asked for when somebody reads it.
    request.on('newListener', proceed)
    answer(request, response)
  })

  const giveUpOn = (socket: Socket, refusal: Refusal): void => {
    const conversation = conversations.get(socket)
    if (conversation === undefined || conversation.ended || conversation.refusal !== undefined) return
    conversation.refusal = refusal
    if (refusal.status !== 408 && refusal !== OVERLOADED) counts.malformed++
    giveUp(socket, conversation, refusal)
  }

  server.on('connect', ({ socket }) => {
    // Node has let go of it.
    socket.on('error', () => socket.destroy()).resume()
    giveUpOn(socket, { status: 501, message: 'this server has no CONNECT' })
  })

  // Whatever names a protocol that is not passed on is answered as if it had not. Node 22 does not ask.
  Object.assign(server, {
    shouldUpgradeCallback: (request: IncomingMessage) =>
      isPassedOn(request) && conversations.get(request.socket)?.responses.length === 0,
  })
  const tunnels = new Set<Socket>()
  server.on('upgrade', (request, socket: Socket, head) => {
    const conversation = conversations.get(socket)
    // Node has let go of it.
    socket.on('error', () => socket.destroy()).setTimeout(0)
    if (conversation === undefined || conversation.ended || conversation.refusal !== undefined) return
    const isAlone = conversation.responses.length === 0
    const refusal = conversation.tooMany ? OVERLOADED : refusalOf(request)
    const unfit = isAlone && isPassedOn(request) ? undefined : UNFIT
    const refused = refusal ?? unfit
    if (refused !== undefined) {
      if (refusal === OVERLOADED) counts.refused++
      socket.resume()
      giveUpOn(socket, refused)
      return
    }
    conversation.ended = true
    tunnels.add(socket)
    socket.once('close', () => tunnels.delete(socket))
    upgrade(request, socket, head)
  })

  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ECONNRESET') socket.destroy()
    // What comes after `Connection: close` does not count (RFC 9112 §9.6).
    else if (error.code !== 'HPE_CLOSED_CONNECTION') giveUpOn(socket, refusalFor(error))
  })

  server.on('timeout', (socket: Socket) => {
    const conversation = conversations.get(socket)
    const last = conversation?.responses.at(-1)
    if (conversation === undefined || last === undefined) return void socket.destroy()
    const takesNothing = socket.writableLength > 0
    const { ended, refusal, expectsContinue } = conversation
    const isOver = ended || refusal !== undefined
    const sendsNothing = !last.req.complete && !isOver && !expectsContinue && last.req.readableLength === 0
    if (!takesNothing && !sendsNothing) {
      // Not the client's turn: origins have timeouts of their own.
      socket.setTimeout(limits.bodyTimeoutMs)
      return
    }
    counts.stalled++
    if (takesNothing) socket.destroy()
    else giveUpOn(socket, { status: 408, message: 'the body of the request stopped coming' })
  })

  await new Promise<void>((resolve, reject) => {
    listening.once('error', reject)
    listening.listen({ port: options.port, host: options.host }, () => {
      listening.off('error', reject)
      resolve()
    })
  })
  listening.on('error', options.onError)
  // Looks for heads that take too long from then on.
  server.emit('listening')

  return {
    url: urlOf(listening, options.certificate === undefined ? 'http' : 'https'),
    limit,
    use: (certificate) => front.use(certificate),
    stats: () => ({ connections: connections(), ...counts }),
    async stop(graceMs) {
      draining = true
      const closed = new Promise((resolve) => listening.close(resolve))
      // It ends what it takes for idle.
      void atHand.drain({ graceMs }).then(() => server.close())
      front.stop()
      http2.drain()
      for (const [socket, { responses }] of conversations) {
        const last = responses.at(-1)
        if (last?.headersSent === false) last.shouldKeepAlive = false
        // Nothing has been asked on it, and Node 22 does not count it as idle.
        if (responses.length === 0 && socket.bytesRead === 0 && !tunnels.has(socket)) socket.destroy()
      }
      const grace = setTimeout(() => {
        http2.end()
        for (const socket of [...conversations.keys(), ...tunnels]) socket.destroy()
      }, graceMs)
      await closed
      clearTimeout(grace)
    },
  }
}

/** Throws away the rest of a body that has been answered already, but not for ever. */
function skip(request: IncomingMessage, socket: Socket): void {
  const end = setTimeout(() => socket.destroy(), LINGER_MS)
  for (const event of ['end', 'close']) request.once(event, () => clearTimeout(end))
}

/** Ends a connection whose parser has lost its way, after the answers to everything that came before. */
function giveUp(socket: Socket, { responses }: Conversation, refusal: Refusal): void {
  const [first] = responses
  // With an answer already on its way, its body is what went wrong; with a complete request, its answer comes first.
  if (first === undefined || !(first.headersSent || first.req.complete)) refuse(socket, refusal)
  else if (!first.req.complete) socket.destroy()
}

const UNFIT: Refusal = { status: 501, message: 'this server changes to no protocol but websocket' }
const OVERLOADED: Refusal = { status: 503, message: 'this server has too many connections' }

function refusalFor({ code, message }: NodeJS.ErrnoException): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, message: 'the head of the request is too large' }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return { status: 413, message: 'the chunk extensions of the request are too large' }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, message: 'the head of the request took too long' }
  const detail = message.replace(/^Parse Error: /, '')
  // Of a version that is none, such as "HTTP/1.1" with only a line feed after it, the parser says something else.
  return detail === 'Invalid HTTP version' ? { status: 505, message: 'this server speaks HTTP/1.1' } : malformed(detail)
}

function refusalText({ status, message }: Refusal): string {
  return `${status} ${message}\n`
}

function refusalFields(refusal: Refusal): Record<string, string> {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(refusalText(refusal))),
    'Cache-Control': 'no-store',
    ...(refusal === OVERLOADED ? { 'Retry-After': '1' } : {}),
    Connection: 'close',
  }
}

/** Answers on the bare connection, there being no request to answer. */
function refuse(socket: Socket, refusal: Refusal): void {
  const fields = Object.entries(refusalFields(refusal)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${fields.join('')}\r\n${refusalText(refusal)}`)
  const end = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('end', () => socket.destroy()).once('close', () => clearTimeout(end))
}

function urlOf(server: Server, scheme: string): string {
  const { address, port, family } = server.address() as AddressInfo
  const anywhere = address === '::' || address === '0.0.0.0'
  return `${scheme}://${anywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address}:${port}`
}
