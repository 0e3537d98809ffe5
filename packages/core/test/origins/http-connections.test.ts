// How an HTTP origin uses its connections: again, never twice at a time, not more than it may, and no longer than somebody waits.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { failure, get, HELLO, pieces, plain, site } from '../support/http-site.ts'
import type { RawRequest } from '../support/raw-origin.ts'

describe('a connection that has been used', () => {
  it('is used again', async (t) => {
    const { raw, origin } = await site(t, HELLO, { connections: 1 })
    for (let times = 0; times < 3; times++) assert.equal((await get(origin)).text, 'hello')
    assert.equal(raw.accepted(), 1)
  })

  it('is not used again when bytes came after the end of the response, and they answer nothing', async (t) => {
    const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
    const rows: readonly (readonly [what: string, answer: string])[] = [
      ['another response', HELLO + evil],
      ['anything', `${HELLO}xxxx`],
      ['the content of a 204', `HTTP/1.1 204 No Content\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`],
      ['the content of a 304', `HTTP/1.1 304 Not Modified\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`],
    ]
    for (const [what, answer] of rows) {
      let answered = 0
      const { raw, origin } = await site(t, ({ socket }) => socket.write(answered++ === 0 ? answer : HELLO))
      await get(origin)
      assert.equal((await get(origin)).text, 'hello', what)
      assert.equal(raw.accepted(), 2, what)
    }
  })

  it('is not used again after a response to HEAD that has a body', async (t) => {
    const { origin } = await site(t, ({ head, socket }) =>
      socket.write(head.startsWith('HEAD') ? `${HELLO}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : HELLO),
    )
    await get(origin, { method: 'HEAD' })
    assert.equal((await get(origin)).text, 'hello')
  })

  it('is not taken for a response when bytes come while nobody has asked', async (t) => {
    const { raw, origin } = await site(t, ({ socket }) => {
      socket.write(HELLO)
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 20)
    })
    await get(origin)
    await raw.until(() => raw.open() === 0)
    assert.equal((await get(origin)).text, 'hello')
  })

  it('makes nothing fail when the origin closes it between requests', async (t) => {
    const { raw, origin } = await site(t, ({ socket }) => socket.write(HELLO, () => setTimeout(() => socket.end(), 20)))
    await get(origin)
    await raw.until(() => raw.open() === 0)
    assert.equal((await get(origin)).text, 'hello')
    assert.equal(raw.accepted(), 2)
  })
})

describe('a used connection that turns out to be closed when the next request is on it', () => {
  /** Answers the first request of each connection, and leaves at the second. */
  const once = (leave: (request: RawRequest) => unknown) => (request: RawRequest) =>
    request.nth === 0 ? request.socket.write(HELLO) : leave(request)
  const ends = once(({ socket }) => socket.end())

  for (const [how, leave] of [
    ['ended', ends],
    ['reset', once(({ socket }) => socket.resetAndDestroy())],
  ] as const) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT']) {
      it(`does not make ${method} fail: it is repeated on a new one (${how})`, async (t) => {
        const { raw, origin } = await site(t, leave, { connections: 1 })
        await get(origin)
        assert.equal((await get(origin, { method })).status, 200)
        assert.deepEqual(
          raw.heads.map((head) => head.split(' ', 1)[0]),
          ['GET', method, method],
        )
        assert.equal(raw.accepted(), 2)
      })
    }
  }

  it('makes a request fail that may not be repeated', async (t) => {
    for (const method of ['POST', 'PATCH', 'M-SEARCH']) {
      const { raw, origin } = await site(t, ends, { connections: 1 })
      await get(origin)
      assert.equal(await failure(get(origin, { method })), 'CDN_ORIGIN_UNREACHABLE', method)
      assert.equal(raw.heads.length, 2, method)
    }
  })

  it('makes a request fail whose body has been read', async (t) => {
    const { raw, origin } = await site(t, ends, { connections: 1 })
    await get(origin)
    // This one could be read twice; what comes from a client cannot.
    const body = { [Symbol.asyncIterator]: () => pieces('hello') }
    assert.equal(await failure(get(origin, { method: 'PUT', fields: ['Content-Length', '5'], body })), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(raw.heads.length, 2)
  })

  it('makes a request fail when part of a response had come', async (t) => {
    const { raw, origin } = await site(
      t,
      once(({ socket }) => socket.end('H')),
      { connections: 1 },
    )
    await get(origin)
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_PROTOCOL')
    assert.equal(raw.heads.length, 2)
  })

  it('makes a request fail that has failed again', async (t) => {
    let asked = 0
    const { raw, origin } = await site(t, ({ socket }) => (asked++ === 0 ? socket.write(HELLO) : socket.end()), {
      connections: 1,
    })
    await get(origin)
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(raw.heads.length, 3)
  })

  it('does not make the head come later than in time', async (t) => {
    let asked = 0
    const { raw, origin } = await site(
      t,
      ({ socket }) => {
        asked++
        if (asked === 1) socket.write(HELLO)
        if (asked === 2) setTimeout(() => socket.end(), 300)
      },
      { connections: 1, headTimeoutMs: 400 },
    )
    await get(origin)
    const start = performance.now()
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_TIMEOUT')
    assert.ok(performance.now() - start < 650)
    assert.equal(raw.heads.length, 3)
  })
})

describe('more requests than connections', () => {
  it('wait for their turn, and beyond that fail at once', async (t) => {
    const held: RawRequest[] = []
    const { raw, origin } = await site(t, (request) => held.push(request), { connections: 2 })
    const asked = Array.from({ length: 10 }, () => get(origin))
    await raw.until(() => held.length === 2)
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')

    for (let answered = 0; answered < 10; answered++) {
      await raw.until(() => held.length > answered)
      held[answered]?.socket.write(HELLO)
    }
    assert.deepEqual(
      (await Promise.all(asked)).map(({ text }) => text),
      Array(10).fill('hello'),
    )
    assert.equal(raw.accepted(), 2)
  })

  it('wait as long as bodies are under way, too', async (t) => {
    const { raw, origin } = await site(t, HELLO, { connections: 1 })
    const first = await origin.fetch(plain, new AbortController().signal)
    const second = get(origin)
    for await (const _ of first.body) assert.equal(raw.heads.length, 1)
    assert.equal((await second).text, 'hello')
    assert.equal(raw.accepted(), 1)
  })

  it('leave the queue at once when their client goes, and cost no connection', async (t) => {
    const held: RawRequest[] = []
    const { raw, origin } = await site(t, (request) => held.push(request), { connections: 1 })
    const first = get(origin)
    await raw.until(() => held.length === 1)
    for (let times = 0; times < 20; times++) {
      const client = new AbortController()
      const waiting = failure(get(origin, {}, client.signal))
      client.abort()
      assert.equal(await waiting, 'CDN_CLIENT_GONE')
    }
    const last = get(origin)
    held[0]?.socket.write(HELLO)
    await raw.until(() => held.length === 2)
    held[1]?.socket.write(HELLO)
    assert.deepEqual([(await first).text, (await last).text], ['hello', 'hello'])
    assert.equal(raw.accepted(), 1)
  })

  it('do not wait longer than for a head, be there a body or not', async (t) => {
    const { raw, origin } = await site(t, '', { connections: 1, headTimeoutMs: 100 })
    const upload = { method: 'POST', fields: ['Content-Length', '5'], body: pieces('hello') }
    assert.deepEqual(await Promise.all([get(origin), get(origin), get(origin, upload)].map(failure)), [
      'CDN_ORIGIN_TIMEOUT',
      'CDN_ORIGIN_TIMEOUT',
      'CDN_ORIGIN_TIMEOUT',
    ])
    // The second may get the connection in the very moment in which both should give up, and not the third as well.
    assert.ok(raw.heads.length < 3, `${raw.heads.length} were asked, one after the other`)
  })

  it('all fail when the origin is closed', async (t) => {
    const { raw, origin } = await site(t, '', { connections: 1 })
    const asked = Array.from({ length: 5 }, () => failure(get(origin)))
    await raw.until(() => raw.heads.length === 1)
    await origin.close?.()
    assert.deepEqual(await Promise.all(asked), Array(5).fill('CDN_ORIGIN_UNREACHABLE'))
  })
})

describe('a client that goes', () => {
  it('has not asked when it had gone before', async (t) => {
    const { raw, origin } = await site(t, HELLO)
    assert.equal(await failure(get(origin, {}, AbortSignal.abort())), 'CDN_CLIENT_GONE')
    assert.equal(raw.accepted(), 0)
  })

  it('releases the connection while it waits for the head', async (t) => {
    const { raw, origin } = await site(t, '')
    const client = new AbortController()
    const asked = failure(get(origin, {}, client.signal))
    await raw.until(() => raw.heads.length === 1)
    client.abort()
    assert.equal(await asked, 'CDN_CLIENT_GONE')
    await raw.until(() => raw.open() === 0)
  })

  it('releases the connection in the middle of a body', async (t) => {
    const { raw, origin } = await site(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', { connections: 1 })
    const { body } = await origin.fetch(plain, new AbortController().signal)
    for await (const _ of body) break
    await raw.until(() => raw.open() === 0)
    assert.equal((await origin.fetch(plain, new AbortController().signal)).status, 200)
  })

  it('wakes who waits for more of the body', async (t) => {
    const { origin } = await site(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n')
    const { body } = await origin.fetch(plain, new AbortController().signal)
    const reader = body[Symbol.asyncIterator]()
    const next = reader.next()
    await reader.return?.()
    await assert.rejects(next, { code: 'CDN_CLIENT_GONE' })
  })

  it('leaves the connection to others when the response was all there', async (t) => {
    const { raw, origin } = await site(t, HELLO)
    const { body } = await origin.fetch(plain, new AbortController().signal)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await body[Symbol.asyncIterator]().return?.()
    assert.equal((await get(origin)).text, 'hello')
    assert.equal(raw.accepted(), 1)
  })
})

describe('a slow reader', () => {
  it('makes the origin wait, and gets everything', async (t) => {
    const total = 32 * 1024 * 1024
    const piece = Buffer.alloc(64 * 1024)
    let sent = 0
    const { origin } = await site(t, ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const send = (): void => {
        sent += piece.byteLength
        socket.write(piece, () => sent < total && send())
      }
      send()
    })
    const { body } = await origin.fetch(plain, new AbortController().signal)
    await new Promise((resolve) => setTimeout(resolve, 200))
    // What has left is in the kernel's buffers, some megabytes, and in ours, a quarter of one.
    assert.ok(sent < total / 2, `${sent} bytes have left`)
    let seen = 0
    for await (const chunk of body) seen += chunk.byteLength
    assert.equal(seen, total)
  })

  it('is not what takes too long in the middle of a body', async (t) => {
    const bytes = 8 * 1024 * 1024
    const { origin } = await site(
      t,
      ({ socket }) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
        socket.write(Buffer.alloc(bytes))
      },
      { bodyTimeoutMs: 100 },
    )
    const { body } = await origin.fetch(plain, new AbortController().signal)
    await new Promise((resolve) => setTimeout(resolve, 250))
    let seen = 0
    for await (const chunk of body) seen += chunk.byteLength
    assert.equal(seen, bytes)
  })
})
