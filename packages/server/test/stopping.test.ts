// Stopping: what is under way is finished, what is idle is closed, and nothing keeps the program beyond its grace.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startServer } from 'simple-cdn'
import { freePort } from '../../core/test/support/free-port.ts'
import { watched } from '../../core/test/support/watched.ts'
import { project } from './support/project.ts'
import { rawClient, statuses } from './support/raw-client.ts'
import { inTwo, logger, serve, temporaryFolder } from './support/served.ts'

const HOST = 'Host: cdn.test\r\n'
const get = (target: string) => `GET ${target} HTTP/1.1\r\n${HOST}\r\n`
const options = { concurrency: true, timeout: 120_000 }

/** Whether anybody listens there. */
function listens(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

describe('a server that is closed', options, () => {
  test('takes no more connections, and finishes what is under way', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: () => ({ body: 'the whole answer', after: slow.promise }) })
    const client = await rawClient(t, served.url, get('/'))
    await served.until(() => served.origin.requests.length === 1)
    let closed = false
    const closing = served.server.close({ graceMs: 20_000 }).then(() => {
      closed = true
    })
    assert.equal(await listens(served.url), false)
    assert.equal(closed, false)

    slow.resolve()
    const received = await client.end()
    assert.match(received, /^HTTP\/1\.1 200 .*\r\n(.+\r\n)*Connection: close\r\n(.+\r\n)*\r\nthe whole answer$/)
    await closing
    assert.equal(served.entries.length, 1)
    assert.equal(served.said.at(-1)?.message, 'stopped')
  })

  test('finishes an answer that has already begun, and closes the connection after it', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: () => ({ body: inTwo(slow.promise) }) })
    const client = await rawClient(t, served.url, get('/'))
    await client.until('first')
    const closing = served.server.close({ graceMs: 20_000 })
    slow.resolve()
    assert.match(await client.end(), /first.*second\r\n0\r\n\r\n$/s)
    await closing
  })

  test('finishes a hit that a client is slow to take, and waits for no client beyond the grace', async (t) => {
    const size = 900_000
    const answer = { headers: { 'Cache-Control': 'max-age=60' }, body: 'x'.repeat(size) }
    const served = await serve(t, { answer })
    const first = await rawClient(t, served.url, get('/'))
    await first.until((received) => received.length > size)
    const [patient, gone] = [await rawClient(t, served.url), await rawClient(t, served.url)]
    let asked = 0
    for (const client of [patient, gone]) {
      client.socket.pause()
      // Until no buffer between here and there takes any more.
      for (let logged = -1; logged < served.entries.length; asked++) {
        logged = served.entries.length
        client.send(get('/'))
        const more = logged + 1
        await Promise.race([served.until(() => served.entries.length >= more), sleep(400)])
      }
    }
    const closing = served.server.close({ graceMs: 1_000 })
    patient.socket.resume()
    assert.match(await patient.end(), /x$/)
    await closing
    assert.equal(served.entries.length, asked + 1)
    assert.deepEqual(
      served.entries.filter(({ complete }) => !complete).map(({ error }) => error?.code),
      ['CDN_CLIENT_GONE'],
    )
  })

  test('answers everything that was asked on a connection, and nothing that comes later', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: ({ target }) => ({ body: `GET ${target}.`, after: slow.promise }) })
    const client = await rawClient(t, served.url, get('/a') + get('/b'))
    await served.until(() => served.origin.requests.length === 2)
    const closing = served.server.close({ graceMs: 20_000 })
    client.send(get('/late'))
    await served.turns()
    slow.resolve()
    const received = await client.end()
    assert.deepEqual(statuses(received), [200, 200])
    assert.match(received, /GET \/a\..*\r\nConnection: close\r\n.*GET \/b\.$/s)
    await closing
    assert.equal(served.origin.requests.length, 2)
  })

  test('takes the rest of a request that has begun', async (t) => {
    for (const [begun, rest] of [
      ['GET / HT', `TP/1.1\r\n${HOST}\r\n`],
      [`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhe`, 'llo'],
    ] as const) {
      const served = await serve(t)
      const client = await rawClient(t, served.url, begun)
      await served.turns()
      const closing = served.server.close({ graceMs: 20_000 })
      client.send(rest)
      assert.match(await client.end(), /^HTTP\/1\.1 200 .*\r\n(.+\r\n)*Connection: close\r\n/)
      await closing
    }
  })

  test('closes connections on which nothing is under way', { timeout: 10_000 }, async (t) => {
    const served = await serve(t)
    const silent = await rawClient(t, served.url)
    const idle = await rawClient(t, served.url, get('/'))
    await idle.until('GET /')
    await served.server.close({ graceMs: 20_000 })
    assert.equal(await silent.end(), '')
    assert.deepEqual(statuses(await idle.end()), [200])
  })

  test('ends what takes longer than its grace', async (t) => {
    const served = await serve(t, { answer: () => ({ body: 'never', after: new Promise(() => undefined) }) })
    const client = await rawClient(t, served.url, get('/'))
    await served.until(() => served.origin.requests.length === 1)
    await served.server.close({ graceMs: 50 })
    assert.equal(await client.end(), '')
    assert.deepEqual(
      served.entries.map(({ complete }) => complete),
      [false],
    )
  })

  test('flushes its logs when the last request is in them', async (t) => {
    const happened: string[] = []
    const server = await startServer({
      config: {
        origins: { app: () => new Response('hello') },
        routes: [{ match: '/*', origin: 'app' }],
        log: [
          {
            name: 'slow',
            write: () => happened.push('written'),
            flush: async () => undefined,
            async close() {
              await new Promise((resolve) => setTimeout(resolve, 20))
              happened.push('flushed')
            },
          },
        ],
      },
      folder: temporaryFolder(t),
      log: logger(({ message }) => message === 'stopped' && happened.push(message)),
      host: '127.0.0.1',
      port: 0,
      admin: false,
    })
    const client = await rawClient(t, server.url, get('/'))
    await client.until('hello')
    await server.close()
    assert.deepEqual(happened, ['written', 'flushed', 'stopped'])
  })

  test('closes once, however often it is told to', async (t) => {
    const served = await serve(t)
    await Promise.all([served.server.close(), served.server.close({ graceMs: 0 })])
    assert.equal(served.said.filter(({ message }) => message === 'stopped').length, 1)
  })

  test('is not ready any more, and still healthy, while it finishes', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: () => ({ after: slow.promise }) })
    const { adminUrl, adminToken } = served.server
    const status = async (path: string) =>
      (await fetch(`${adminUrl}${path}`, { headers: { Authorization: `Bearer ${adminToken}` } })).status
    await rawClient(t, served.url, get('/'))
    await served.until(() => served.origin.requests.length === 1)
    assert.deepEqual([await status('/ready'), await status('/health')], [200, 200])
    const closing = served.server.close({ graceMs: 20_000 })
    assert.deepEqual([await status('/ready'), await status('/health')], [503, 200])
    slow.resolve()
    await closing
    assert.equal(await listens(adminUrl ?? ''), false)
  })
})

