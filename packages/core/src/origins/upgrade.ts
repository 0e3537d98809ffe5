// A connection to an origin over HTTP that is to speak another protocol from then on (RFC 9110 §7.8), such as WebSocket.
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp, isIP, type LookupFunction } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { CdnError } from '../errors.ts'
import { type Fields, fieldValue, listMembers } from '../http/fields.ts'
import type { OriginResponse, OriginUpgrade } from './origin.ts'

export interface UpgradeOptions {
  /** Appears in errors. */
  readonly name: string
  /** Where to, without a path. */
  readonly base: URL
  /** Of the connection and the answer together, in milliseconds. */
  readonly timeoutMs: number
  readonly maxHeadBytes: number
  readonly tls?:
    | {
        readonly ca?: string | readonly string[] | undefined
        readonly cert?: string | undefined
        readonly key?: string | undefined
        readonly servername?: string | undefined
        readonly rejectUnauthorized?: boolean | undefined
      }
    | undefined
  readonly lookup?: LookupFunction
}

export interface UpgradeRequest {
  /** With the prefix of the origin. */
  readonly path: string
  readonly method: string
  /** With Host, Connection and Upgrade. */
  readonly fields: Fields
}

/**
 * Asks on a connection of its own: it is not given back. Resolves with the answer, and with the connection when that is a 101 for
 * the protocol that was asked for. Rejects with CDN_ORIGIN_*.
 */
export async function askForUpgrade(
  { name, base, timeoutMs, maxHeadBytes, tls, lookup }: UpgradeOptions,
  { path, method, fields }: UpgradeRequest,
  signal: AbortSignal,
): Promise<OriginUpgrade> {
  const isSecure = base.protocol === 'https:'
  const host = base.hostname.replace(/^\[|\]$/g, '')
  const port = Number(base.port) || (isSecure ? 443 : 80)
  const options: RequestOptions = {
    method,
    path,
    headers: fields as string[],
    maxHeaderSize: maxHeadBytes,
    agent: false,
    // Either side may end what it has to say before the other.
    createConnection: () => {
      const tcp = connectTcp({ host, port, allowHalfOpen: true, noDelay: true, ...(lookup && { lookup }) })
      if (!isSecure) return tcp
      const { servername = isIP(host) ? '' : host, ...certificates } = tls ?? {}
      return connectTls({ ...certificates, socket: tcp, host, servername, ALPNProtocols: ['http/1.1'] } as ConnectionOptions)
    },
  }
  const { promise, resolve, reject } = Promise.withResolvers<OriginUpgrade>()
  const asked: ClientRequest = isSecure ? httpsRequest(base, options) : httpRequest(base, options)
  const fail = (error: CdnError): void => {
    reject(error)
    asked.destroy()
  }
  const leave = (): void => fail(new CdnError('CDN_CLIENT_GONE'))
  const timeout = setTimeout(
    () => fail(new CdnError('CDN_ORIGIN_TIMEOUT', `${name} sent no response within ${timeoutMs} ms`)),
    timeoutMs,
  )
  signal.addEventListener('abort', leave, { once: true })
  asked.on('error', (error) => reject(new CdnError('CDN_ORIGIN_UNREACHABLE', `${name}: ${error.message}`, error)))
  asked.on('upgrade', (response, socket: Duplex, head: Buffer) => {
    const wanted = fieldValue(fields, 'upgrade')?.toLowerCase()
    const chosen = listMembers(response.headers.upgrade ?? '').map((each) => each.toLowerCase())
    // Node calls this for whatever names another protocol, and for every 101.
    if (response.statusCode !== 101 || chosen.length !== 1 || chosen[0] !== wanted) {
      socket.destroy()
      return fail(new CdnError('CDN_ORIGIN_PROTOCOL', `${name} changed to a protocol that was not asked for`))
    }
    if (head.length > 0) socket.unshift(head)
    resolve({ status: 101, fields: response.rawHeaders, body: nothing(), tunnel: socket })
  })
  asked.on('response', (response) => resolve(answered(name, response)))
  asked.end()
  try {
    if (signal.aborted) leave()
    return await promise
  } finally {
    clearTimeout(timeout)
    signal.removeEventListener('abort', leave)
  }
}

function answered(name: string, response: IncomingMessage): OriginResponse {
  return { status: response.statusCode as number, fields: response.rawHeaders, body: bodyOf(name, response) }
}

async function* bodyOf(name: string, response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* response
  } catch (error) {
    throw new CdnError('CDN_ORIGIN_BROKE_OFF', `${name}: ${error instanceof Error ? error.message : error}`, error)
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
