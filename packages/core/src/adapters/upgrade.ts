// Connections that change their protocol, such as to WebSocket: server.on('upgrade', toUpgradeHandler(cdn)).
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CdnRequest, CdnResponse, Handler } from '../engine/messages.ts'
import { CdnError } from '../errors.ts'
import { fieldValue } from '../http/fields.ts'
import { targetOf } from './target.ts'

export interface UpgradeHandlerOptions {
  /** A tunnel in which nothing has come from either side for so long is ended, in milliseconds. Default: 3,600,000. */
  idleTimeoutMs?: number
}

/** How long a client may take to read an answer that is no tunnel, in milliseconds. */
const ANSWER_MS = 60_000

/**
 * Whether a request asks for a protocol that is passed on. Only WebSocket is: Upgrade may be ignored (RFC 9110 §7.8), and what
 * others make of a connection, such as h2c, would carry requests past every rule.
 */
export function isPassedOn({
  method,
  httpVersion,
  headers,
}: Pick<IncomingMessage, 'method' | 'httpVersion' | 'headers'>): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  return method === 'GET' && httpVersion === '1.1' && !hasBody && headers.upgrade?.toLowerCase() === 'websocket'
}

/**
 * For `server.on('upgrade', …)`, and since Node calls it for whatever names a protocol, `isPassedOn` is for
 * `shouldUpgradeCallback` of the server, where there is one. What is not passed on is answered with 501.
 */
export function toUpgradeHandler(
  cdn: Pick<Handler, 'handle'>,
  { idleTimeoutMs = 3_600_000 }: UpgradeHandlerOptions = {},
): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  return (request, socket, head) => {
    // The server listens to it no more.
    socket.on('error', () => socket.destroy())
    ;(socket as Socket).setTimeout?.(0)
    const hosts = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length
    if (!isPassedOn(request)) return refuse(socket, '501 Not Implemented', 'this server changes to no protocol but websocket')
    if (hosts !== 1) return refuse(socket, '400 Bad Request', 'the request is malformed: it needs exactly one Host')
    if (head.length > 0) socket.unshift(head)
    void Promise.resolve(cdn.handle(requestOf(request, socket as Socket))).then((answer) => {
      if (answer.tunnel === undefined) respond(answer, request, socket as Socket)
      else join(answer, answer.tunnel, socket, idleTimeoutMs)
    })
  }
}

function requestOf(request: IncomingMessage, socket: Socket): CdnRequest {
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  return {
    method: request.method as string,
    scheme: (socket as { encrypted?: boolean }).encrypted === true ? 'https' : 'http',
    ...targetOf(request.url as string, fieldValue(request.rawHeaders, 'host')),
    httpVersion: request.httpVersion,
    fields: request.rawHeaders,
    clientAddress: socket.remoteAddress,
    signal: gone.signal,
    upgrade: 'websocket',
  }
}

/** The connection ends with it. */
function refuse(socket: Duplex, status: string, text: string): void {
  const body = `${status.slice(0, 3)} ${text}\n`
  socket.resume()
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

/** An ordinary answer, and the last on its connection. */
function respond(answer: CdnResponse, request: IncomingMessage, socket: Socket): void {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  socket.resume()
  const late = setTimeout(() => socket.destroy(), ANSWER_MS)
  response.once('finish', () => socket.end(() => socket.destroy()))
  void pass(answer, response, socket).then(({ bytes, error }) => {
    clearTimeout(late)
    answer.finished(bytes, error === undefined && response.writableFinished, error)
  })
}

async function pass(
  { status, fields, body }: CdnResponse,
  response: ServerResponse,
  socket: Socket,
): Promise<{ bytes: number; error?: unknown }> {
  const closed = new Promise<void>((resolve) => socket.once('close', resolve))
  let bytes = 0
  try {
    response.writeHead(status, fields as string[])
    for await (const chunk of body instanceof Uint8Array ? [body] : (body ?? [])) {
      if (socket.destroyed) break
      const out = new Promise<unknown>((resolve) => response.write(chunk, resolve))
      bytes += chunk.byteLength
      await Promise.race([closed, out])
      // Not asked for more, the body knows that this has not been used.
      if (socket.destroyed) break
    }
    response.end()
    await Promise.race([closed, new Promise((resolve) => response.once('finish', resolve))])
    return { bytes }
  } catch (error) {
    socket.destroy()
    return { bytes, error }
  }
}

/** A client has so long to take what came before an origin went away, in milliseconds. */
const LINGER_MS = 5_000

/** Bytes both ways, until both sides have ended, one has gone, or neither has said anything for too long. */
function join(answer: CdnResponse, origin: Duplex, client: Duplex, idleTimeoutMs: number): void {
  let toClient = 0
  let isOver = false
  const over = (error?: CdnError): void => {
    if (isOver) return
    isOver = true
    clearTimeout(idle)
    origin.destroy()
    if (error?.source === 'client') client.destroy()
    else {
      const late = setTimeout(() => client.destroy(), LINGER_MS)
      client.once('close', () => clearTimeout(late))
      client.end(() => client.destroy())
    }
    answer.finished(toClient, error === undefined, error)
  }
  const idle = setTimeout(() => over(new CdnError('CDN_TUNNEL_SILENT', `${idleTimeoutMs} ms`)), idleTimeoutMs)
  const carry = (from: Duplex, to: Duplex, count: (bytes: number) => void): void => {
    from.on('data', (chunk: Buffer) => {
      idle.refresh()
      count(chunk.byteLength)
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      idle.refresh()
      from.resume()
    })
    // Who has said everything may still listen.
    from.on('end', () => to.end())
    to.on('finish', () => {
      if (from.writableFinished) over()
    })
  }
  client.on('close', () => over(new CdnError('CDN_CLIENT_GONE')))
  origin.on('error', (error) => over(new CdnError('CDN_ORIGIN_BROKE_OFF', error.message, error)))
  origin.on('close', () => over(new CdnError('CDN_ORIGIN_BROKE_OFF', 'in a tunnel')))
  if (client.destroyed) {
    over(new CdnError('CDN_CLIENT_GONE'))
    return
  }
  let head = 'HTTP/1.1 101 Switching Protocols\r\n'
  for (let at = 0; at < answer.fields.length; at += 2) head += `${answer.fields[at]}: ${answer.fields[at + 1]}\r\n`
  client.write(`${head}\r\n`, 'latin1')
  carry(client, origin, () => undefined)
  carry(origin, client, (bytes) => {
    toClient += bytes
  })
}
