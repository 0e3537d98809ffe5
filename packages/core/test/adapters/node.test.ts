// The cache behind node:http, byte by byte: between an origin and a client on bare sockets.
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as soon } from 'node:timers/promises'
import type { CdnConfig, CdnResponse, Origin, OriginResponse } from '@simple-cdn/core'
import { toMiddleware, toNodeHandler } from '@simple-cdn/core/node'
import { rawClient } from '../support/raw-client.ts'
import { listening, type RawRequest, rawOrigin } from '../support/raw-origin.ts'
import { type Served, served } from '../support/served.ts'

type Answer = string | ((request: RawRequest) => unknown)

/** The cache before an origin on a bare socket; under /plain/ it does not cache. */
async function site(t: TestContext, answer: Answer, config: Partial<CdnConfig> = {}) {
  const raw = await rawOrigin(answer)
  t.after(() => raw.close())
  const routes = [
    { match: '/plain/*', origin: 'app', cache: false },
    { match: '/*', origin: 'app' },
  ] as const
  return { raw, ...(await served(t, { origins: { app: raw.url }, routes, ...config } as CdnConfig)) }
}

/** The same before an origin that is a function. */
function before(t: TestContext, fetch: Origin['fetch'], config: Partial<CdnConfig> = {}): Promise<Served> {
  return served(t, { origins: { app: { name: 'app', fetch } }, routes: [{ match: '/*', origin: 'app' }], ...config } as CdnConfig)
}

/** One request on a connection of its own; everything that came until its end. */
async function ask(port: number, text: string): Promise<string> {
  const client = await rawClient(port, text.replace('\r\n', '\r\nConnection: close\r\n'))
  return client.end()
}

const GET = 'GET / HTTP/1.1\r\nHost: site.test\r\n\r\n'
const HELLO = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello'
const CHUNKED = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'

function bodyOf(received: string): string {
  return received.slice(received.indexOf('\r\n\r\n') + 4)
}

/** The lines of a head that have one of these names, in order. */
function lines(received: string, ...names: string[]): readonly string[] {
  const head = received.slice(0, received.indexOf('\r\n\r\n'))
  return head.split('\r\n').filter((line) => names.includes(line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase()))
}

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

describe('fields', () => {
  it('go to the origin as they came: spelled the same, repeated, in order', async (t) => {
    const { raw, port } = await site(t, HELLO)
    await ask(
      port,
      'GET /plain/ HTTP/1.1\r\nhOST: site.test\r\nX-b: 1\r\nx-A: \xe9\r\nX-B: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n',
    )
    assert.deepEqual(lines(raw.heads[0] ?? '', 'x-a', 'x-b', 'cookie'), [
      'X-b: 1',
      'x-A: \xe9',
      'X-B: 2',
      'Cookie: a=1',
      'Cookie: b=2',
    ])
  })

  it('go to the client as they came, from the origin and from the store', async (t) => {
    const odd = 'set-COOKIE: a=1\r\nX-b: \xe9\r\nX-B: 2\r\nSet-Cookie: b=2\r\nCache-Control: public, max-age=60'
    const { port } = await site(t, HELLO.replace('Cache-Control: max-age=60', odd))
    for (const path of ['/plain/', '/', '/']) {
      const received = await ask(port, GET.replace('/', path))
      assert.deepEqual(lines(received, 'set-cookie', 'x-b', 'cache-control'), odd.split('\r\n'), path)
    }
  })

  it('that are about a connection stay on it, in both directions', async (t) => {
    const own = 'Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=60\r\nProxy-Connection: keep-alive\r\nTE: gzip'
    const { raw, port } = await site(t, HELLO.replace('\r\n', `\r\n${own}\r\nUpgrade: h2c\r\n`).replace('keep-alive, ', ''))
    for (const path of ['/plain/', '/', '/']) {
      const client = await rawClient(port, GET.replace('/', path).replace('\r\n\r\n', `\r\n${own}\r\n\r\n`))
      const received = await client.until('hello')
      client.reset()
      assert.deepEqual(lines(received, 'x-hop', 'proxy-connection', 'te', 'upgrade', 'transfer-encoding'), [], path)
      assert.deepEqual(lines(received, 'connection', 'keep-alive'), ['Connection: keep-alive', 'Keep-Alive: timeout=5'], path)
    }
    assert.equal(raw.heads.length, 2)
    for (const head of raw.heads) {
      assert.deepEqual(lines(head, 'x-hop', 'proxy-connection', 'te', 'keep-alive'), [])
      assert.deepEqual(lines(head, 'connection'), ['connection: keep-alive'])
    }
  })
})

