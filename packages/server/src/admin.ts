// The admin listener: health, explanations and figures, for those who know the token. Never the public listener.
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cdn, Purge } from '@simple-cdn/core'
import type { LiveLog } from './live-log.ts'
import { metricsText } from './metrics.ts'
import { type Answer, isSame, orderOf, type PurgeApi, type PurgeOrder } from './purge-api.ts'
import { givenToken, isSoft, written } from './purge-method.ts'

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
  readonly purges: PurgeApi
  /** Opens what purges, and nothing else. */
  purgeToken(): string | undefined
  /** Whether it takes new requests: not while it drains. */
  ready(): boolean
  stats(): object
  /** Follows the log. */
  readonly live: LiveLog
}

/** Of the body of a request to purge. */
const MAX_PURGE_LENGTH = 1024 * 1024

/** Rejects when the address cannot be had. */
export async function listenAdmin(options: AdminOptions, subject: Subject): Promise<Admin> {
  const token = options.token ?? randomBytes(24).toString('base64url')
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    // No token, no answer: not even whether there is such a path.
    if (!isAuthorized(request, token, subject)) return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
    const url = URL.parse(request.url ?? '', 'http://admin')
    if (request.method === 'GET' && url?.pathname === '/tail') return void tail(url.searchParams, subject.live, response)
    void answer(request, subject)
      .catch((error: Error) => ({ status: 500, body: { error: error.message } }))
      .then((answered) => send(response, answered))
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

function isAuthorized({ url = '', headers, socket }: IncomingMessage, token: string, { purges, purgeToken }: Subject): boolean {
  if (!isPurge(url)) return isSame(/^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '', token)
  const via = url === '/purge' ? 'admin' : 'fastly'
  return purges.admits(givenToken(headers), [token, purgeToken()], { from: socket.remoteAddress, via })
}

async function answer(request: IncomingMessage, subject: Subject): Promise<Answer> {
  const { cdn, ready, stats } = subject
  if (isPurge(request.url ?? '')) return purge(request, subject)
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
    case '/metrics':
      return { status: 200, body: metricsText(stats()) }
    case '/explain':
      return explain(url.searchParams, cdn)
    default:
      return { status: 404, body: { error: 'there are /health, /ready, /stats, /metrics, /tail, /explain and /purge' } }
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
    if (!live.watch(choice, response)) send(response, { status: 503, body: { error: 'too many are watching already' } })
  } catch (error) {
    send(response, { status: 400, body: { error: (error as Error).message } })
  }
}

/** As Fastly's API names them: of a URL, with or without its scheme; of surrogate keys; of everything. Whose service it is does not matter. */
function fastlyOrder(path: string, headers: IncomingMessage['headers']): PurgeOrder | undefined {
  const soft = isSoft(headers)
  const [, url] = /^\/purge\/(.+)$/.exec(path) ?? []
  if (url !== undefined) return { purge: [{ url: /^https?:\/\//i.test(url) ? url : `http://${url}` }], soft }
  const [, what, key] = /^\/service\/[^/]+\/(purge_all|purge)(?:\/([^/?]+))?$/.exec(path) ?? []
  if (what === 'purge_all' && key === undefined) return { purge: [{ everything: true }], soft }
  const keys = key === undefined ? String(headers['surrogate-key'] ?? '').split(' ') : [decodeURIComponent(key)]
  const purge = keys.filter((each) => each !== '').map((surrogateKey) => ({ surrogateKey }))
  return what === 'purge' && purge.length > 0 ? { purge, soft } : undefined
}

function isPurge(path: string): boolean {
  return path === '/purge' || /^\/(purge[/?]|service\/)/.test(path)
}

async function purge(request: IncomingMessage, { purges }: Subject): Promise<Answer> {
  const { url = '', method, headers, socket } = request
  const query = method === 'GET' && /^\/purge\?/.test(url) ? new URLSearchParams(url.slice('/purge?'.length)) : undefined
  if (query !== undefined) return purges.status(query.get('id') ?? '', Number(query.get('waitMs') ?? 0) || 0)
  if (method !== 'POST' && method !== 'PUT')
    return { status: 405, body: { error: 'only POST, and GET /purge?id=… for a status' } }
  const from = socket.remoteAddress
  if (url !== '/purge') {
    let order: PurgeOrder | undefined
    try {
      order = fastlyOrder(url, headers)
    } catch {
      // An escape that is none.
    }
    if (order === undefined) return { status: 404, body: { error: `nothing is named by ${url}` } }
    const answer = await purges.order(order, { from, via: 'fastly' })
    const ids = (answer.body as { purged?: readonly Purge[] }).purged ?? []
    if (answer.status !== 200) return answer
    // Several keys are answered with an id for each, one of anything with its own.
    const several = Object.fromEntries(ids.map(({ value, id }) => [value, id]))
    return { status: 200, body: ids.length > 1 ? several : { status: 'ok', id: ids[0]?.id } }
  }
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_PURGE_LENGTH) return { status: 413, body: { error: `more than ${MAX_PURGE_LENGTH} characters` } }
  }
  let order: PurgeOrder
  try {
    order = orderOf(text)
  } catch (error) {
    return { status: 400, body: { error: (error as Error).message } }
  }
  return purges.order(order, { from, via: 'admin' })
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

function send(response: ServerResponse, answer: Answer): void {
  const { fields, text } = written(answer)
  response.writeHead(answer.status, { ...fields, ...(answer.status === 405 ? { Allow: 'GET' } : {}) }).end(text)
}
