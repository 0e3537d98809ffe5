// The client of the conformance run: plays the requests of one case in order and says where it first goes wrong.
//
// The cases were written for fetch(). This client is node:http, and adds to each request what fetch would add.
import { randomUUID } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Case, type Exchange, type Interim, written } from './cases.ts'
import { type Deviation, judgeArrivals, judgeBody, judgeHead, overlooked, type Reply } from './judge.ts'
import type { Origin } from './origin.ts'

/** How a case went: where it first deviated, if it did; and what is wrong all the same, although the original suite does not look at it. */
export interface Outcome {
  readonly deviation?: Deviation | undefined
  readonly overlooked: readonly string[]
}

const replyWithinMs = 10_000
const pauseMs = 3_000

// A connection that has been idle for longer may just now be closing at the other end.
const agent = new Agent({ keepAlive: true, timeout: 4_000 })

/** Plays a case against the proxy at `base` ("http://127.0.0.1:8080"), which forwards to `origin`. */
export async function play({ id: name, exchanges }: Case, base: string, origin: Origin): Promise<Outcome> {
  const session = randomUUID()
  const replies: Reply[] = []
  const unseen: string[] = []
  const converse = async (): Promise<Deviation | undefined> => {
    for (const [index, exchange] of exchanges.entries()) {
      const number = index + 1
      const timeout = AbortSignal.timeout(replyWithinMs)
      try {
        const request = requestOf(exchange, number, name, replies.at(-1))
        const { reply, body } = await send(`${base}${pathOf(session, exchange)}`, request, timeout)
        replies.push(reply)
        const deviation = judgeHead(exchange, number, reply) ?? judgeBody(exchange, number, reply.status, await body, session)
        if (deviation) return deviation
        unseen.push(...overlooked(exchange, number, reply))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error // A mistake of ours is not the proxy's.
        if (timeout.aborted) return { at: 'timeout', why: `no complete reply ${number} within ${replyWithinMs / 1000} s` }
        return { at: 'behaviour', why: `reply ${number} broke off: ${error.message}` }
      }
      if (exchange.pause_after) await sleep(pauseMs)
    }
    return judgeArrivals(exchanges, replies, origin.arrivals(session))
  }
  origin.open(session, exchanges)
  return { deviation: await converse(), overlooked: unseen }
}

/** How long a case takes at least, in milliseconds. */
export function durationOf({ exchanges }: Case): number {
  return exchanges.reduce((sum, each) => sum + (each.pause_after ? pauseMs : 0) + (each.response_pause ?? 0) * 1000, 0)
}

function pathOf(session: string, { filename, query_arg: query }: Exchange): string {
  return `/test/${session}${filename === undefined ? '' : `/${filename}`}${query === undefined ? '' : `?${query}`}`
}

interface Request {
  readonly method: string
  readonly fields: Record<string, string>
  readonly body: string | undefined
}

function requestOf(exchange: Exchange, number: number, name: string, before: Reply | undefined): Request {
  const { request_method: method = 'GET', request_headers: asked = [], request_body: body } = exchange
  const now = Number(before?.fields.get('server-now'))
  // A fetch() that sets these two itself keeps its own cache control to itself.
  const fields = new Map([
    ['pragma', 'foo'],
    ['cache-control', 'nothing-to-see-here'],
  ])
  for (const [field, value] of asked) {
    const key = field.toLowerCase()
    const text = written(value, field, now, exchange).trim()
    fields.set(key, fields.has(key) ? `${fields.get(key)}, ${text}` : text)
  }
  fields.set('test-id', name).set('req-num', `${number}`)
  if (body !== undefined) fields.set('content-length', `${Buffer.byteLength(body)}`)
  const added = {
    ...(body !== undefined && { 'content-type': 'text/plain;charset=UTF-8' }),
    accept: '*/*',
    'accept-language': '*',
    'sec-fetch-mode': 'cors',
    'user-agent': 'node',
    'accept-encoding': fields.has('range') ? 'identity' : 'gzip, deflate',
  }
  return { method, fields: { ...added, ...Object.fromEntries(fields) }, body }
}

/** Resolves with the head of the reply; its body follows. Rejects when the connection breaks before, or `signal` does. */
function send(
  url: string,
  { method, fields, body }: Request,
  signal: AbortSignal,
): Promise<{ reply: Reply; body: Promise<string> }> {
  return new Promise((resolve, reject) => {
    const interim: Interim[] = []
    const options: RequestOptions = { agent, method, headers: fields, signal }
    httpRequest(url, options)
      .on('information', ({ statusCode, rawHeaders }) => interim.push([statusCode, pairs(rawHeaders)]))
      .on('response', (response) => {
        const whole = text(response)
        whole.catch(() => undefined) // Who needs the body awaits it.
        resolve({ reply: { status: response.statusCode ?? 0, fields: joined(response), interim }, body: whole })
      })
      // Also tells of bytes behind a complete response, when nobody listens any more.
      .on('error', reject)
      .end(body)
  })
}

/** Fields by name in lower case, the lines of a name joined as fetch joins them. */
function joined({ headersDistinct }: IncomingMessage): ReadonlyMap<string, string> {
  return new Map(Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join(', ')]))
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1] ?? ''] as [string, string]] : []))
}