describe('the frame of a response', () => {
  it('is a length where there is one, and chunks where there is none', async (t) => {
    for (const [answer, frame, body] of [
      [HELLO, 'Content-Length: 5', 'hello'],
      [CHUNKED, 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
    ] as const) {
      const { port } = await site(t, answer)
      for (const path of ['/plain/', '/']) {
        const received = await ask(port, GET.replace('/', path))
        assert.deepEqual([lines(received, 'content-length', 'transfer-encoding'), bodyOf(received)], [[frame], body], path)
      }
      // The length of what is stored is known.
      assert.deepEqual(lines(await ask(port, GET), 'content-length', 'transfer-encoding'), ['Content-Length: 5'])
    }
  })

  for (const length of [300, 4096, 4097])
    it(`of ${length} bytes is what came, byte for byte, whatever the bytes`, async (t) => {
      const bytes = String.fromCharCode(...Array.from({ length }, (_, at) => 255 - (at % 256)))
      const { port } = await site(t, `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: ${length}\r\n\r\n${bytes}`)
      for (const range of ['', '', 'Range: bytes=1-\r\n']) {
        const received = bodyOf(await ask(port, GET.replace('\r\n\r\n', `\r\n${range}\r\n`)))
        assert.equal(received, range === '' ? bytes : bytes.slice(1))
      }
    })

  it('may be long in coming: the head does not wait for it', async (t) => {
    const { promise: more, resolve: goOn } = Promise.withResolvers<void>()
    const { port } = await before(t, async () => ({
      status: 200,
      fields: ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-store'],
      body: (async function* () {
        await more
        yield Buffer.from('data: now')
      })(),
    }))
    const client = await rawClient(port, GET)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 OK\r\n/)
    goOn()
    assert.match(await client.until('data: now'), /data: now/)
  })

  it('that is near goes out in one piece with its head, however long the store takes to read it', async (t) => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>()
    async function* read(): AsyncGenerator<Uint8Array> {
      await opened
      yield Buffer.from('hello')
    }
    const body = Object.assign(read(), { isNear: true })
    const answer = { status: 200, fields: ['Content-Length', '5'], body, finished: () => undefined }
    const server = createServer(toNodeHandler({ handle: () => answer } as unknown as Parameters<typeof toNodeHandler>[0]))
    t.after(() => server.close())
    const client = await rawClient(await listening(server), GET)
    for (let turn = 0; turn < 50; turn++) await soon()
    assert.equal(client.received(), '')
    open()
    assert.match(await client.until('hello'), /^HTTP\/1\.1 200 OK\r\n/)
    client.socket.destroy()
  })

  it('is the end of the connection for a client of HTTP/1.0, which knows no chunks', async (t) => {
    const { port } = await site(t, CHUNKED)
    const received = await (await rawClient(port, 'GET /plain/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')).end()
    assert.deepEqual(lines(received, 'content-length', 'transfer-encoding', 'connection'), ['Connection: close'])
    assert.equal(bodyOf(received), 'hello')
  })

  it('to HEAD is that of GET, without the body', async (t) => {
    for (const [answer, frame] of [
      [HELLO, ['Content-Length: 5']],
      [CHUNKED, []],
    ] as const) {
      const { port } = await site(t, ({ head, socket }) => {
        socket.write(head.startsWith('HEAD') ? answer.slice(0, answer.indexOf('\r\n\r\n') + 4) : answer)
      })
      const HEAD = GET.replace('GET', 'HEAD')
      const missed = await ask(port, HEAD)
      assert.equal(bodyOf(missed), '')
      assert.deepEqual(lines(missed, 'content-length'), frame)
      await ask(port, GET)
      const hit = await ask(port, HEAD)
      assert.match(hit, /^HTTP\/1\.1 200 /)
      assert.deepEqual([lines(hit, 'content-length'), bodyOf(hit)], [['Content-Length: 5'], ''])
    }
  })

  it('ends with the head where there is no content, and the connection goes on', async (t) => {
    const rows: readonly (readonly [what: string, answer: string, request: string, status: number])[] = [
      ['204', 'HTTP/1.1 204 No Content\r\n\r\n', '', 204],
      ['204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', '', 204],
      ['204 with content', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello', '', 204],
      ['304', HELLO.replace('\r\n', '\r\nETag: "a"\r\n'), 'If-None-Match: "a"\r\n', 304],
      ['304 of the origin', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n', 'If-None-Match: "a"\r\n', 304],
    ]
    for (const [what, answer, request, status] of rows) {
      const { port } = await site(t, answer)
      for (const path of status === 304 && !what.includes('origin') ? ['/', '/'] : ['/plain/', '/plain/']) {
        const client = await rawClient(port, GET.replace('GET /', `GET ${path}`).replace('\r\n', `\r\n${request}`))
        await client.until('\r\n\r\n')
        client.send(GET.replace('GET /', `GET ${path}`).replace('\r\n', `\r\nConnection: close\r\n${request}`))
        const received = await client.end()
        const [first = '', second = '', rest] = received.split(/(?=HTTP\/1\.1 )/)
        for (const response of [first, second]) {
          assert.match(response, new RegExp(`^HTTP/1\\.1 ${status} `), what)
          assert.equal(bodyOf(response), '', what)
          assert.deepEqual(lines(response, 'transfer-encoding', ...(status === 204 ? ['content-length'] : [])), [], what)
        }
        assert.equal(rest, undefined, what)
      }
    }
  })

  it('of a part is its length', async (t) => {
    const { port } = await site(t, HELLO)
    await ask(port, GET)
    const received = await ask(port, GET.replace('\r\n', '\r\nRange: bytes=1-3\r\n'))
    assert.match(received, /^HTTP\/1\.1 206 /)
    assert.deepEqual(lines(received, 'content-length', 'content-range'), ['Content-Range: bytes 1-3/5', 'Content-Length: 3'])
    assert.equal(bodyOf(received), 'ell')
  })

  it('fits, however many requests are sent at once', async (t) => {
    const { port, logged } = await site(t, ({ head, socket }) => socket.write(head.includes('/b') ? CHUNKED : HELLO))
    const client = await rawClient(port, ['/a', '/b', '/a', '/plain/b'].map((path) => GET.replace('/', path)).join(''))
    client.send(GET.replace('/', '/a').replace('\r\n', '\r\nConnection: close\r\n'))
    const bodies = (await client.end()).split('HTTP/1.1 200 OK').slice(1).map(bodyOf)
    assert.deepEqual(bodies, ['hello', '5\r\nhello\r\n0\r\n\r\n', 'hello', '5\r\nhello\r\n0\r\n\r\n', 'hello'])
    assert.deepEqual(
      (await logged(5)).map(({ bytes, complete }) => [bytes, complete]),
      Array(5).fill([5, true]),
    )
  })
})

describe('an origin that stops in the middle of a body', () => {
  const rows: readonly (readonly [what: string, answer: string, leave: 'end' | 'resetAndDestroy'])[] = [
    ['a length, and the connection ends', HELLO.replace('5', '10'), 'end'],
    ['a length, and the connection is reset', HELLO.replace('5', '10'), 'resetAndDestroy'],
    ['chunks, and the connection ends', CHUNKED.slice(0, -5), 'end'],
    ['chunks, and the connection is reset', CHUNKED.slice(0, -5), 'resetAndDestroy'],
  ]
  for (const path of ['/', '/plain/']) {
    for (const [what, answer, leave] of rows) {
      it(`makes the client's message end early, and nothing is stored: ${what}, ${path}`, async (t) => {
        const { raw, port, logged, cdn } = await site(t, ({ socket }) =>
          socket.write(answer, () => setTimeout(() => socket[leave](), 20)),
        )
        const client = await rawClient(port, GET.replace('/', path))
        const received = await client.end()
        assert.match(received, /^HTTP\/1\.1 200 OK\r\n/)
        assert.ok(!received.endsWith('0\r\n\r\n') && received.endsWith('hello') !== received.endsWith('hello\r\n'), received)
        const [entry] = await logged(1)
        assert.deepEqual([entry?.status, entry?.bytes, entry?.complete, entry?.cache.stored], [200, 5, false, false])
        assert.equal(entry?.error?.code, 'CDN_ORIGIN_BROKE_OFF')
        assert.equal(cdn.stats().store.responses, 0)
        await ask(port, GET.replace('/', path))
        assert.equal(raw.heads.length, 2)
      })
    }
  }

  it('gets the client a 504 when it never begins, and its silence a message that ends early', async (t) => {
    const origins = (url: string) => ({ app: { url, headTimeout: 0.1, bodyTimeout: 0.1 } })
    const silent = await rawOrigin(({ head, socket }) => head.includes('/body') && socket.write(HELLO.replace('5', '10')))
    t.after(() => silent.close())
    const { port, logged } = await site(t, '', { origins: origins(silent.url) })
    const late = await ask(port, GET)
    assert.match(late, /^HTTP\/1\.1 504 /)
    assert.match(late, /CDN_ORIGIN_TIMEOUT/)
    assert.match(await ask(port, GET.replace('/', '/body')), /\r\n\r\nhello$/)
    assert.deepEqual(
      (await logged(2)).map(({ status, complete, error }) => [status, complete, error?.code]),
      [
        [504, true, 'CDN_ORIGIN_TIMEOUT'],
        [200, false, 'CDN_ORIGIN_TIMEOUT'],
      ],
    )
  })
})

describe('a client that goes', { timeout: 20_000 }, () => {
  it('in the middle of a response, releases the origin, and the log says how far it got', async (t) => {
    const { raw, port, logged } = await site(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    const client = await rawClient(port, GET.replace('/', '/plain/'))
    await client.until('hello')
    client.reset()
    const [entry] = await logged(1)
    assert.deepEqual([entry?.status, entry?.bytes, entry?.complete], [200, 5, false])
    await raw.until(() => raw.open() === 0)
  })

  it('before the response, releases the origin', async (t) => {
    for (const path of ['/', '/plain/']) {
      const { raw, port, logged } = await site(t, '')
      const client = await rawClient(port, GET.replace('/', path))
      await raw.until(() => raw.heads.length === 1)
      client.reset()
      const [entry] = await logged(1)
      assert.deepEqual([entry?.bytes, entry?.complete, entry?.error?.code], [0, false, 'CDN_CLIENT_GONE'])
      await raw.until(() => raw.open() === 0)
    }
  })

  it('in the middle of a large response from memory, has not been sent all of it', async (t) => {
    const size = 32 * 1024 * 1024
    const { port, logged, cdn } = await before(t, async () => ({
      status: 200,
      fields: ['Cache-Control', 'max-age=60', 'Content-Length', String(size)],
      body: pieces('x'.repeat(size)),
    }))
    await ask(port, GET)
    assert.equal(cdn.stats().store.responses, 1)
    const client = await rawClient(port, GET)
    await client.until('x')
    client.socket.pause()
    await new Promise((resolve) => setTimeout(resolve, 50))
    client.reset()
    const [first, entry] = await logged(2)
    assert.deepEqual([first?.bytes, first?.complete], [size, true])
    assert.equal(entry?.complete, false)
    assert.ok(entry !== undefined && entry.bytes > 0 && entry.bytes < size, String(entry?.bytes))
  })

  it('leaves the program alone, also in the middle of a body without an end that is always ready', async (t) => {
    const endless = async function* () {
      for (;;) yield new Uint8Array(64 * 1024)
    }
    const { port, server, logged } = await before(t, async () => ({ status: 200, fields: [], body: endless() }))
    const client = await rawClient(port, GET)
    await client.until((received) => received.length > 0)
    client.socket.pause()
    await new Promise((resolve) => setTimeout(resolve, 50))
    server.closeAllConnections()
    const [entry] = await logged(1)
    assert.equal(entry?.complete, false)
  })

  it('in the middle of an upload, never makes it whole for the origin', async (t) => {
    for (const frame of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
      let body = (): string => ''
      const { raw, port, logged } = await site(t, (request) => {
        body = request.body
      })
      const text = frame.startsWith('C') ? 'hello' : '5\r\nhello\r\n'
      const client = await rawClient(port, `POST / HTTP/1.1\r\nHost: site.test\r\n${frame}\r\n\r\n${text}`)
      await raw.until(() => body().includes('hello'))
      client.reset()
      const [entry] = await logged(1)
      assert.deepEqual([entry?.complete, entry?.error?.code], [false, 'CDN_CLIENT_GONE'], frame)
      await raw.until(() => raw.open() === 0)
      assert.ok(!body().includes('0\r\n\r\n'), frame)
    }
  })
})

describe('interim responses', () => {
  const EARLY = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nlink: </b.css>\r\n\r\n'

  it('come before the final one, as the origin sent them', async (t) => {
    const { port } = await site(t, `HTTP/1.1 102 Processing\r\n\r\n${EARLY}HTTP/1.1 199 Odd\r\nX-A: \xe9\r\n\r\n${HELLO}`)
    const received = await ask(port, GET)
    assert.match(
      received,
      /^HTTP\/1\.1 102 \r\n\r\nHTTP\/1\.1 103 \r\nLink: <\/a\.css>\r\nlink: <\/b\.css>\r\n\r\nHTTP\/1\.1 199 \r\nX-A: \xe9\r\n\r\nHTTP\/1\.1 200 OK/,
    )
    assert.ok(received.endsWith('\r\n\r\nhello'))
    assert.match(await ask(port, GET), /^HTTP\/1\.1 200 /, 'and not from the store')
  })

  it('do not come to HTTP/1.0, which does not know them', async (t) => {
    const { port } = await site(t, EARLY + HELLO)
    assert.match(await (await rawClient(port, 'GET / HTTP/1.0\r\n\r\n')).end(), /^HTTP\/1\.1 200 /)
  })

  it('come without what is about the connection, and without a length', async (t) => {
    const { port } = await site(
      t,
      `HTTP/1.1 103 \r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\n${HELLO}`,
    )
    assert.match(await ask(port, GET), /^HTTP\/1\.1 103 \r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 /)
  })

  it('that are none, or are not fit to be sent, do not come', async (t) => {
    const { port } = await before(t, async ({ onInterim }) => {
      onInterim?.(101, ['Upgrade', 'x'])
      onInterim?.(99, [])
      onInterim?.(200, [])
      onInterim?.(103, ['Link', '</a>\r\n\r\nHTTP/1.1 200 OK\r\n'])
      onInterim?.(103, ['a b', '1'])
      return { status: 200, fields: ['Content-Length', '5'], body: pieces('hello') }
    })
    assert.match(await ask(port, GET), /^HTTP\/1\.1 200 /)
  })

  it('do not get between the responses to requests sent at once', async (t) => {
    const { raw, port } = await site(t, ({ head, socket, until }) => {
      if (head.includes('/second')) return socket.write(EARLY + HELLO)
      return until(() => raw.heads.length === 2).then(() => setTimeout(() => socket.write(CHUNKED), 20))
    })
    const client = await rawClient(port, GET.replace('/', '/first') + GET.replace('/', '/second'))
    const received = await client.until((all) => all.endsWith('\r\n\r\nhello'))
    assert.match(received, /^HTTP\/1\.1 200 .*5\r\nhello\r\n0\r\n\r\nHTTP\/1\.1 200 /s)
    client.reset()
  })
})

describe('a response that cannot be sent', () => {
  const body = (): AsyncIterable<Uint8Array> => pieces('hello')
  const rows: readonly (readonly [what: string, response: OriginResponse])[] = [
    [
      'a line end in a value',
      { status: 200, fields: ['X-A', 'a\r\nSet-Cookie: evil=1', 'Cache-Control', 'max-age=60'], body: body() },
    ],
    ['a control character in a value', { status: 200, fields: ['X-A', 'a\x01', 'Cache-Control', 'max-age=60'], body: body() }],
    ['a character that is no byte', { status: 200, fields: ['X-A', '€', 'Cache-Control', 'max-age=60'], body: body() }],
    ['a name that is none', { status: 200, fields: ['X A', 'a', 'Cache-Control', 'max-age=60'], body: body() }],
    ['an empty name', { status: 200, fields: ['', 'a', 'Cache-Control', 'max-age=60'], body: body() }],
    ['a length that is none', { status: 200, fields: ['Content-Length', '5, 5'], body: body() }],
    ['a status that is too small', { status: 99, fields: [], body: body() }],
    ['an interim status', { status: 103, fields: [], body: body() }],
    ['a status that is too large', { status: 1000, fields: [], body: body() }],
    ['a status that is no number', { status: Number.NaN, fields: [], body: body() }],
  ]
  for (const [what, response] of rows) {
    it(`becomes a 502, for the log as well, and nothing is stored: ${what}`, async (t) => {
      for (const cache of [false, {}] as const) {
        const { port, logged, cdn } = await before(t, async () => response, {
          routes: [{ match: '/*', origin: 'app', cache }],
        })
        const received = await ask(port, GET)
        assert.match(received, /^HTTP\/1\.1 502 Bad Gateway\r\n/)
        assert.match(received, /\r\n\r\n502 .* \(CDN_ORIGIN_PROTOCOL\)\n$/)
        assert.doesNotMatch(received, /evil|hello/)
        const [entry] = await logged(1)
        assert.deepEqual([entry?.status, entry?.complete, entry?.error?.code], [502, true, 'CDN_ORIGIN_PROTOCOL'])
        assert.equal(entry?.bytes, bodyOf(received).length)
        assert.equal(entry?.cache.stored, false)
        assert.equal(cdn.stats().store.responses, 0)
      }
    })
  }

  it('becomes a 502 though it came so far without anybody noticing, and its body is let go', async (t) => {
    let released = false
    const exchange = (status: number, fields: string[]): CdnResponse => ({
      status,
      fields,
      body: (async function* () {
        try {
          yield Buffer.from('hello')
        } finally {
          released = true
        }
      })(),
      finished: (bytes, complete) => void finished.push([status, bytes, complete]),
      fail: () => ({ ...exchange(502, ['Content-Length', '4']), body: Buffer.from('502\n') }),
    })
    const finished: unknown[] = []
    const { port } = await served(t, { origins: {}, routes: [{ match: '/*', respond: { status: 204 } }] }, () =>
      toNodeHandler({ handle: () => exchange(200, ['X-A', 'a\r\nb']) }),
    )
    assert.match(await ask(port, GET), /^HTTP\/1\.1 502 Bad Gateway\r\n.*\r\n\r\n502\n$/s)
    assert.deepEqual(finished, [[502, 4, true]])
    assert.equal(released, false, 'it was never begun')
  })

  it('ends its connection when its body is not as long as it said', async (t) => {
    for (const [said, text] of [
      ['10', 'hello'],
      ['3', 'hello'],
      ['3', ''],
    ] as const) {
      const { port, logged } = await before(
        t,
        async () => ({ status: 200, fields: ['Content-Length', said], body: pieces(text) }),
        { routes: [{ match: '/*', origin: 'app', cache: false }] },
      )
      const client = await rawClient(port, GET)
      const received = await client.end()
      assert.ok(bodyOf(received).length < Math.min(Number(said), 6) + 1, received)
      const [entry] = await logged(1)
      assert.equal(entry?.complete, false, `${text} for ${said}`)
    }
  })
})

describe('a request', () => {
  it('needs one Host', async (t) => {
    const { raw, port } = await site(t, HELLO)
    assert.match(await ask(port, 'GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n'), /^HTTP\/1\.1 400 /)
    assert.match(await ask(port, 'GET / HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /)
    assert.equal(raw.heads.length, 0)
  })

  it('may name host and path in its target, which outweighs Host', async (t) => {
    const { raw, port, logged } = await site(t, HELLO)
    for (const target of ['http://Other.test/a?b', 'http://other.test?b']) {
      assert.match(await ask(port, `GET ${target} HTTP/1.1\r\nHost: site.test\r\n\r\n`), /^HTTP\/1\.1 200 /)
    }
    assert.match(raw.heads[0] ?? '', /^GET \/a\?b /)
    assert.match(raw.heads[1] ?? '', /^GET \/\?b /)
    assert.deepEqual(
      (await logged(2)).map(({ url }) => url),
      ['http://other.test/a?b', 'http://other.test/?b'],
    )
  })

  it('with a body that is too large gets its 413, also when that shows late', async (t) => {
    for (const frame of ['Content-Length: 400000', 'Transfer-Encoding: chunked']) {
      const { port, logged, raw } = await site(t, ({ head, socket }) => head.startsWith('GET') && socket.write(HELLO), {
        maxRequestBody: 20_000,
      })
      const client = await rawClient(port, `POST / HTTP/1.1\r\nHost: site.test\r\n${frame}\r\n\r\n`)
      const piece = 'x'.repeat(10_000)
      if (frame.startsWith('C')) client.send(piece.repeat(40))
      else {
        const chunk = `2710\r\n${piece}\r\n`
        client.send(chunk)
        await raw.until(() => raw.heads.length === 1)
        client.send(`${chunk.repeat(39)}0\r\n\r\n`)
      }
      assert.match(await client.until('CDN_BODY_TOO_LARGE'), /^HTTP\/1\.1 413 /, frame)
      const [entry] = await logged(1)
      assert.deepEqual([entry?.status, entry?.complete, entry?.error?.code], [413, true, 'CDN_BODY_TOO_LARGE'], frame)
      await raw.until(() => raw.open() === 0)
      client.send(GET)
      assert.match(await client.until('hello'), /HTTP\/1\.1 200 /, frame)
      client.reset()
    }
  })

  it('whose upload the origin answers early gets that answer, and the connection goes on', async (t) => {
    const { port, logged } = await site(t, ({ head, socket }) => {
      socket.write(head.startsWith('POST') ? 'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!' : HELLO)
    })
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 300000\r\n\r\n')
    client.send('x'.repeat(100_000))
    assert.match(await client.until('no!'), /^HTTP\/1\.1 403 /)
    client.send('x'.repeat(200_000) + GET)
    assert.match(await client.until('hello'), /no!HTTP\/1\.1 200 /)
    assert.deepEqual(
      (await logged(2)).map(({ method, status, complete }) => [method, status, complete]),
      [
        ['POST', 403, true],
        ['GET', 200, true],
      ],
    )
    client.reset()
  })

  it('goes to the origin with its body, and the connection goes on', async (t) => {
    const bodies: string[] = []
    const { port } = await site(t, ({ body, socket, until }) =>
      until(() => body().includes('llo')).then(() => {
        bodies.push(body())
        socket.end(HELLO.replace('\r\n', '\r\nConnection: close\r\n'))
      }),
    )
    const client = await rawClient(port, 'PUT /a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello')
    await client.until('\r\n\r\nhello')
    client.send('PUT /b HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n')
    await client.until((all) => all.split('\r\n\r\nhello').length === 3)
    client.reset()
    assert.equal(bodies[0], 'hello')
    assert.match(bodies[1] ?? '', /2\r\nhe\r\n3\r\nllo/)
  })

  it('that says it has a body of length 0 has none, and is answered from the store', async (t) => {
    const { raw, port } = await site(t, HELLO)
    for (let times = 0; times < 2; times++)
      assert.match(await ask(port, GET.replace('\r\n', '\r\nContent-Length: 0\r\n')), /\r\n\r\nhello$/)
    assert.equal(raw.heads.length, 1)
    await ask(port, GET.replace('GET', 'POST').replace('\r\n', '\r\nContent-Length: 0\r\n'))
    assert.deepEqual(lines(raw.heads[1] ?? '', 'content-length'), ['content-length: 0'])
  })

  it('that has been here before is refused: an origin that is the cache itself', async (t) => {
    let handle: RequestListener = () => undefined
    const server = createServer((request, response) => handle(request, response))
    const url = `http://127.0.0.1:${await listening(server)}`
    t.after(() => server.close().closeAllConnections())
    const { port, cdn, logged } = await served(t, { origins: { app: url }, routes: [{ match: '/*', origin: 'app' }] })
    handle = toNodeHandler(cdn)
    assert.match(await ask(port, GET), /^HTTP\/1\.1 508 /)
    assert.deepEqual(
      (await logged(2)).map(({ status, error }) => [status, error?.code]),
      [
        [508, 'CDN_LOOP'],
        [508, undefined],
      ],
    )
  })

  it('is logged once, whatever comes after it', async (t) => {
    const { port, entries } = await site(t, HELLO)
    const client = await rawClient(port, GET)
    await client.until('hello')
    client.send(GET)
    await client.until((all) => all.lastIndexOf('hello') > all.indexOf('hello'))
    client.reset()
    await new Promise((resolve) => setTimeout(resolve, 30))
    assert.equal(entries.length, 2)
  })
})

describe('as middleware', () => {
  const behind =
    (next: RequestListener): ((cdn: Parameters<typeof toMiddleware>[0]) => RequestListener) =>
    (cdn) =>
    (request, response) =>
      toMiddleware(cdn)(request, response, (error) => (error === undefined ? next(request, response) : response.destroy()))

  it('it answers what a route matches and hands on the rest', async (t) => {
    const raw = await rawOrigin(HELLO)
    t.after(() => raw.close())
    const { port, entries } = await served(
      t,
      { origins: { app: raw.url }, routes: [{ match: '/cached/*', origin: 'app' }] },
      behind((request, response) => response.end(`mine: ${request.url}`)),
    )
    assert.match(await ask(port, GET.replace('/', '/cached/a')), /\r\n\r\nhello$/)
    assert.match(await ask(port, GET.replace('/', '/other')), /mine: \/other/)
    assert.match(await ask(port, GET.replace('/', '*')), /mine: \*/)
    assert.equal(raw.heads.length, 1)
    assert.equal(entries.length, 1)
  })

  it('it sees the whole path, though a framework has shortened it by the path that it is mounted under', async (t) => {
    const raw = await rawOrigin(HELLO)
    t.after(() => raw.close())
    const { port } = await served(
      t,
      { origins: { app: raw.url }, routes: [{ match: '/cached/*', origin: 'app' }] },
      (cdn) => (request, response) => {
        const mounted = Object.assign(request, { originalUrl: request.url, url: request.url?.replace('/cached', '') })
        toMiddleware(cdn)(mounted, response, () => response.end('next'))
      },
    )
    assert.match(await ask(port, GET.replace('/', '/cached/a?b')), /\r\n\r\nhello$/)
    assert.match(raw.heads[0] ?? '', /^GET \/cached\/a\?b /)
  })

  it('it sees what other middleware has made of the path, where the framework says what it has cut off', async (t) => {
    const raw = await rawOrigin(HELLO)
    t.after(() => raw.close())
    const { port } = await served(
      t,
      { origins: { app: raw.url }, routes: [{ match: '/*', origin: 'app' }] },
      (cdn) => (request, response) => {
        // As Express does, after a middleware that has put "/v2" before everything but the path itself.
        const cut = (request.url as string).replace(/^\/cached\/?/, '/')
        const url = cut.startsWith('/?') ? cut : `/v2${cut}`
        toMiddleware(cdn)(Object.assign(request, { originalUrl: request.url, baseUrl: '/cached', url }), response, () =>
          response.end('next'),
        )
      },
    )
    await ask(port, GET.replace('/', '/cached/a?b'))
    await ask(port, GET.replace('/', '/cached?b'))
    assert.deepEqual(
      raw.heads.map((head) => head.split(' ')[1]),
      ['/cached/v2/a?b', '/cached?b'],
    )
  })

  it('it leaves alone what others have set, but for what the response says itself', async (t) => {
    const raw = await rawOrigin(HELLO.replace('\r\n', '\r\nX-Own: theirs\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n'))
    t.after(() => raw.close())
    const { port } = await served(
      t,
      { origins: { app: raw.url }, routes: [{ match: '/*', origin: 'app', cache: false }] },
      (cdn) => (request, response) => {
        response.setHeader('X-Powered-By', 'somebody')
        response.setHeader('X-Own', 'ours')
        toMiddleware(cdn)(request, response, () => response.end())
      },
    )
    const received = await ask(port, GET)
    assert.deepEqual(lines(received, 'x-powered-by', 'x-own', 'set-cookie'), [
      'X-Powered-By: somebody',
      'X-Own: theirs',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
    ])
  })

  it('it ends the connection when somebody else has answered already', async (t) => {
    const { port, logged } = await before(t, async () => ({ status: 200, fields: [], body: pieces('hello') }), {})
    const other = await served(
      t,
      {
        origins: { app: { name: 'app', fetch: async () => ({ status: 200, fields: [], body: pieces('hello') }) } },
        routes: [{ match: '/*', origin: 'app' }],
      },
      (cdn) => (request, response) => {
        response.writeHead(200, { 'Content-Length': '10' }).write('mine')
        toMiddleware(cdn)(request, response, () => response.end())
      },
    )
    assert.match(await ask(other.port, GET), /\r\n\r\nmine$/)
    assert.equal((await other.logged(1))[0]?.complete, false)
    assert.match(await ask(port, GET), /hello/)
    assert.equal((await logged(1))[0]?.complete, true)
  })
})
