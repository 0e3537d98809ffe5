// What stands between a connection and HTTP: the PROXY protocol, TLS, and the choice between HTTP/1.1 and HTTP/2.
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { readProxyHeader } from './proxy-protocol.ts'

/** PEM text. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface FrontOptions {
  /** `undefined`: no TLS. */
  readonly certificate: Certificate | undefined
  /** Whether a peer says who has made its connections; `undefined`: none does. */
  readonly isProxy: ((address: string | undefined) => boolean) | undefined
  /** Longest time for the handshake, and for what a proxy says, each. */
  readonly timeoutMs: () => number
  readonly http1: (socket: Socket) => void
  readonly http2: (socket: TLSSocket) => void
  /** A handshake, or what a proxy says, was not as it should be. */
  readonly failed: () => void
}

export interface Front {
  /** The one that listens. */
  readonly server: Server
  /** For handshakes from now on. Throws when the two do not fit each other. */
  use(certificate: Certificate): void
  /** Ends what has not come as far as HTTP. */
  stop(): void
}

export function frontOf({ certificate, isProxy, timeoutMs, http1, http2, failed }: FrontOptions): Front {
  const early = new Set<Socket>()
  /** Who has made a connection, by the peer's address and port. */
  const sources = new Map<string, { readonly address: string; readonly port: number }>()
  const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

  const tls =
    certificate &&
    createTlsServer(
      {
        ...certificate,
        ALPNProtocols: ['h2', 'http/1.1'],
        handshakeTimeout: timeoutMs(),
        minVersion: 'TLSv1.2',
      },
      (socket) => {
        const source = sources.get(peerOf(socket))
        if (source !== undefined) claim(socket, source)
        if (socket.alpnProtocol === 'h2') http2(socket)
        else http1(socket)
      },
    )
  tls?.on('tlsClientError', (_, socket) => {
    failed()
    socket.destroy()
  })

  const accept = (socket: Socket): void => {
    if (tls === undefined) http1(socket)
    else tls.emit('connection', socket)
  }

  // Who has ended its side of TLS is gone, as for Node's own; otherwise one that leaves in a handshake would be waited for.
  const server = createServer({ allowHalfOpen: tls === undefined, noDelay: true }, (socket) => {
    early.add(socket)
    socket.once('close', () => early.delete(socket))
    if (isProxy?.(socket.remoteAddress) !== true) {
      accept(socket)
      return
    }
    // Until others listen to it.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    void readProxyHeader(socket, timeoutMs()).then((header) => {
      if (header === undefined) {
        failed()
        socket.destroy()
        return
      }
      if (header.source !== undefined) {
        const peer = peerOf(socket)
        sources.set(peer, header.source)
        socket.once('close', () => sources.delete(peer))
        if (tls === undefined) claim(socket, header.source)
      }
      accept(socket)
      socket.off('error', ignore)
    })
  })

  return {
    server,
    use: (next) => tls?.setSecureContext({ ...next, minVersion: 'TLSv1.2' }),
    stop() {
      for (const socket of early) if (socket.bytesRead === 0) socket.destroy()
    },
  }
}

/** Everybody who asks the connection for its other end is told that one. */
function claim(socket: Socket, { address, port }: { readonly address: string; readonly port: number }): void {
  Object.defineProperties(socket, { remoteAddress: { value: address }, remotePort: { value: port } })
}
