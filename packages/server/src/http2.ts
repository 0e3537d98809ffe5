// HTTP/2 on connections that are handed over, with limits on everything a client can make wait or grow.
import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Http2StreamListener } from '@simple-cdn/core/node'
import type { Refusal } from './well-formed.ts'

export interface Http2Limits {
  readonly maxHeadBytes: number
  readonly headTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly bodyTimeoutMs: number
}

export interface Http2Counts {
  stalled: number
  malformed: number
}

export interface Http2 {
  /** Takes a connection over. */
  accept(socket: TLSSocket): void
  readonly sessions: () => number
  /** Lets each connection finish its streams, and takes no more of them. */
  drain(): void
  /** Ends what is left. */
  end(): void
}

/** Streams at a time on one connection; the next wait for one of them to end. */
const MAX_STREAMS = 128
const MAX_FIELDS = 256
/** How much of an upload may be on its way for each stream. */
const WINDOW = 256 * 1024
/** Streams that are given up before they are answered: so many at once and so many each second, and the connection ends (CVE-2023-44487). */
const RESET_BURST = 200
const RESETS_PER_SECOND = 33

export function http2Connections(handle: Http2StreamListener, limits: () => Http2Limits, counts: Http2Counts): Http2 {
  const sessions = new Map<ServerHttp2Session, TLSSocket>()
  let draining = false

  const server = createServer({
    settings: {
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListSize: limits().maxHeadBytes,
      initialWindowSize: WINDOW,
      enablePush: false,
    },
    maxHeaderListPairs: MAX_FIELDS + 8,
    maxSettings: 16,
    maxSessionInvalidFrames: 32,
    streamResetBurst: RESET_BURST,
    streamResetRate: RESETS_PER_SECOND,
  })
  server.on('sessionError', () => counts.malformed++)

  /** Node 22 leaves the connection of a session open that is destroyed without an error. */
  const destroy = (session: ServerHttp2Session): void => {
    const socket = sessions.get(session)
    session.destroy()
    socket?.destroy()
  }

  const begin = (session: ServerHttp2Session, socket: TLSSocket): void => {
    sessions.set(session, socket)
    const { headTimeoutMs, idleTimeoutMs } = limits()
    let open = 0
    let tokens = RESET_BURST
    // It refills with each answer, rather than with the time: who gets answers does not flood.
    let idle = setTimeout(() => destroy(session), headTimeoutMs)
    const rest = (): void => {
      clearTimeout(idle)
      idle = setTimeout(() => session.close(), idleTimeoutMs)
    }
    session.once('remoteSettings', () => {
      if (open === 0) rest()
    })
    session.on('stream', (stream) => {
      open++
      clearTimeout(idle)
      stream.once('close', () => {
        open--
        if (open === 0 && !session.destroyed) rest()
        if (stream.headersSent) {
          tokens = Math.min(RESET_BURST, tokens + 1)
          return
        }
        if (--tokens > 0 || session.destroyed) return
        counts.malformed++
        session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
        destroy(session)
      })
    })
    session.on('error', () => destroy(session))
    session.once('close', () => {
      clearTimeout(idle)
      sessions.delete(session)
    })
    if (draining) session.close()
  }

  server.on('stream', (stream, headers, flags, rawHeaders: readonly string[] = []) => {
    stream.on('error', () => undefined)
    watch(stream)
    const method = headers[':method']
    const refusal = refusalOf(method, rawHeaders)
    if (refusal !== undefined) {
      counts.malformed++
      refuse(stream, refusal)
    } else if (headers[':path'] === '*') stream.respond({ ':status': method === 'OPTIONS' ? 204 : 400 }, { endStream: true })
    else handle(stream, headers, flags, rawHeaders)
  })

  /** Ends a stream whose client neither sends what it has announced nor takes what it has asked for. */
  function watch(stream: ServerHttp2Stream): void {
    const silent = (): void => {
      const takesNothing = stream.writableLength > 0
      // Somebody waits for its body. What nobody reads yet it may keep back, or has to.
      const isAwaited = stream.listenerCount('readable') > 0 && stream.readableLength === 0
      const sendsNothing = isAwaited && !stream.readableEnded && !stream.endAfterHeaders
      if (!takesNothing && !(sendsNothing && !stream.headersSent)) {
        // Not the client's turn: origins have timeouts of their own.
        stream.setTimeout(limits().bodyTimeoutMs)
        return
      }
      counts.stalled++
      // `close` would end the body in the proper way first.
      if (takesNothing || stream.headersSent) stream.destroy(new Error('the client takes nothing'))
      else refuse(stream, { status: 408, message: 'the body of the request stopped coming' })
    }
    stream.setTimeout(limits().bodyTimeoutMs)
    stream.on('timeout', silent)
  }

  function refusalOf(method: string | undefined, rawHeaders: readonly string[]): Refusal | undefined {
    if (method === 'TRACE' || method === 'CONNECT') return { status: 501, message: `this server has no ${method}` }
    let bytes = 0
    // As they count for SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2).
    for (const part of rawHeaders) bytes += part.length + 16
    if (rawHeaders.length > 2 * MAX_FIELDS || bytes > limits().maxHeadBytes)
      return { status: 431, message: 'the head of the request is too large' }
    return undefined
  }

  return {
    accept(socket) {
      server.once('session', (session) => begin(session, socket))
      server.emit('connection', socket)
    },
    sessions: () => sessions.size,
    drain() {
      draining = true
      for (const session of sessions.keys()) session.close()
    },
    end() {
      for (const session of sessions.keys()) destroy(session)
    },
  }
}

function refuse(stream: ServerHttp2Stream, { status, message }: Refusal): void {
  if (stream.headersSent || stream.closed) {
    stream.destroy()
    return
  }
  const text = `${status} ${message}\n`
  stream.respond({
    ':status': status,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': text.length,
    'cache-control': 'no-store',
  })
  // What it is still sending is for nobody (RFC 9113 §8.1).
  stream.resume().end(text, () => stream.close(constants.NGHTTP2_NO_ERROR))
}
