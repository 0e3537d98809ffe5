// Every way in, each with the framework itself, as its README says: started, asked, ended.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'

/** What the origin was asked for, and the bodies it got. */
const asked: string[] = []
const origin = createServer(async (request, response) => {
  const body = await text(request)
  asked.push(`${request.method} ${request.url}${body === '' ? '' : ` ${body}`}`)
  if (request.url === '/gone') return void response.destroy()
  response.setHeader('Cache-Control', request.url?.startsWith('/private') ? 'private' : 'max-age=60')
  response.end(`from the origin: ${request.url}`)
})
let originUrl: string

before(async () => {
  await once(origin.listen(0, '127.0.0.1'), 'listening')
  originUrl = urlOf(origin.address() as AddressInfo)
})
after(() => void origin.close())

const urlOf = ({ port }: AddressInfo): string => `http://127.0.0.1:${port}`

interface Started {
  readonly child: ChildProcess
  ask(path: string, init?: RequestInit): Promise<{ status: number; body: string; cache: string }>
}

/** Ends with the test at the latest. */
async function started(t: TestContext, file: string): Promise<Started> {
  const child = spawn(process.execPath, ['--conditions=@simple-cdn/source', join(import.meta.dirname, file)], {
    env: { PATH: process.env.PATH, ORIGIN_URL: originUrl, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  for await (const line of createInterface({ input: child.stdout })) {
    printed += line
    if (/port: \d+/.test(printed)) break
  }
  const [, port] = /port: (\d+)/.exec(printed) ?? assert.fail(`it does not listen: ${printed}`)
  return {
    child,
    async ask(path, init = {}) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
      return { status: response.status, body: await response.text(), cache: response.headers.get('Cache-Status') ?? '' }
    },
  }
}

async function ends({ child }: Started): Promise<void> {
  child.kill('SIGTERM')
  const [code, signal] = await once(child, 'exit')
  assert.deepEqual([code, signal], [0, null], 'it ends when it is told to, with nothing left open')
}

describe('an embedded cache', { concurrency: 2 }, () => {
  test("in a server of Node's own answers from the store, passes bodies on, and ends in order", async (t) => {
    const server = await started(t, 'node-http/server.ts')
    assert.deepEqual(await server.ask('/node'), {
      status: 200,
      body: 'from the origin: /node',
      cache: 'simple-cdn; fwd=uri-miss; fwd-status=200; ttl=59; stored',
    })
    assert.match((await server.ask('/node')).cache, /; hit/)
    await server.ask('/node-post', { method: 'POST', body: 'hello' })
    assert.deepEqual(
      asked.filter((line) => line.includes('/node')),
      ['GET /node', 'POST /node-post hello'],
    )
    await ends(server)
  })

  test('under a mount of Express sees the whole path, and leaves the rest to Express', async (t) => {
    const server = await started(t, 'express/server.ts')
    assert.equal((await server.ask('/assets/express.css?a=1')).body, 'from the origin: /assets/express.css?a=1')
    assert.match((await server.ask('/assets/express.css?a=1')).cache, /; hit/)
    await server.ask('/assets/express', { method: 'PUT', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } })
    assert.deepEqual(
      asked.filter((line) => line.includes('express')),
      ['GET /assets/express.css?a=1', 'PUT /assets/express {"a":1}'],
    )
    assert.deepEqual(await server.ask('/'), { status: 200, body: 'a page of Express', cache: '' })
    await ends(server)
  })

  test('beside routes of Fastify answers its own path, with bodies as they come', async (t) => {
    const server = await started(t, 'fastify/server.ts')
    assert.equal((await server.ask('/assets/fastify.css')).body, 'from the origin: /assets/fastify.css')
    assert.match((await server.ask('/assets/fastify.css')).cache, /; hit/)
    await server.ask('/assets/fastify', { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } })
    assert.deepEqual(
      asked.filter((line) => line.includes('fastify')),
      ['GET /assets/fastify.css', 'POST /assets/fastify {"a":1}'],
    )
    assert.deepEqual(await server.ask('/'), { status: 200, body: 'a page of Fastify', cache: '' })
    await ends(server)
  })

  test('around an app of Hono keeps what the app lets it keep, and nothing that is private', async (t) => {
    const server = await started(t, 'hono/server.ts')
    for (const _ of [1, 2]) assert.equal((await server.ask('/')).body, 'a page of Hono, made 1 times')
    assert.match((await server.ask('/')).cache, /; hit/)
    for (const _ of [1, 2]) assert.match((await server.ask('/me')).cache, /fwd=uri-miss; fwd-status=200; detail=private/)
    await ends(server)
  })

  test('is a Fetch handler: a request in, a response out', async () => {
    const { default: app } = await import('./fetch/app.ts')
    const [first, second] = [await app.fetch(new Request('http://a.example/')), await app.fetch(new Request('http://a.example/'))]
    assert.match(second.headers.get('Cache-Status') ?? '', /; hit/)
    assert.equal(await second.text(), await first.text())
  })

  test('keeps what a program asks others for, and gives an error when nothing was kept', async () => {
    const { cachedFetch } = await import('./undici/client.ts')
    const get = async (path: string): Promise<[number, string]> => {
      const response = await cachedFetch(new Request(originUrl + path))
      return [response.status, await response.text()]
    }
    for (const _ of [1, 2]) assert.deepEqual(await get('/outgoing'), [200, 'from the origin: /outgoing'])
    for (const _ of [1, 2]) await get('/private-outgoing')
    assert.deepEqual(
      asked.filter((line) => line.includes('outgoing')),
      ['GET /outgoing', 'GET /private-outgoing', 'GET /private-outgoing'],
    )
    assert.equal((await get('/gone'))[0], 502)
  })

  test('an interceptor of undici', async (t) => {
    const { Agent, fetch: ask, request } = await import('undici')
    const { cache } = await import('./undici-interceptor/interceptor.ts')
    const plain = new Agent()
    t.after(() => plain.destroy())
    const dispatcher = plain.compose(cache())
    for (const path of ['/intercepted', '/intercepted', '/private-intercepted', '/private-intercepted']) {
      const { statusCode, body } = await request(originUrl + path, { dispatcher })
      assert.deepEqual([statusCode, await body.text()], [200, `from the origin: ${path}`])
    }
    const fetched = await ask(`${originUrl}/intercepted`, { dispatcher })
    assert.match(fetched.headers.get('Cache-Status') ?? '', /; hit/)
    assert.equal(await fetched.text(), 'from the origin: /intercepted')
    for (const a of [1, 2, 1]) {
      const { body } = await request(`${originUrl}/query`, { dispatcher, query: { a } })
      assert.equal(await body.text(), `from the origin: /query?a=${a}`)
    }
    // Left in the middle, though nothing more is asked for.
    const broken = await request(`${originUrl}/intercepted`, { dispatcher })
    broken.body.once('data', () => broken.body.destroy(new Error('left')))
    await assert.rejects(once(broken.body, 'end'), /left/)
    const posted = await request(`${originUrl}/intercepted`, { dispatcher, method: 'POST', body: 'a' })
    await posted.body.dump()
    await assert.rejects(request(`${originUrl}/gone`, { dispatcher }), { code: 'CDN_ORIGIN_UNREACHABLE' })
    const left = new AbortController()
    left.abort()
    await assert.rejects(request(`${originUrl}/intercepted`, { dispatcher, signal: left.signal }))
    assert.deepEqual(
      asked.filter((line) => line.includes('intercepted')),
      ['GET /intercepted', 'GET /private-intercepted', 'GET /private-intercepted', 'POST /intercepted a'],
    )
  })
})
