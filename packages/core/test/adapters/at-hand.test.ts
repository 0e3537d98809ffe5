// What is at hand, on the bare connection: the same bytes as from node:http, in the same order, whatever else is asked in between.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as soon } from 'node:timers/promises'
import {
  type Cdn,
  type CdnConfig,
  type CdnRequest,
  createCdn,
  type LogEntry,
  memoryStore,
  type Origin,
  type Store,
} from '@simple-cdn/core'
import { type AtHand, answerAtHand, toNodeHandler } from '@simple-cdn/core/node'
import fc from 'fast-check'
import { coming, pieces } from '../support/pieces.ts'
import { type RawClient, rawClient } from '../support/raw-client.ts'
import { listening } from '../support/raw-origin.ts'
import { watched } from '../support/watched.ts'

const AT = Date.UTC(2014, 5, 6)

interface Site {
  readonly cdn: Cdn
  /** Where what is at hand is answered on the connection. */
  readonly port: number
  /** Where node:http answers everything. */
  readonly plainPort: number
  /** Targets of the requests that node:http saw on the first. */
  readonly seen: readonly string[]
  readonly entries: readonly LogEntry[]
  readonly atHand: AtHand
  readonly server: ReturnType<typeof createServer>
  logged(count: number): Promise<readonly LogEntry[]>
  /** Lets the origin answer what begins with "/gated". */
  open(): void
}

/** A page, a large one, one that is never stored, and what needs no origin. Time stands still. */
async function site(
  t: TestContext,
  { large = 100, config = {} }: { large?: number; config?: Partial<CdnConfig> } = {},
): Promise<Site> {
  const gate = Promise.withResolvers<void>()
  const origin: Origin = {
    name: 'app',
    async fetch({ target, method, body }) {
      let posted = ''
      for await (const chunk of body ?? []) posted += Buffer.from(chunk).toString('latin1')
      if (target === '/slow') for (let turn = 0; turn < 20; turn++) await soon()
      const text = method === 'POST' ? `got ${posted}` : target.startsWith('/large') ? numbered(large) : `this is ${target}`
      if (target.startsWith('/gated')) await gate.promise
      const fields =
        target.startsWith('/never') || target.startsWith('/gated') || target === '/slow'
          ? ['Cache-Control', 'no-store']
          : ['Cache-Control', 'max-age=60', 'ETag', '"1"', 'Content-Type', 'text/plain', 'X-Name', 'M\xfcller']
      return {
        status: 200,
        fields: [...fields, 'Content-Length', `${text.length}`],
        body: (async function* () {
          if (method !== 'HEAD') yield Buffer.from(text)
        })(),
      }
    },
  }
  const entries: LogEntry[] = []
  const { happened, until } = watched()
  const sink = {
    name: 'test',
    write: (entry: LogEntry) => {
      entries.push(entry)
      happened()
    },
    flush: async () => undefined,
    close: async () => undefined,
  }
  const cdn = createCdn(
    {
      origins: { app: origin },
      routes: [
        { match: '/old', redirect: '/new' },
        { match: '/text', respond: { status: 200, body: 'hello' } },
        { match: '/nothing', respond: { status: 204 } },
        { match: '/*', origin: 'app' },
      ],
      log: [sink],
      ...config,
    } as CdnConfig,
    { clock: { now: () => AT, after: () => () => undefined } },
  )
  const seen: string[] = []
  const handler = toNodeHandler(cdn)
  const server = createServer((request, response) => {
    seen.push(request.url as string)
    handler(request, response)
  })
  const plain = createServer(handler)
  // Not in Node's types. A client that has said all it wanted has its answers.
  for (const each of [server, plain]) Object.assign(each, { httpAllowHalfOpen: true })
  const atHand = answerAtHand(cdn, server)
  const tcp = createTcpServer({ allowHalfOpen: true, noDelay: true }, atHand.accept)
  const [port, plainPort] = [await listening(tcp), await listening(plain)]
  t.after(async () => {
    tcp.close()
    await atHand.drain()
    for (const each of [server, plain]) {
      each.close()
      each.closeAllConnections()
    }
    await cdn.close({ graceMs: 0 })
  })
  return {
    ...{ cdn, port, plainPort, seen, entries, atHand, server, open: gate.resolve },
    async logged(count) {
      await until(() => entries.length >= count)
      return entries
    },
  }
}

