// An HTTPS origin of Node's own, for HTTP/2 or HTTP/1.1, and what it saw.
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse, type SecureServerOptions } from 'node:http2'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { certificate, key } from './certificate.ts'
import { listening } from './raw-origin.ts'

export interface SecureSite {
  /** By the address that the certificate names. */
  readonly url: string
  readonly port: number
  /** Connections that were made so far. */
  readonly accepted: () => number
}

export async function secureSite(
  t: TestContext,
  answer: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  options: SecureServerOptions = {},
): Promise<SecureSite> {
  const sockets = new Set<Socket>()
  let accepted = 0
  const server = createSecureServer({ key, cert: certificate, allowHTTP1: true, ...options }, answer)
  server.on('secureConnection', (socket: Socket) => {
    accepted++
    sockets.add(socket)
  })
  server.on('sessionError', () => undefined)
  server.on('tlsClientError', () => undefined)
  const port = await listening(server)
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `https://127.0.0.1:${port}`, port, accepted: () => accepted }
}
