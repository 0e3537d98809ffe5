// An origin on a bare socket: a test says byte by byte what it answers, and sees byte by byte what it was sent.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { watched } from './watched.ts'

export interface RawRequest {
  /** Request line and fields, with the empty line. */
  readonly head: string
  /** Everything that came on this connection after the head, so far. */
  readonly body: () => string
  readonly socket: Socket
  /** How many requests came on this connection before. */
  readonly nth: number
  /** As that of the origin. */
  until(condition: () => boolean): Promise<void>
}

export interface RawOrigin {
  readonly url: string
  readonly port: number
  /** The heads it was sent, in order. */
  readonly heads: readonly string[]
  /** Connections that were made so far. */
  readonly accepted: () => number
  /** Connections that are open now. */
  readonly open: () => number
  /** Resolves when `condition` holds. It is looked at whenever something happens on a connection. */
  until(condition: () => boolean): Promise<void>
  close(): Promise<void>
}

/** `answer`: what to write when a head has come, or what to do. A head that announces a body is the last on its connection. */
export async function rawOrigin(answer: string | ((request: RawRequest) => unknown)): Promise<RawOrigin> {
  const heads: string[] = []
  const sockets = new Set<Socket>()
  let accepted = 0
  const { happened, until } = watched()

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted++
    sockets.add(socket)
    let received = ''
    let nth = 0
    let uploading = false
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      for (let end = received.indexOf('\r\n\r\n'); end >= 0 && !uploading; end = received.indexOf('\r\n\r\n')) {
        const head = received.slice(0, end + 4)
        received = received.slice(end + 4)
        uploading = /^(content-length: [1-9]|transfer-encoding:)/im.test(head)
        heads.push(head)
        if (typeof answer === 'string') socket.write(answer, 'latin1')
        else answer({ head, body: () => received, socket, nth: nth++, until })
      }
      happened()
    })
    // Half-open, so that a test sees an end as an end; nobody answers after it.
    socket.on('end', () => socket.end())
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      happened()
    })
    happened()
  })
  const port = await listening(server)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    heads,
    accepted: () => accepted,
    open: () => sockets.size,
    until,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Listens on any free port of this machine, and says which. */
export async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
