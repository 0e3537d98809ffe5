// The admin listener: health, explanations and figures, for those who know the token. Never the public listener.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cdn, PurgeWhat } from '@simple-cdn/core'
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
  readonly cdn: Pick<Cdn, 'explain' | 'purge'>
  /** Whether it takes new requests: not while it drains. */
  ready(): boolean
  stats(): object
  /** Takes what was done, and by whom, for the operational log. */
  audit(facts: object, message: string): void
  /** Follows the log. */
  readonly live: LiveLog
}

/** Of the body of a request to purge. */
const MAX_PURGE_LENGTH = 1024 * 1024

interface Answer {
  readonly status: number
  readonly body: object
}

/** Rejects when the address cannot be had. */
export async function listenAdmin(options: AdminOptions, subject: Subject): Promise<Admin> {
  const token = options.token ?? randomBytes(24).toString('base64url')
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    // No token, no answer: not even whether there is such a path.
    const isPurge = request.url === '/purge'
    if (!isAuthorized(request, token)) {
      if (isPurge) subject.audit({ from: request.socket.remoteAddress }, 'a purge was refused: without the token')
      return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
    }
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

async function answer(request: IncomingMessage, subject: Subject): Promise<Answer> {
  const { cdn, ready, stats } = subject
  if (request.method === 'POST' && request.url === '/purge') return purge(request, subject)
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
      return { status: 404, body: { error: 'there are /health, /ready, /stats, /tail, /explain and /purge' } }
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

/** All of a request is purged, or, where something in it is wrong, nothing. */
async function purge(request: IncomingMessage, { cdn, audit }: Subject): Promise<Answer> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_PURGE_LENGTH) return { status: 413, body: { error: `more than ${MAX_PURGE_LENGTH} characters` } }
  }
  let asked: { readonly purge: readonly PurgeWhat[]; readonly soft: boolean }
  try {
    asked = purgesIn(text)
  } catch (error) {
    return { status: 400, body: { error: (error as Error).message } }
  }
  const purged = []
  for (const what of asked.purge) {
    const done = await cdn.purge(what, { soft: asked.soft })
    audit({ purge: done, from: request.socket.remoteAddress }, `purged ${done.kind} ${done.value}`.trimEnd())
    purged.push(done)
  }
  return { status: 200, body: { purged } }
}

/** @throws Error that says what is wrong. */
function purgesIn(text: string): { readonly purge: readonly PurgeWhat[]; readonly soft: boolean } {
  const example =
    '{ "purge": [{ "url": "https://example.com/" }, { "surrogateKey": "pages" }, { "prefix": "https://example.com/blog/" }, { "everything": true }], "soft": false }'
  const asked = JSON.parse(text) as { purge?: unknown; soft?: unknown }
  const list = Array.isArray(asked?.purge) ? (asked.purge as Record<string, unknown>[]) : []
  if (list.length === 0 || (asked.soft !== undefined && typeof asked.soft !== 'boolean')) throw new Error(`write ${example}`)
  for (const what of list) {
    const [name = '', ...more] = Object.keys(Object(what))
    const value = what[name]
    const isUrl =
      (name === 'url' || name === 'prefix') && typeof value === 'string' && /^https?:\/\/./i.test(value) && URL.canParse(value)
    const isKey = name === 'surrogateKey' && typeof value === 'string' && value !== ''
    if (more.length > 0 || !(isUrl || isKey || (name === 'everything' && value === true)))
      throw new Error(`${JSON.stringify(what)} names nothing; write ${example}`)
  }
  return { purge: list as unknown as PurgeWhat[], soft: asked.soft === true }
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