describe('a server that cannot start', options, () => {
  const config = { origins: {}, routes: [{ match: '/*', respond: { status: 204 } }] } as const

  test('says why, and leaves no other listener behind', async (t) => {
    const other = await serve(t)
    const taken = Number(new URL(other.url).port)
    const free = await freePort()
    const start = (ports: { port: number; admin: { port: number } }) =>
      startServer({ config, folder: temporaryFolder(t), log: logger(() => undefined), host: '127.0.0.1', ...ports })
    await assert.rejects(start({ port: taken, admin: { port: free } }), { code: 'EADDRINUSE' })
    await assert.rejects(start({ port: free, admin: { port: taken } }), { code: 'EADDRINUSE' })
    assert.equal(await listens(`http://127.0.0.1:${free}`), false)
  })

  test('names every mistake of its configuration at once', async () => {
    const wrong = { ...config, memory: '1kb', server: { port: 70_000, grace: 'long' } } as never
    await assert.rejects(startServer({ config: wrong }), ({ code, message }: { code: string; message: string }) => {
      assert.equal(code, 'CDN_CONFIG_INVALID')
      for (const path of ['memory', 'server.port', 'server.grace']) assert.ok(message.includes(`${path}: `), path)
      return true
    })
  })
})

/** An origin whose answers a test gives by hand. */
async function handOrigin(t: TestContext): Promise<{ url: string; asked(): Promise<ServerResponse> }> {
  const responses: ServerResponse[] = []
  const { happened, until } = watched()
  const listener: RequestListener = (_, response) => {
    responses.push(response)
    happened()
  }
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async asked() {
      await until(() => responses.length > 0)
      return responses.shift() as ServerResponse
    },
  }
}

