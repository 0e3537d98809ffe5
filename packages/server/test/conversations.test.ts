// Several requests on one connection, answers before a body has come, clients that end their side, clients that go on sending.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { rawClient, statuses } from './support/raw-client.ts'
import { inTwo, nothing, serve } from './support/served.ts'

const HOST = 'Host: cdn.test\r\n'
const options = { concurrency: true, timeout: 20_000 }
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`
const post = (target: string, body: string, fields = '') =>
  `POST ${target} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n${fields}\r\n${body}`

/** The bodies of answers that say what was asked for, in the order in which they came. */
function answers(received: string): string[] {
  return [...received.matchAll(/\r\n\r\n([A-Z]+ \/[a-z]*)/g)].map(([, asked = '']) => asked)
}

describe('requests on one connection', options, () => {
  test('are answered in their order, whatever the order in which the origin answers', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, {
      answer: ({ target }) => ({ body: `GET ${target}`, ...(target === '/slow' ? { after: slow.promise } : {}) }),
    })
    const client = await rawClient(t, served.url, get('/slow') + get('/fast') + get('/last'))
    await served.until(() => served.origin.requests.length === 3)
    assert.equal(client.received(), '')
    slow.resolve()
    assert.deepEqual(answers(await client.until('GET /last')), ['GET /slow', 'GET /fast', 'GET /last'])
  })

  test('wait for each other when one of them changes something', async (t) => {
    const change = Promise.withResolvers<void>()
    const served = await serve(t, {
      answer: ({ method, target }) => ({ body: `${method} ${target}`, ...(method === 'POST' ? { after: change.promise } : {}) }),
    })
    const asked = () => served.origin.requests.map(({ method, target }) => `${method} ${target}`)
    const client = await rawClient(t, served.url, get('/before') + post('/change', 'hello') + get('/after') + get('/last'))
    await client.until('GET /before')
    await served.until(() => asked().includes('POST /change'))
    assert.deepEqual(asked(), ['GET /before', 'POST /change'])
    change.resolve()
    assert.deepEqual(answers(await client.until('GET /last')), ['GET /before', 'POST /change', 'GET /after', 'GET /last'])
  })

  test('do not get their turn any more when the client has gone, or has been told that it is the last answer', async (t) => {
    const asked: string[] = []
    const refused = Promise.withResolvers<void>()
    const served = await serve(t, {
      origin: {
        name: 'origin',
        async fetch({ target }, signal) {
          asked.push(target)
          const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
          await Promise.race([gone, ...(target === '/unwanted' ? [refused.promise] : [])])
          return { status: 403, fields: ['Content-Length', '0'], body: nothing() }
        },
      },
    })
    const leaving = await rawClient(t, served.url, post('/change', 'hello') + get('/after'))
    const told = await rawClient(t, served.url, post('/unwanted', 'hello', 'Expect: 100-continue\r\n') + get('/after'))
    await served.turns()
    leaving.reset()
    refused.resolve()
    assert.deepEqual(statuses(await told.end()), [403])
    await served.until(() => served.entries.length === 2)
    await served.turns()
    assert.deepEqual(asked.toSorted(), ['/change', '/unwanted'])
  })

  const malformed: readonly [what: string, text: string][] = [
    ['the parser cannot go on after', get('/bad', 'X : a\r\n')],
    ['only we find malformed', get('/bad', HOST)],
    ['has a malformed body', `POST /bad HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`],
    ['is for a tunnel', `CONNECT cdn.test:443 HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\n`],
  ]
  for (const [what, text] of malformed) {
    test(`are answered when they came before one that ${what}; those after it reach no origin`, async (t) => {
      const slow = Promise.withResolvers<void>()
      const served = await serve(t, {
        answer: ({ target }) => ({ body: `GET ${target}`, ...(target === '/slow' ? { after: slow.promise } : {}) }),
      })
      const client = await rawClient(t, served.url, get('/slow') + get('/fast') + text + get('/smuggled'))
      await served.until(() => served.origin.requests.length >= 2)
      slow.resolve()
      const received = await client.end()
      assert.deepEqual(statuses(received).slice(0, 2), [200, 200])
      assert.match(received, /HTTP\/1\.1 (400|501) .*\r\n(.+\r\n)*Connection: close\r\n/)
      assert.deepEqual(answers(received), ['GET /slow', 'GET /fast'])
      assert.ok(!served.origin.requests.some(({ target }) => target === '/smuggled'))
    })
  }

  test('end with the one that says so', async (t) => {
    for (const last of [get('/last', 'Connection: close\r\n'), `GET /last HTTP/1.0\r\n${HOST}\r\n`]) {
      const served = await serve(t)
      const client = await rawClient(t, served.url, last + get('/smuggled'))
      assert.deepEqual(answers(await client.end()), ['GET /last'])
      assert.deepEqual(
        served.origin.requests.map(({ target }) => target),
        ['/last'],
      )
      assert.equal((await served.figures()).malformed, 0)
    }
  })

  test('are refused when there are far too many at a time, and the connection ends', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: ({ target }) => ({ body: `GET ${target}`, after: slow.promise }) })
    const flood = Array.from({ length: 500 }, (_, at) => get(`/${at}`)).join('')
    const client = await rawClient(t, served.url, flood)
    await served.until(() => served.origin.requests.length === 128)
    slow.resolve()
    assert.deepEqual(statuses(await client.end()), [...Array(128).fill(200), 503])
    assert.equal(served.origin.requests.length, 128)
    assert.equal((await served.figures()).refused, 1)
  })
})

test('a body that turns out malformed when its answer has begun ends the connection in the middle', options, async (t) => {
  const served = await serve(t, {
    origin: {
      name: 'origin',
      async fetch(_, signal) {
        const gone = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return { status: 200, fields: [], body: inTwo(gone) }
      },
    },
  })
  const client = await rawClient(t, served.url, `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)
  await client.until('first')
  client.send('xyz\r\n')
  const received = await client.end()
  assert.deepEqual(statuses(received), [200])
  assert.ok(!received.endsWith('0\r\n\r\n'))
  await served.until(() => served.entries.length === 1)
  assert.equal(served.entries[0]?.complete, false)
})

