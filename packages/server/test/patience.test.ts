// Clients that take their time, or too many of them: what each costs is bounded, and nobody else waits for it.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RawClient, rawClient, statuses } from './support/raw-client.ts'
import { nothing, serve } from './support/served.ts'

const HOST = 'Host: cdn.test\r\n'
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`
const upload = (length: number) => `POST /upload HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n`

const options = { concurrency: true, timeout: 20_000 }

/** Character by character, for as long as the connection is open. */
async function sendSlowly(client: RawClient, text: string, everyMs: number): Promise<void> {
  for (const character of text) {
    if (client.socket.closed) return
    client.send(character)
    await sleep(everyMs)
  }
}

describe('a head that does not come to its end', options, () => {
  test('is answered with 408 when its time is up', async (t) => {
    const served = await serve(t, { headTimeout: 0.1 })
    const client = await rawClient(t, served.url, 'GET / HTTP/1.1\r\nHo')
    assert.deepEqual(statuses(await client.end()), [408])
    assert.equal((await served.figures()).malformed, 0)
  })

  test('gains no time by coming in drop by drop', async (t) => {
    const served = await serve(t, { headTimeout: 0.1 })
    const client = await rawClient(t, served.url)
    const sending = sendSlowly(client, `GET / HTTP/1.1\r\nX: ${'a'.repeat(1000)}`, 20)
    assert.deepEqual(statuses(await client.end()), [408])
    client.socket.destroy()
    await sending
  })

  test('need not even have begun', async (t) => {
    const served = await serve(t, { headTimeout: 0.1 })
    const client = await rawClient(t, served.url)
    assert.deepEqual(statuses(await client.end()), [408])
  })

  test('takes nothing from what was asked before it', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { headTimeout: 0.1, answer: () => ({ body: 'late', after: slow.promise }) })
    const client = await rawClient(t, served.url, `${GET}GET / HT`)
    await sleep(300)
    slow.resolve()
    assert.deepEqual(statuses(await client.end()), [200, 408])
  })
})

describe('a body of a request', options, () => {
  test('that stops coming is answered with 408, and no origin gets it as if it were whole', async (t) => {
    const whole: string[] = []
    const served = await serve(t, { bodyTimeout: 0.1, answer: ({ target }) => ({ body: `${whole.push(target)}` }) })
    const client = await rawClient(t, served.url, `${upload(5)}hell`, { halfOpen: true })
    assert.deepEqual(statuses(await client.end()), [408])
    assert.deepEqual(whole, [])
    // Staying on does not make it another one.
    await sleep(250)
    assert.equal((await served.figures()).stalled, 1)
  })

  test('has all the time it needs as long as it comes', async (t) => {
    const served = await serve(t, { bodyTimeout: 1 })
    const client = await rawClient(t, served.url, upload(10))
    await sendSlowly(client, '0123456789', 150)
    assert.deepEqual(statuses(await client.until('POST /upload')), [200])
  })

  test('that the client keeps back, waiting for a 100, is not overdue', async (t) => {
    const decided = Promise.withResolvers<void>()
    const served = await serve(t, {
      bodyTimeout: 0.1,
      origin: { name: 'origin', fetch: () => decided.promise.then(() => ({ status: 403, fields: [], body: nothing() })) },
    })
    const client = await rawClient(t, served.url, upload(5).replace(/\r\n$/, 'Expect: 100-continue\r\n\r\n'))
    await sleep(300)
    decided.resolve()
    assert.deepEqual(statuses(await client.end()), [403])
  })

  test('that the origin is slow to take is not the fault of the client', async (t) => {
    const reading = Promise.withResolvers<void>()
    const served = await serve(t, {
      bodyTimeout: 0.4,
      origin: {
        name: 'origin',
        async fetch({ body }) {
          await reading.promise
          for await (const _ of body ?? []);
          return { status: 201, fields: [], body: nothing() }
        },
      },
    })
    const client = await rawClient(t, served.url, `${upload(1_000_000)}${'a'.repeat(1_000_000)}`)
    await sleep(900)
    reading.resolve()
    assert.deepEqual(statuses(await client.until('\r\n\r\n')), [201])
  })
})

describe('an answer', options, () => {
  test('that the origin is slow to give is not the fault of the client', async (t) => {
    const slow = Promise.withResolvers<void>()
    const served = await serve(t, { bodyTimeout: 0.1, answer: () => ({ body: 'at last', after: slow.promise }) })
    const client = await rawClient(t, served.url, GET)
    await sleep(300)
    slow.resolve()
    assert.match(await client.until('at last'), /^HTTP\/1\.1 200 /)
  })

  test('that the client does not take ends the connection, and keeps nobody else from theirs', async (t) => {
    let given = 0
    const served = await serve(t, {
      bodyTimeout: 0.3,
      answer: ({ target }) => (target === '/large' ? { body: endless((bytes) => (given += bytes)) } : { body: 'small' }),
    })
    const reluctant = await rawClient(t, served.url, GET.replace('/', '/large'))
    reluctant.socket.pause()
    await served.until(() => served.origin.requests.length === 1)
    const other = await rawClient(t, served.url, GET)
    assert.match(await other.until('small'), /^HTTP\/1\.1 200 /)

    await served.until(() => served.entries.some(({ complete }) => !complete))
    assert.ok(given < 64 * 1024 * 1024, `${given} bytes were taken from the origin for nobody`)
    assert.equal((await served.figures()).stalled, 1)
  })
})

async function* endless(given: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(64 * 1024)
  for (;;) {
    given(piece.byteLength)
    yield piece
  }
}

describe('a connection', options, () => {
  test('is closed when nothing has been asked on it for too long', async (t) => {
    const served = await serve(t, { idleTimeout: 0.1 })
    const client = await rawClient(t, served.url, GET)
    assert.deepEqual(statuses(await client.end()), [200])
  })

  test('more than there may be is told so, and one fewer makes room again', async (t) => {
    const served = await serve(t, { maxConnections: 2 })
    const [first] = await connections(t, served.url, 2)
    const third = await rawClient(t, served.url, GET)
    const refused = await third.end()
    assert.deepEqual(statuses(refused), [503])
    assert.match(refused, /\r\nRetry-After: 1\r\n/)
    assert.deepEqual(served.origin.requests, [])

    first?.socket.end()
    while ((await served.figures()).connections > 1);
    const fourth = await rawClient(t, served.url, GET)
    assert.deepEqual(statuses(await fourth.until('GET /')), [200])
    assert.equal((await served.figures()).refused, 1)
  })

  test('far more than there may be is dropped without a word', async (t) => {
    const served = await serve(t, { maxConnections: 1 })
    await connections(t, served.url, 1 + 128)
    const dropped = await rawClient(t, served.url, GET)
    assert.equal(await dropped.end(), '')
    const figures = await served.figures()
    assert.deepEqual([figures.connections, figures.dropped], [129, 1])
  })
})

/** They are accepted in this order. */
async function connections(t: TestContext, url: string, count: number): Promise<RawClient[]> {
  const made: RawClient[] = []
  while (made.length < count) made.push(await rawClient(t, url))
  return made
}
