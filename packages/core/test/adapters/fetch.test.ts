// The cache as a Fetch handler, and round an app: Request in, Response out.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  type App,
  type CdnConfig,
  type CdnResponse,
  cached,
  createCdn,
  type LogEntry,
  type LogSink,
  type Origin,
  type OriginResponse,
} from '@simple-cdn/core'
import { toFetchHandler } from '@simple-cdn/core/fetch'
import { settled } from '@simple-cdn/testing'
import { rawOrigin } from '../support/raw-origin.ts'

function memory(): { entries: LogEntry[]; log: readonly LogSink[] } {
  const entries: LogEntry[] = []
  const write = (entry: LogEntry): void => void entries.push(entry)
  return { entries, log: [{ name: 'test', write, flush: async () => undefined, close: async () => undefined }] }
}

/** A handler before an origin; under /plain/ it does not cache. */
function handler(t: TestContext, origin: Origin['fetch'] | string) {
  const { entries, log } = memory()
  const config = {
    origins: { app: typeof origin === 'string' ? origin : { name: 'app', fetch: origin } },
    routes: [
      { match: '/plain/*', origin: 'app', cache: false },
      { match: '/*', origin: 'app' },
    ],
    log,
  } as CdnConfig
  const cdn = createCdn(config)
  t.after(() => cdn.close({ graceMs: 0 }))
  return { handle: toFetchHandler(cdn), entries, cdn }
}

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

const FRESH = ['Cache-Control', 'max-age=60']

describe('a Request', { timeout: 20_000 }, () => {
  it('goes to the origin with method, URL, fields and body', async (t) => {
    const bodies: string[] = []
    const raw = await rawOrigin(({ body, socket, until }) =>
      until(() => body().includes('llo')).then(() => {
        bodies.push(body())
        socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      }),
    )
    t.after(() => raw.close())
    const { handle } = handler(t, raw.url)
    const init = { method: 'PUT', headers: { 'X-Own': '1' }, body: 'hello' }
    assert.equal((await handle(new Request('https://site.test:8443/a%20b?c=d#e', init))).status, 200)
    assert.match(raw.heads[0] ?? '', /^PUT \/a%20b\?c=d HTTP\/1\.1\r\n/)
    assert.match(raw.heads[0] ?? '', /^x-own: 1\r\n/im)
    assert.match(raw.heads[0] ?? '', /^x-forwarded-proto: https\r\nx-forwarded-host: site\.test:8443\r\n/im)
    assert.match(bodies[0] ?? '', /hello/)
  })

  it('that has been aborted is not asked, and one that is aborted asks no longer', async (t) => {
    const raw = await rawOrigin('')
    t.after(() => raw.close())
    const { handle, entries } = handler(t, raw.url)
    assert.equal((await handle(new Request('http://site.test/', { signal: AbortSignal.abort() }))).status, 499)
    assert.equal(raw.accepted(), 0)
    const client = new AbortController()
    const asked = handle(new Request('http://site.test/', { signal: client.signal }))
    await raw.until(() => raw.heads.length === 1)
    client.abort()
    assert.equal((await asked).status, 499)
    await raw.until(() => raw.open() === 0)
    assert.deepEqual(
      entries.map(({ status, error }) => [status, error?.code]),
      [
        [499, 'CDN_CLIENT_GONE'],
        [499, 'CDN_CLIENT_GONE'],
      ],
    )
  })
})

describe('a Request whose body breaks off', () => {
  it('is not the fault of the origin, and does not reach it as whole', async (t) => {
    let sent = (): string => ''
    const raw = await rawOrigin(({ body }) => {
      sent = body
    })
    t.after(() => raw.close())
    const { handle, entries } = handler(t, raw.url)
    let pulled = 0
    const body = new ReadableStream({
      pull(controller) {
        if (pulled++ === 0) controller.enqueue(Buffer.from('hello'))
        else controller.error(new Error('broken'))
      },
    })
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' }
    assert.equal((await handle(new Request('http://site.test/', init))).status, 499)
    assert.equal(entries[0]?.error?.code, 'CDN_CLIENT_GONE')
    await raw.until(() => raw.open() === 0)
    assert.ok(!sent().includes('0\r\n\r\n'))
  })
})