/** So many bytes, of which no part is like another. */
function numbered(bytes: number): string {
  return Array.from({ length: Math.ceil(bytes / 10) }, (_, at) => String(at).padStart(10, '.'))
    .join('')
    .slice(0, bytes)
}

const request = (target: string, fields = '', method = 'GET'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: site.test\r\n${fields}\r\n`
const LAST = request('/text', 'Connection: close\r\n')

/** Everything that comes, up to the answer to a last request that ends the connection. Without the dates that node:http adds. */
async function answers(port: number, ...texts: string[]): Promise<string> {
  const client = await rawClient(port)
  await sendApart(client, [...texts, LAST])
  return (await client.end()).replaceAll(/^Date: (?!Fri, 06 Jun 2014).*\r\n/gm, 'Date: now\r\n')
}

async function sendApart(client: RawClient, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    client.send(text)
    for (let turn = 0; turn < 3; turn++) await soon()
  }
}

async function store(port: number, ...targets: string[]): Promise<void> {
  for (const target of targets) await answers(port, request(target))
}

describe('an answer that is at hand', () => {
  const asked: Readonly<Record<string, string>> = {
    'a hit': request('/page'),
    'a hit for HEAD': request('/page', '', 'HEAD'),
    'a hit of more than is copied': request('/large'),
    'a part of a hit': request('/page', 'Range: bytes=2-4\r\n'),
    'a part that there is not': request('/page', 'Range: bytes=200-\r\n'),
    'a hit that has not been modified': request('/page', 'If-None-Match: "1"\r\n'),
    'a condition that fails': request('/page', 'If-Match: "2"\r\n'),
    'a redirect': request('/old'),
    'an answer of the route': request('/text'),
    'an answer without content': request('/nothing'),
    'an answer of the route, for HEAD': request('/text', '', 'HEAD'),
    'an error': request('/page', 'CDN-Loop: simple-cdn\r\n'),
  }
  for (const [name, text] of Object.entries(asked))
    it(`is byte for byte what node:http writes: ${name}`, async (t) => {
      const { port, plainPort, seen } = await site(t, { large: 200_000, config: { semantics: 'rfc' } })
      await store(plainPort, '/page', '/large')
      assert.equal(await answers(port, text), await answers(plainPort, text))
      assert.deepEqual(seen, ['/text'])
    })

  const inSlices: Readonly<Record<string, string>> = {
    'all of it': request('/large'),
    'a part of one slice': request('/large', 'Range: bytes=70000-70009\r\n'),
    'a few bytes of two slices': request('/large', 'Range: bytes=65530-65541\r\n'),
    'most of it, of all slices': request('/large', 'Range: bytes=3-199990\r\n'),
    'its end': request('/large', 'Range: bytes=-10\r\n'),
    'its fields': request('/large', '', 'HEAD'),
  }
  for (const [name, text] of Object.entries(inSlices))
    it(`is byte for byte what node:http writes, of a body in slices: ${name}`, async (t) => {
      const { port, plainPort, seen } = await site(t, { large: 200_000, config: { slice: '64kb' } })
      await store(plainPort, '/large')
      assert.equal(await answers(port, text), await answers(plainPort, text))
      assert.deepEqual(seen, ['/text'])
    })

  it('is read as it goes out, of a body that is more than one client may hold at a time', async (t) => {
    const { port, plainPort, seen } = await site(t, { large: 1_500_000, config: { slice: '64kb' } })
    await store(plainPort, '/large')
    for (const fields of ['', 'Range: bytes=0-1048576\r\n', 'Range: bytes=0-1048575\r\n', 'Range: bytes=-1100000\r\n'])
      assert.equal(await answers(port, request('/large', fields)), await answers(plainPort, request('/large', fields)))
    assert.deepEqual(seen, ['/text', '/text', '/text', '/text'])
  })

  it('is logged as any other', async (t) => {
    const { port, plainPort, entries, logged } = await site(t)
    await store(plainPort, '/page')
    const before = (await logged(2)).length
    await answers(plainPort, request('/page'))
    await answers(port, request('/page'))
    await logged(before + 4)
    const [plain, , own] = entries.slice(before).map(({ sequence: _, ...entry }) => entry)
    assert.deepEqual(own, plain)
    assert.equal(own?.complete, true)
  })

  it('has no fields that node:http would refuse to send: an error takes its place', async (t) => {
    const { cdn, port, entries } = await site(t)
    const { handleNow } = cdn
    t.mock.method(cdn, 'handleNow', (asked: CdnRequest) => {
      const answer = handleNow.call(cdn, asked)
      return answer && Object.assign(answer, { fields: [...answer.fields, 'X-Bad', 'a\r\nb'] })
    })
    const [head] = (await answers(port, request('/text'))).split('\r\n\r\n')
    assert.match(head ?? '', /^HTTP\/1\.1 502 Bad Gateway\r\n/)
    assert.equal(entries[0]?.error?.code, 'CDN_ORIGIN_PROTOCOL')
  })

  it('says nothing of a timeout where the server has none', async (t) => {
    const { port, server } = await site(t)
    server.keepAliveTimeout = 0
    assert.doesNotMatch(await answers(port, request('/text')), /Keep-Alive: timeout/)
  })
})

describe('a connection', () => {
  it('has its answers in the order of its requests, whoever gives them', async (t) => {
    const { port, plainPort, seen } = await site(t)
    await store(plainPort, '/page')
    const text =
      request('/page') + request('/never/1') + request('/page') + request('/text') + request('/never/2') + request('/page')
    assert.equal(await answers(port, text), await answers(plainPort, text))
    assert.deepEqual(seen, ['/never/1', '/page', '/text', '/never/2', '/page', '/text'])
  })

  it('has them so while node:http owes several', async (t) => {
    const { port, plainPort, open } = await site(t)
    await store(plainPort, '/page')
    const client = await rawClient(port, request('/never') + request('/gated'))
    await client.until('this is /never')
    await sendApart(client, [request('/page'), LAST])
    open()
    assert.match(await client.end(), /this is \/never.*this is \/gated.*this is \/page.*hello$/s)
  })

  it('goes back to what is at hand after what was not', async (t) => {
    const { port, plainPort, seen } = await site(t)
    await store(plainPort, '/page')
    const client = await rawClient(port)
    for (const target of ['/page', '/never/1', '/page', '/never/2', '/text']) {
      const length = client.received().length
      client.send(request(target))
      await client.until((all) => /\r\n\r\n./s.test(all.slice(length)))
    }
    client.socket.destroy()
    assert.deepEqual(seen, ['/never/1', '/never/2'])
  })

  it('is for node:http alone after a body, whose end it knows', async (t) => {
    const { port, plainPort, seen } = await site(t)
    const post = request('/page', 'Content-Length: 5\r\n', 'POST')
    assert.equal(
      await answers(port, `${post}he`, 'llo', request('/text')),
      await answers(plainPort, `${post}he`, 'llo', request('/text')),
    )
    assert.deepEqual(seen, ['/page', '/text', '/text'])
  })

  it('is told what is wrong with a request by node:http', async (t) => {
    const { port, plainPort } = await site(t)
    const text = 'GET /text HTTP/1.1\r\nHost: site.test\r\nA : b\r\n\r\n'
    assert.equal(await answers(port, request('/text'), text), await answers(plainPort, request('/text'), text))
  })

  it('gives its answer to a client that has said all it wanted', async (t) => {
    const { port } = await site(t)
    const client = await rawClient(port, '', { allowHalfOpen: true })
    client.socket.end(request('/text'))
    assert.match(await client.end(), /\r\n\r\nhello$/)
  })

  it('that asks and does not read is answered in order all the same, and logged when it has read', async (t) => {
    const { port, plainPort, seen, logged, entries } = await site(t, { large: 6_000_000, config: { slice: '8mb' } })
    await store(plainPort, '/large')
    const before = (await logged(2)).length
    const client = await rawClient(port)
    client.socket.pause()
    await sendApart(client, [request('/large')])
    // The kernel has not taken it, so this one is for the server.
    await sendApart(client, [request('/text')])
    client.socket.resume()
    await client.until((all) => all.endsWith('hello'))
    client.socket.destroy()
    await logged(before + 2)
    assert.deepEqual(
      entries.slice(before).map(({ bytes, complete }) => [bytes, complete]),
      [
        [6_000_000, true],
        [5, true],
      ],
    )
    assert.deepEqual(seen, ['/text'])
  })

  it('that is gone in the middle of an answer is logged so', async (t) => {
    const { port, plainPort, logged, entries } = await site(t, { large: 6_000_000, config: { slice: '8mb' } })
    await store(plainPort, '/large')
    const before = (await logged(2)).length
    const client = await rawClient(port)
    client.socket.pause()
    await sendApart(client, [request('/large')])
    client.reset()
    await logged(before + 1)
    assert.equal(entries.at(-1)?.complete, false)
    assert.equal(entries.at(-1)?.error?.code, 'CDN_CLIENT_GONE')
  })

  it('is left to who takes it over for another protocol', async (t) => {
    const { port, server } = await site(t)
    server.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.pipe(socket)
    })
    const client = await rawClient(port, request('/text'))
    await client.until('hello')
    client.send(request('/text', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
    await client.until('Upgrade: echo\r\n\r\n')
    client.send(request('/text'))
    assert.ok((await client.until(`\r\n\r\n${request('/text')}`)).endsWith(request('/text')))
    client.socket.destroy()
  })
})

/** A store whose slices have to be waited for, as from a disk. */
function waitedFor(): { store: Store; hold(): void; release(): void; failAt(slice: number): void } {
  const { readNow: _, ...memory } = memoryStore({ maxBytes: 16_000_000 })
  let gate = Promise.withResolvers<void>()
  gate.resolve()
  let broken = -1
  return {
    store: {
      ...memory,
      async read(id, part) {
        await soon()
        await gate.promise
        if (part?.slice === broken) throw new Error('the disk is broken')
        return memory.read(id, part)
      },
    },
    hold() {
      gate = Promise.withResolvers()
    },
    release: () => gate.resolve(),
    failAt(slice) {
      broken = slice
    },
  }
}

describe('a body that is read as it goes out', () => {
  const LARGE = 1_500_000

  async function sliced(t: TestContext): Promise<Site & ReturnType<typeof waitedFor> & { before: number }> {
    const disk = waitedFor()
    const made = await site(t, { large: LARGE, config: { slice: '64kb', store: disk.store } })
    await store(made.plainPort, '/large')
    return { ...made, ...disk, before: (await made.logged(2)).length }
  }
  const isWhole = (received: string): boolean => received.length > LARGE && received.includes(numbered(LARGE))
  const isFree = async ({ cdn }: Site): Promise<void> => {
    while (cdn.stats().inFlight.bodies > 0) await soon()
    assert.equal(cdn.stats().open, 0)
  }

  it('is byte for byte what node:http writes, and logged as such', async (t) => {
    const made = await sliced(t)
    const { port, plainPort, seen, entries, logged, before } = made
    for (const fields of ['', 'Range: bytes=70000-70009\r\n', 'Range: bytes=3-1499990\r\n'])
      assert.equal(await answers(port, request('/large', fields)), await answers(plainPort, request('/large', fields)))
    assert.deepEqual(seen, ['/text', '/text', '/text'])
    await logged(before + 12)
    const [own, , plain] = entries.slice(before).map(({ sequence: _, ...entry }) => entry)
    assert.deepEqual(own, plain)
    await isFree(made)
  })

  it('comes before the answers to what was asked after it, in the same piece and in later ones', async (t) => {
    const { port, plainPort, seen, hold, release } = await sliced(t)
    const asked = [request('/large') + request('/text') + request('/large'), request('/never/1'), request('/old')]
    const expected = await answers(plainPort, ...asked)
    hold()
    const client = await rawClient(port)
    await sendApart(client, [...asked, LAST])
    assert.equal(client.received(), '')
    assert.deepEqual(seen, [])
    release()
    assert.equal((await client.end()).replaceAll(/^Date: (?!Fri, 06 Jun 2014).*\r\n/gm, 'Date: now\r\n'), expected)
    assert.deepEqual(seen, ['/never/1', '/old', '/text'])
  })

  it('is never among the answers that node:http owes', async (t) => {
    const { port, open } = await sliced(t)
    const client = await rawClient(port, request('/never') + request('/gated'))
    await client.until('this is /never')
    await sendApart(client, [request('/large')])
    open()
    assert.ok(isWhole(await client.until(isWhole)))
    client.socket.destroy()
  })

  it('goes as a whole, with what was asked after it, to a client that has said all it wanted', async (t) => {
    const { port, hold, release } = await sliced(t)
    // The second connection is known to the server already.
    for (const before of ['', request('/never')])
      for (const after of ['', request('/slow'), request('/large', 'Range: bytes=-9\r\n') + request('/slow')]) {
        hold()
        const client = await rawClient(port, before, { allowHalfOpen: true })
        if (before !== '') await client.until('this is /never')
        client.socket.end(request('/large') + after)
        for (let turn = 0; turn < 5; turn++) await soon()
        release()
        const received = await client.end()
        assert.ok(isWhole(received), `${before}${after}`)
        assert.equal(received.endsWith('this is /slow'), after !== '')
      }
  })

  it('leaves the connection as paused as node:http wants it, when that has the requests behind it', async (t) => {
    const { port, plainPort } = await site(t, { large: 1_500_000, config: { slice: '64kb' } })
    await store(plainPort, '/large')
    const client = await rawClient(port)
    client.socket.pause()
    // So much that lies in memory that the kernel does not take all of it, and node:http has the last one.
    const filling = request('/large', 'Range: bytes=0-1048575\r\n').repeat(12)
    await sendApart(client, [request('/large') + filling + request('/never')])
    await sendApart(client, [request('/old')])
    client.socket.resume()
    await client.until('Location: /new')
    client.socket.destroy()
  })

  it('hands the bytes behind a request for another protocol on to who takes it over', async (t) => {
    const { port, server, hold, release } = await sliced(t)
    server.on('upgrade', (_, socket, head) => {
      socket.unshift(head)
      setImmediate(() => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
        socket.pipe(socket)
      })
    })
    hold()
    const upgrade = request('/text', 'Connection: Upgrade\r\nUpgrade: echo\r\n')
    const client = await rawClient(port, `${request('/large') + upgrade}early`)
    for (let turn = 0; turn < 5; turn++) await soon()
    release()
    await client.until('Upgrade: echo\r\n\r\nearly')
    client.socket.destroy()
  })

  it('is given up, and logged so, when the client has gone', async (t) => {
    const made = await sliced(t)
    const { port, logged, before, entries, hold, release } = made
    for (const waitsForStore of [true, false]) {
      if (waitsForStore) hold()
      const client = await rawClient(port)
      client.socket.pause()
      await sendApart(client, [request('/large')])
      client.reset()
      await logged(before + (waitsForStore ? 1 : 2))
      assert.equal(entries.at(-1)?.complete, false)
      assert.equal(entries.at(-1)?.error?.code, 'CDN_CLIENT_GONE')
      release()
      await isFree(made)
    }
  })

  it('is broken off, so that nobody takes it for whole, when the rest is not to be had', async (t) => {
    const made = await sliced(t)
    const { port, failAt, entries, logged, before } = made
    failAt(20)
    const client = await rawClient(port, request('/large'))
    assert.ok(!isWhole(await client.end()))
    await logged(before + 1)
    assert.deepEqual([entries.at(-1)?.complete, entries.at(-1)?.error?.code], [false, 'CDN_ORIGIN_BROKE_OFF'])
    await isFree(made)
  })

  it('ends with its connection when its client has taken nothing for as long as the server allows', async (t) => {
    const made = await sliced(t)
    const { port, server, logged, before, entries } = made
    server.timeout = 50
    const client = await rawClient(port)
    client.socket.pause()
    await sendApart(client, [request('/large') + request('/large') + request('/large') + request('/large')])
    await logged(before + 1)
    while (entries.at(-1)?.complete !== false) await soon()
    assert.equal(entries.at(-1)?.error?.code, 'CDN_CLIENT_GONE')
    await isFree(made)
    client.socket.destroy()
  })

  it('ends with its connection, and not as a stalled client, when a store does not answer for as long', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const made = await sliced(t)
    const { port, server, hold, release, logged, before } = made
    server.timeout = 5_000
    hold()
    const client = await rawClient(port)
    await sendApart(client, [request('/large')])
    t.mock.timers.tick(5_000)
    for (let turn = 0; turn < 3; turn++) await soon()
    assert.equal(client.ended(), false)
    t.mock.timers.tick(1_000)
    await client.end()
    assert.equal((await logged(before + 1)).at(-1)?.error?.code, 'CDN_STORE_FAILED')
    release()
    await isFree(made)
  })

  it('is finished before a server that stops ends the connection', async (t) => {
    const { port, atHand, hold, release } = await sliced(t)
    hold()
    const clients = [await rawClient(port), await rawClient(port, request('/never'))]
    // The second is known to the server, too.
    await clients[1]?.until('this is /never')
    for (const client of clients) await sendApart(client, [request('/large')])
    const drained = atHand.drain()
    for (let turn = 0; turn < 5; turn++) await soon()
    release()
    await drained
    for (const client of clients) assert.ok(isWhole(await client.until(isWhole)))
    assert.match(await (clients[0] as RawClient).end(), /\d$/)
    clients[1]?.socket.destroy()
  })
})

describe('a connection that is silent', () => {
  it('is told so before its first request, and ended after an answer, when the time that the server allows is over', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const { port, server } = await site(t)
    server.headersTimeout = 5_000
    server.keepAliveTimeout = 3_000
    const [silent, answered] = [await rawClient(port), await rawClient(port, request('/text'))]
    await answered.until('hello')
    t.mock.timers.tick(3_000)
    for (let turn = 0; turn < 3; turn++) await soon()
    assert.deepEqual([silent.ended(), answered.ended()], [false, false])
    // Node gives a second on top, for a request that is on its way.
    t.mock.timers.tick(1_500)
    assert.match(await answered.end(), /hello$/)
    assert.equal(silent.ended(), false)
    t.mock.timers.tick(1_500)
    assert.match(await silent.end(), /^HTTP\/1\.1 408 Request Timeout\r\n/)
  })

  it('has all its time again with each request', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const { port, server } = await site(t)
    server.keepAliveTimeout = 3_000
    const client = await rawClient(port)
    for (let asked = 1; asked <= 3; asked++) {
      client.send(request('/text'))
      await client.until((received) => received.split('hello').length > asked)
      t.mock.timers.tick(3_500)
    }
    assert.equal(client.ended(), false)
    client.socket.destroy()
  })
})

describe('a client that stays', () => {
  it('leaves nothing behind with each request, though each has something asked for again in the background', async (t) => {
    const { cdn, atHand } = await site(t)
    const signals = new Set<AbortSignal>()
    const { handleNow } = cdn
    t.mock.method(cdn, 'handleNow', (asked: CdnRequest) => {
      signals.add(asked.signal)
      return handleNow.call(cdn, asked)
    })
    const sockets: Socket[] = []
    const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket)
      atHand.accept(socket)
    })
    t.after(() => tcp.close())
    const client = await rawClient(await listening(tcp))
    for (let asked = 1; asked <= 20; asked++) {
      client.send(request('/text'))
      await client.until((received) => received.split('hello').length > asked)
    }
    assert.equal(signals.size, 1)
    assert.ok((sockets[0]?.listenerCount('close') ?? 0) < 5)
    client.socket.destroy()
    await once(sockets[0] as Socket, 'close')
    assert.equal([...signals][0]?.aborted, true)
  })
})

describe('a server that stops', () => {
  it('cuts off who takes longer than it may', async (t) => {
    const { port, plainPort, atHand, logged, entries } = await site(t, { large: 6_000_000, config: { slice: '8mb' } })
    await store(plainPort, '/large')
    const before = (await logged(2)).length
    const slow = await rawClient(port)
    slow.socket.pause()
    await sendApart(slow, [request('/large')])
    await atHand.drain({ graceMs: 50 })
    await logged(before + 1)
    assert.equal(entries.at(-1)?.complete, false)
    slow.socket.destroy()
  })

  it('ends connections that have nothing under way, and lets the others finish', async (t) => {
    const { port, plainPort, atHand } = await site(t, { large: 6_000_000, config: { slice: '8mb' } })
    await store(plainPort, '/large')
    const [fresh, idle, slow] = [await rawClient(port), await rawClient(port, request('/text')), await rawClient(port)]
    await idle.until('hello')
    slow.socket.pause()
    await sendApart(slow, [request('/large')])
    const drained = atHand.drain()
    await Promise.all([fresh.end(), idle.end()])
    slow.socket.resume()
    await drained
    assert.ok((await slow.end()).endsWith('....599999'))
    assert.equal(slow.received().split('\r\n\r\n')[1]?.length, 6_000_000)
  })
})

describe('whatever is asked, in whatever pieces', () => {
  it('the answers are those of node:http', async (t) => {
    // So little memory that a large one is read as it goes out.
    const { port, plainPort } = await site(t, { large: 400_000, config: { memory: '1mb', slice: '64kb' } })
    await store(plainPort, '/page', '/large')
    const requests = fc.constantFrom(
      request('/page'),
      request('/page', 'Accept: text/html\r\nUser-Agent: somebody\r\n'),
      request('/page', '', 'HEAD'),
      request('/never'),
      request('/slow'),
      request('/text'),
      request('/old'),
      request('/page', 'If-None-Match: "1"\r\n'),
      request('/large'),
      request('/large', 'Range: bytes=100000-399999\r\n'),
      request('/never', 'Content-Length: 3\r\n', 'POST').concat('abc'),
      request('/never', 'Transfer-Encoding: chunked\r\n', 'POST').concat('3\r\nabc\r\n0\r\n\r\n'),
      request('/text', 'X-Two:  spaces \r\n'),
      `\r\n${request('/text')}`,
    )
    await fc.assert(
      fc.asyncProperty(coming(requests), async (all) => {
        assert.equal(await answers(port, ...pieces(all)), await answers(plainPort, ...pieces(all)))
      }),
      { seed: Number(process.env.SEED ?? 20140606), numRuns: 150 },
    )
  })
})