describe('a client that asks whether it may send its body', options, () => {
  const asking = (length: number) => `POST /upload HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`

  test('may, when the origin wants it, and may ask for more afterwards', async (t) => {
    const served = await serve(t)
    const client = await rawClient(t, served.url, asking(5))
    assert.equal(await client.until('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n')
    client.send('hello')
    await client.until('POST /upload')
    client.send(get('/next'))
    assert.deepEqual(statuses(await client.until('GET /next')), [100, 200, 200])
  })

  test('may not, when it is refused, and nothing after it counts', async (t) => {
    const served = await serve(t, { cache: { maxRequestBody: 4 } })
    const client = await rawClient(t, served.url, asking(5))
    await client.until('\r\n\r\n')
    client.send(`hello${get('/smuggled')}`)
    const received = await client.end()
    assert.deepEqual(statuses(received), [413])
    assert.match(received, /\r\nConnection: close\r\n/)
    assert.deepEqual(served.origin.requests, [])
  })

  test('is not told so in HTTP/1.0, which has no such thing', async (t) => {
    const served = await serve(t)
    const client = await rawClient(t, served.url, `${asking(5).replace('/1.1', '/1.0')}hello`)
    assert.deepEqual(statuses(await client.end()), [200])
  })
})

describe('a client that ends its side', options, () => {
  test('gets the answers to everything it asked before', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { answer: ({ target }) => ({ body: `GET ${target}`, after: slow.promise }) })
    const client = await rawClient(t, served.url, get('/a') + get('/b'), { halfOpen: true })
    client.socket.end()
    await served.until(() => served.origin.requests.length === 2)
    await served.turns()
    slow.resolve()
    assert.deepEqual(answers(await client.end()), ['GET /a', 'GET /b'])
  })

  test('in the middle of a head or a body is told that something is missing', async (t) => {
    for (const text of ['GET / HTTP/1.1\r\nHo', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhell`]) {
      const whole: string[] = []
      const served = await serve(t, { answer: ({ target }) => ({ body: `${whole.push(target)}` }) })
      const client = await rawClient(t, served.url, text, { halfOpen: true })
      client.socket.end()
      assert.deepEqual(statuses(await client.end()), [400])
      assert.deepEqual(whole, [])
    }
  })

  test('without having asked anything gets nothing', async (t) => {
    const served = await serve(t)
    const client = await rawClient(t, served.url, '', { halfOpen: true })
    client.socket.end()
    assert.equal(await client.end(), '')
  })
})

/** Whether a connection still takes what is sent. */
function taken(socket: Socket, text: string): Promise<boolean> {
  return new Promise((resolve) => {
    socket.write(text, (error) => resolve(!error))
  })
}

describe('a client that goes on sending after it has been refused', { timeout: 20_000 }, () => {
  const refusals: readonly [why: string, text: string][] = [
    ['for its head', 'POST / HTTP/1.1\r\nHost: not a host\r\nContent-Length: 1000000\r\n\r\n'],
    ['by the parser', `POST / HTTP/1.1\r\nX : a\r\n${HOST}Content-Length: 1000000\r\n\r\n`],
    ['before it might send its body', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`],
  ]
  for (const [why, text] of refusals) {
    test(`${why} still gets to see the answer`, async (t) => {
      const served = await serve(t, { cache: { maxRequestBody: 999_999 } })
      const client = await rawClient(t, served.url, text, { halfOpen: true })
      assert.match(await client.end(), /^HTTP\/1\.1 4\d\d /)
      // To a connection that is closed, it could not.
      for (let sent = 0; sent < 1_000_000; sent += 100_000) {
        assert.equal(await taken(client.socket, 'a'.repeat(100_000)), true)
        await served.turns()
      }
      client.socket.end()
      if (!client.socket.closed) await once(client.socket, 'close')
    })

    test(`${why} is not listened to for ever`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const served = await serve(t, { cache: { maxRequestBody: 999_999 } })
      const client = await rawClient(t, served.url, text, { halfOpen: true })
      assert.match(await client.end(), /^HTTP\/1\.1 4\d\d /)
      t.mock.timers.tick(5_000)
      t.mock.timers.reset()
      while (await taken(client.socket, 'a')) await setImmediate()
    })
  }
})