describe('a Response', { timeout: 20_000 }, () => {
  it('has status, fields and body, from the origin and from the store', async (t) => {
    const fields = [...FRESH, 'X-A', '1', 'x-a', '2', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2, c']
    fields[1] = 'public, max-age=60'
    const { handle, entries } = handler(t, async () => ({ status: 299, fields, body: pieces('hel', 'lo') }))
    for (const hit of [false, true]) {
      const response = await handle(new Request('http://site.test/'))
      assert.equal(response.status, 299)
      assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2, c'])
      assert.equal(response.headers.get('x-a'), '1, 2')
      assert.equal(await response.text(), 'hello')
      await settled()
      const entry = entries.at(-1)
      assert.deepEqual([entry?.status, entry?.bytes, entry?.complete, entry?.cache.hit], [299, 5, true, hit])
    }
  })

  it('has no body where there may be none: not even a Response would be made with one', async (t) => {
    const rows: readonly (readonly [status: number, method: string])[] = [
      [200, 'HEAD'],
      [204, 'GET'],
      [205, 'GET'],
      [304, 'GET'],
    ]
    for (const [status, method] of rows) {
      for (const path of ['/', '/plain/']) {
        const { handle, entries } = handler(t, async () => ({ status, fields: FRESH, body: pieces('hello') }))
        const response = await handle(new Request(`http://site.test${path}`, { method }))
        assert.equal(response.status, status)
        assert.equal(response.body, null, `${status} to ${method}`)
        await settled()
        assert.deepEqual([entries[0]?.status, entries[0]?.complete], [status, true])
      }
    }
  })

  it('of a stored 304 or 206 is that of the store', async (t) => {
    const fields = [...FRESH, 'ETag', '"a"', 'Content-Length', '5']
    const { handle } = handler(t, async () => ({ status: 200, fields, body: pieces('hello') }))
    await (await handle(new Request('http://site.test/'))).text()
    const same = await handle(new Request('http://site.test/', { headers: { 'If-None-Match': '"a"' } }))
    assert.deepEqual([same.status, same.body], [304, null])
    const part = await handle(new Request('http://site.test/', { headers: { Range: 'bytes=1-3' } }))
    assert.deepEqual([part.status, await part.text(), part.headers.get('content-range')], [206, 'ell', 'bytes 1-3/5'])
  })

  it('is a 502 where a Response cannot be what the origin answered, and the log says so', async (t) => {
    const rows: readonly (readonly [what: string, response: Omit<OriginResponse, 'body'>])[] = [
      ['600', { status: 600, fields: FRESH }],
      ['999', { status: 999, fields: FRESH }],
      ['0', { status: 0, fields: [] }],
      ['101', { status: 101, fields: [] }],
      ['a line end in a value', { status: 200, fields: ['X-A', 'a\r\nb', ...FRESH] }],
      ['a name that is none', { status: 200, fields: ['X A', 'b', ...FRESH] }],
    ]
    for (const [what, head] of rows) {
      for (const path of ['/', '/plain/']) {
        const { handle, entries, cdn } = handler(t, async () => ({ ...head, body: pieces('hello') }))
        const response = await handle(new Request(`http://site.test${path}`))
        assert.equal(response.status, 502, what)
        assert.match(await response.text(), /CDN_ORIGIN_PROTOCOL/)
        await settled()
        assert.deepEqual([entries[0]?.status, entries[0]?.error?.code], [502, 'CDN_ORIGIN_PROTOCOL'], what)
        assert.equal(entries.length, 1)
        if (head.status < 600) assert.equal(cdn.stats().store.responses, 0, what)
      }
    }
  })

  it('streams: its beginning is there before its end', async (t) => {
    const { promise: more, resolve } = Promise.withResolvers<void>()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first')
      await more
      yield Buffer.from('second')
    }
    const { handle } = handler(t, async () => ({ status: 200, fields: [], body: body() }))
    const response = await handle(new Request('http://site.test/plain/'))
    const reader = response.body?.getReader()
    assert.equal(String(Buffer.from((await reader?.read())?.value ?? [])), 'first')
    resolve()
    assert.equal(String(Buffer.from((await reader?.read())?.value ?? [])), 'second')
    assert.equal((await reader?.read())?.done, true)
  })

  it('is not read ahead of its reader', async (t) => {
    let made = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        made++
        yield Buffer.alloc(10)
      }
    }
    const { handle } = handler(t, async () => ({ status: 200, fields: [], body: endless() }))
    const response = await handle(new Request('http://site.test/plain/'))
    await settled()
    assert.equal(made, 0)
    await response.body?.getReader().read()
    await settled()
    assert.equal(made, 1)
  })

  it('that is cancelled lets go of the origin, and the log says how far it got', async (t) => {
    const raw = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    t.after(() => raw.close())
    const { handle, entries } = handler(t, raw.url)
    const response = await handle(new Request('http://site.test/plain/'))
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await raw.until(() => raw.open() === 0)
    assert.deepEqual(
      entries.map(({ bytes, complete, error }) => [bytes, complete, error?.code]),
      [[5, false, 'CDN_CLIENT_GONE']],
    )
  })

  it('whose request is aborted breaks off, and lets go of the origin', async (t) => {
    const raw = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    t.after(() => raw.close())
    const { handle, entries } = handler(t, raw.url)
    const client = new AbortController()
    const response = await handle(new Request('http://site.test/plain/', { signal: client.signal }))
    const reader = response.body?.getReader()
    await reader?.read()
    const waiting = reader?.read()
    client.abort()
    await assert.rejects(waiting as Promise<unknown>, { name: 'AbortError' })
    await raw.until(() => raw.open() === 0)
    assert.deepEqual(
      entries.map(({ bytes, complete }) => [bytes, complete]),
      [[5, false]],
    )
  })

  it('breaks off when the origin does', async (t) => {
    const raw = await rawOrigin(({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'))
    t.after(() => raw.close())
    const { handle, entries, cdn } = handler(t, raw.url)
    for (const path of ['/', '/plain/']) {
      const response = await handle(new Request(`http://site.test${path}`))
      await assert.rejects(response.text(), { code: 'CDN_ORIGIN_BROKE_OFF' })
    }
    assert.deepEqual(
      entries.map(({ bytes, complete, error }) => [bytes, complete, error?.code]),
      Array(2).fill([5, false, 'CDN_ORIGIN_BROKE_OFF']),
    )
    assert.equal(cdn.stats().store.responses, 0)
  })

  it('that nobody has looked through before is a 502 all the same', async () => {
    const finished: unknown[] = []
    const answer = (status: number, body: CdnResponse['body']): CdnResponse => ({
      status,
      fields: [],
      body,
      fail: () => answer(502, Buffer.from('502\n')),
      finished: (bytes, complete) => void finished.push([status, bytes, complete]),
    })
    const handle = toFetchHandler({ handle: () => answer(700, pieces('hello')) })
    const response = await handle(new Request('http://site.test/'))
    assert.deepEqual([response.status, await response.text()], [502, '502\n'])
    assert.deepEqual(finished, [[502, 4, true]])
  })
})

describe('cached(app)', () => {
  const fresh = { 'Cache-Control': 'max-age=60' }

  it('asks the app once for what it may keep', async () => {
    let asked = 0
    const handle = cached(() => new Response(`answer ${++asked}`, { headers: fresh }))
    assert.equal(await (await handle(new Request('http://site.test/a'))).text(), 'answer 1')
    const hit = await handle(new Request('http://site.test/a'))
    assert.equal(await hit.text(), 'answer 1')
    assert.match(hit.headers.get('cache-status') ?? '', /^simple-cdn; hit/)
    assert.equal(await (await handle(new Request('http://site.test/b'))).text(), 'answer 2')
  })

  it('asks the app once for many who want the same at the same time', async () => {
    let asked = 0
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    const handle = cached(async () => {
      asked++
      await ready
      return new Response('same', { headers: fresh })
    })
    const answers = Array.from({ length: 10 }, () => handle(new Request('http://site.test/')))
    await settled()
    resolve()
    for (const answer of answers) assert.equal(await (await answer).text(), 'same')
    assert.equal(asked, 1)
  })

  it('answers with what is stale while the app makes something new', async () => {
    let asked = 0
    const headers = { 'Cache-Control': 'max-age=0, stale-while-revalidate=60' }
    const handle = cached(() => new Response(`answer ${++asked}`, { headers }))
    for (const expected of ['answer 1', 'answer 1', 'answer 2']) {
      assert.equal(await (await handle(new Request('http://site.test/'))).text(), expected)
      await settled()
    }
  })

  it('obeys its options, and says what is wrong with them', async () => {
    let asked = 0
    const { entries, log } = memory()
    const handle = cached(() => new Response(`answer ${++asked}`), { defaultTtl: '1m', log, memory: '1mb' })
    for (let times = 0; times < 2; times++) await (await handle(new Request('http://site.test/'))).text()
    assert.equal(asked, 1)
    assert.equal(entries.length, 2)
    assert.throws(() => cached(() => new Response(), { defaultTtl: 'soon' as '1m' }), { code: 'CDN_CONFIG_INVALID' })
  })

  it('answers 502 when the app throws, at once or later, and with what is stale where there is something', async () => {
    let broken = true
    const app: App = () => {
      if (broken) throw new Error('secret')
      return new Response('good', { headers: { 'Cache-Control': 'max-age=0, stale-if-error=60' } })
    }
    for (const each of [app, async (request: Request) => app(request)]) {
      broken = true
      const handle = cached(each)
      const failed = await handle(new Request('http://site.test/'))
      assert.equal(failed.status, 502)
      assert.doesNotMatch(await failed.text(), /secret/)
      broken = false
      assert.equal(await (await handle(new Request('http://site.test/'))).text(), 'good')
      broken = true
      assert.equal(await (await handle(new Request('http://site.test/'))).text(), 'good')
    }
  })

  it('breaks off when the body of the app does, and keeps nothing of it', async () => {
    const handle = cached(() => {
      let pulled = 0
      const body = new ReadableStream({
        pull(controller) {
          if (pulled++ === 0) controller.enqueue(Buffer.from('hello'))
          else controller.error(new Error('broken'))
        },
      })
      return new Response(body, { headers: fresh })
    })
    for (let times = 0; times < 2; times++) {
      const response = await handle(new Request('http://site.test/'))
      assert.doesNotMatch(response.headers.get('cache-status') ?? '', /hit/)
      await assert.rejects(response.text(), { code: 'CDN_ORIGIN_BROKE_OFF' })
    }
  })
})
