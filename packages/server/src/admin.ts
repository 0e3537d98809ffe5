// The admin listener: health, explanations and figures, for those who know the token. Never the public listener.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cdn } from '@simple-cdn/core'
import type { LiveLog } from './live-log.ts'

export interface AdminOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  /** `undefined`: one is made. */
  readonly token: string | undefined
}

export interface Admin {
  readonly url: string
  readonly token: string
  close(): Promise<void>
}

/** What the admin listener tells about. */
export interface Subject {
  readonly cdn: Pick<Cdn, 'explain'>
  /** Whether it takes new requests: not while it drains. */
  ready(): boolean
  stats(): object
  /** Follows the log. */
  readonly live: LiveLog
}

interface Answer {
  readonly status: number
  readonly body: object
}

/** Rejects when the address cannot be had. */
export async function listenAdmin(options: AdminOptions, subject: Subject): Promise<Admin> {
  const token = options.token ?? randomBytes(24).toString('base64url')
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    // No token, no answer: not even whether there is such a path.
    if (!isAuthorized(request, token)) return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
    const url = URL.parse(request.url ?? '', 'http://admin')
    if (request.method === 'GET' && url?.pathname === '/tail') return void tail(url.searchParams, subject.live, response)
    void answer(request, subject)
      .catch((error: Error) => ({ status: 500, body: { error: error.message } }))
      .then(({ status, body }) => send(response, status, body))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: options.port, host: options.host }, resolve)
  })
  const { address, port, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    token,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(request: IncomingMessage, { cdn, ready, stats }: Subject): Promise<Answer> {
  if (request.method !== 'GET') return { status: 405, body: { error: 'only GET' } }
  const url = URL.parse(request.url ?? '', 'http://admin')
  if (url === null) return { status: 400, body: { error: 'the target is not a URL' } }
  switch (url.pathname) {
    case '/health':
      return { status: 200, body: { healthy: true } }
    case '/ready':
      return { status: ready() ? 200 : 503, body: { ready: ready() } }
    case '/stats':
      return { status: 200, body: stats() }
    case '/explain':
      return explain(url.searchParams, cdn)
    default:
      return { status: 404, body: { error: 'there are /health, /ready, /stats, /tail and /explain' } }
  }
}

function tail(query: URLSearchParams, live: LiveLog, response: ServerResponse): void {
  const [paths, status, methods] = [query.getAll('path'), query.getAll('status'), query.getAll('method')]
  const choice = {
    ...(paths.length > 0 && { paths }),
    ...(methods.length > 0 && { methods }),
    ...(status.length > 0 && { status: status.map((each) => (/^\d+$/.test(each) ? Number(each) : (each as '5xx'))) }),
  }
  try {
    if (!live.watch(choice, response)) send(response, 503, { error: 'too many are watching already' })
  } catch (error) {
    send(response, 400, { error: (error as Error).message })
  }
}

async function explain(query: URLSearchParams, cdn: Subject['cdn']): Promise<Answer> {
  const asked = query.get('url') ?? ''
  const url = URL.canParse(asked) ? new URL(asked) : undefined
  const scheme = url?.protocol.slice(0, -1)
  if (url === undefined || (scheme !== 'http' && scheme !== 'https')) {
    return {
      status: 400,
      body: { error: `"${asked}" is not the whole URL of a request, such as "http://localhost:8080/feed.xml"` },
    }
  }
  const fields: string[] = ['Host', url.host]
  for (const line of query.getAll('header')) {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      return { status: 400, body: { error: `"${line}" is not a header, such as "Cookie: a=b"` } }
    fields.push(name, value)
  }
  const method = query.get('method') ?? 'GET'
  return {
    status: 200,
    body: await cdn.explain({ method, scheme, authority: url.host, target: url.pathname + url.search, fields }),
  }
}

function isAuthorized(request: IncomingMessage, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
  // Of the same length, whatever was given: the time it takes tells nothing about the token.
  return timingSafeEqual(digest(given), digest(token))
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

function send(response: ServerResponse, status: number, body: object): void {
  const json = `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(json),
    'Cache-Control': 'no-store',
    ...(status === 405 ? { Allow: 'GET' } : {}),
  })
  response.end(json)
}