describe('simple-cdn start', options, () => {
  const config = (origin: string, server = '') => `export default {
    origins: { app: ${JSON.stringify(origin)} },
    routes: [{ match: '/*', origin: 'app' }],
    server: { host: '127.0.0.1', port: 0, ${server} },
  }`

  test('ends with 0 at SIGTERM, when what is under way is finished and everything is logged', async (t) => {
    const origin = await handOrigin(t)
    const { folder, start } = project(t, { 'cdn.config.mjs': config(origin.url) })
    const run = await start()
    assert.ok(existsSync(join(folder, '.simple-cdn/admin.json')))
    const client = await rawClient(t, run.url, get('/slow'))
    const response = await origin.asked()
    run.child.kill('SIGTERM')
    await run.until('"stopping: ')
    assert.equal(await listens(run.url), false)
    response.end('the whole answer')
    assert.match(await client.end(), /the whole answer/)

    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0)
    assert.match(stdout, /^{.*"url":"http:\/\/cdn\.test\/slow".*"complete":true.*}\n$/)
    assert.match(stderr, /"msg":"stopped"}\n$/)
    assert.equal(existsSync(join(folder, '.simple-cdn/admin.json')), false)
  })

  test('that is told to end while it starts does so as soon as it has started', async (t) => {
    const { run } = project(t, { 'cdn.config.mjs': config('http://127.0.0.1:1') })
    const started = run(['start'])
    // Before it listens.
    await started.until('"keeps up to ')
    started.child.kill('SIGTERM')
    const { code, stderr } = await started.ended
    assert.equal(code, 0)
    assert.match(stderr, /"msg":"stopped"}\n$/)
  })

  test('ends at once at a second signal', async (t) => {
    const origin = await handOrigin(t)
    const { start } = project(t, { 'cdn.config.mjs': config(origin.url) })
    const run = await start()
    await rawClient(t, run.url, get('/slow'))
    await origin.asked()
    run.child.kill('SIGINT')
    await run.until('"stopping: ')
    run.child.kill('SIGTERM')
    const { code, stderr } = await run.ended
    assert.equal(code, 128 + 15)
    assert.match(stderr, /"msg":"stopped at once"}\n$/)
  })

  test('ends when its grace is over', async (t) => {
    const origin = await handOrigin(t)
    const { start } = project(t, { 'cdn.config.mjs': config(origin.url, 'grace: 0.1') })
    const run = await start()
    const client = await rawClient(t, run.url, get('/slow'))
    await origin.asked()
    run.child.kill('SIGTERM')
    assert.equal(await client.end(), '')
    const { code, stdout } = await run.ended
    assert.equal(code, 0)
    assert.match(stdout, /"complete":false/)
  })

  test('ends with 1 after an error that nobody caught, when what is under way is finished', async (t) => {
    const { start } = project(t, {
      'cdn.config.mjs': `export default {
        origins: {
          app: async () => {
            Promise.reject(new Error('nobody cares'))
            await new Promise((resolve) => setTimeout(resolve, 100))
            return new Response('the whole answer')
          },
        },
        routes: [{ match: '/*', origin: 'app' }],
        server: { host: '127.0.0.1', port: 0 },
      }`,
    })
    const run = await start()
    const client = await rawClient(t, run.url, get('/'))
    assert.match(await client.end(), /the whole answer/)
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 1)
    assert.match(stderr, /"level":60,.*nobody cares.*"msg":"an error that nobody caught: stopping"/)
    assert.match(stdout, /"complete":true/)
  })

  test('says who has its port, and how to choose another', async (t) => {
    const other = await serve(t)
    const { run } = project(t, { 'cdn.config.mjs': config('http://127.0.0.1:1') })
    const { port } = new URL(other.url)
    const admin = new URL(other.server.adminUrl as string).port
    const [first, second] = await Promise.all([
      run(['start', '--port', port]).ended,
      project(t, {
        'cdn.config.mjs': config('http://127.0.0.1:1', `admin: { port: ${admin} }`).replace('routes:', 'disk: false, routes:'),
      }).run(['start']).ended,
    ])
    assert.equal(
      first.stderr,
      `simple-cdn: another program listens on 127.0.0.1, port ${port}; end it, or choose another with --port\n`,
    )
    assert.equal(
      second.stderr,
      `simple-cdn: another program listens on 127.0.0.1, port ${admin}; end it, or choose another with server.admin.port\n`,
    )
    assert.deepEqual([first.code, second.code], [1, 1])
  })
})
