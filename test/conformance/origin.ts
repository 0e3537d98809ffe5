// The origin of the conformance run: answers each request of a session as its script says, and remembers what arrived.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Exchange, type FieldLine, written } from './cases.ts'

/** A request that reached the origin. */
export interface Arrival {
  /** The client's number of the request, from 1. NaN when the proxy has not passed it on. */
  readonly number: number
  readonly method: string
  readonly fields: IncomingHttpHeaders
  /** The fields that were sent in answer and that the client should see just so: names as in the case, lines of a name joined. */
  readonly promised: ReadonlyMap<string, string>
}

export interface Origin {
  readonly port: number
  /** Begins a session: requests below `/test/ID` are answered by this script from now on. */
  open(id: string, script: readonly Exchange[]): void
  /** What has arrived in a session so far, in order. */
  arrivals(id: string): readonly Arrival[]
  /** Cuts what is still connected. */
  close(): Promise<void>
}

interface Session {
  readonly id: string
  readonly script: readonly Exchange[]
  /** For each exchange its fields: as the case has them, and once sent, as they were sent. */
  readonly lines: (readonly FieldLine[])[]
  readonly arrivals: Arrival[]
}

/** Starts an origin on the loopback interface. Port 0 takes a free one. */
export async function startOrigin(port = 0): Promise<Origin> {
  const sessions = new Map<string, Session>()
  // A response without a usable length ends with its connection, and the cases count on 5 s, well below the client's patience.
  const server = createServer({ keepAliveTimeout: 5000 }, (request, response) => {
    const [, place, id = ''] = new URL(request.url ?? '/', 'http://origin').pathname.split('/')
    const session = place === 'test' ? sessions.get(id) : undefined
    if (session === undefined) response.writeHead(404).end()
    else void answer(session, request, response)
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    open: (id, script) => {
      sessions.set(id, { id, script, lines: script.map((exchange) => exchange.response_headers ?? []), arrivals: [] })
    },
    arrivals: (id) => sessions.get(id)?.arrivals ?? [],
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(session: Session, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const number = Number.parseInt(`${request.headers['req-num']}`, 10)
  const index = (number || session.arrivals.length + 1) - 1
  const exchange = session.script[index]
  if (exchange === undefined) {
    response.writeHead(409).end()
    return
  }
  if (exchange.response_pause !== undefined) await sleep(exchange.response_pause * 1000)

  const now = Date.now()
  const lines = linesToSend(exchange, request.url ?? '/', now)
  session.lines[index] = lines
  session.arrivals.push({ number, method: request.method ?? '', fields: request.headers, promised: promisedBy(lines) })
  if (exchange.disconnect) {
    request.socket.destroy()
    return
  }

  for (const [status, fields = []] of exchange.interim_responses ?? []) {
    if (status === 102) response.writeProcessing()
    else response.writeEarlyHints(Object.fromEntries(fields))
  }
  const [status, phrase] = statusToSend(exchange, session.lines[index - 1] ?? [], request.headers)
  const body = status === 204 || status === 304 ? '' : exchange.response_body || session.id
  const names = new Set(lines.map(([name]) => name.toLowerCase()))
  const framed = body === '' || request.method === 'HEAD' || names.has('content-length') || names.has('transfer-encoding')
  const head = [
    ...['Server-Now', `${now}`, 'Server-Request-Count', `${session.arrivals.length}`, 'Client-Request-Count', `${number}`],
    ...['Request-Numbers', session.arrivals.map((arrival) => arrival.number).join(' ')],
    ...lines.flatMap(([name, value]) => [name, `${value}`]),
    ...(names.has('content-type') ? [] : ['Content-Type', 'text/plain']),
    ...(framed ? [] : ['Content-Length', `${Buffer.byteLength(body)}`]),
  ]
  response.writeHead(status, phrase, head).end(body)
}

/** The fields of an exchange with dates and locations written out. */
function linesToSend(exchange: Exchange, url: string, now: number): readonly FieldLine[] {
  return (exchange.response_headers ?? []).map(([name, value, compared]) => {
    const text = written(value, name, now, exchange)
    const placed = exchange.magic_locations && /^(content-)?location$/i.test(name)
    return [name, placed ? [url, text].filter(Boolean).join('/') : text, compared !== false]
  })
}

/** A `Date` is promised to nobody: proxies without a cache may write their own. */
function promisedBy(lines: readonly FieldLine[]): ReadonlyMap<string, string> {
  const promised = lines.filter(([name, , compared]) => compared && name.toLowerCase() !== 'date')
  return new Map(promised.map(([name]) => [name, valuesOf(lines, name).join(', ')]))
}

/** Where the case expects a validation: 304 if the request carries what the exchange before was sent with, else a status that no case wants. */
function statusToSend(exchange: Exchange, before: readonly FieldLine[], fields: IncomingHttpHeaders): readonly [number, string] {
  if (!exchange.expected_type?.endsWith('validated')) return exchange.response_status ?? [200, 'OK']
  const lastModified = valuesOf(before, 'last-modified').at(-1)
  const etag = valuesOf(before, 'etag').at(-1)
  const sameDate = lastModified !== undefined && fields['if-modified-since'] === lastModified
  const sameTag = etag !== undefined && fields['if-none-match'] === etag
  return sameDate || sameTag ? [304, 'Not Modified'] : [notConditional, 'Not Conditional']
}

/** The origin's answer to a request that should have been conditional and was not. */
export const notConditional = 999

function valuesOf(lines: readonly FieldLine[], name: string): readonly (string | number)[] {
  return lines.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
}
