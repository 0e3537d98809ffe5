// The admin listener: closed to whoever has no token, and what it says to those who have.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { listenAdmin, type Subject } from '../src/admin.ts'
import { rawClient } from './support/raw-client.ts'
import { serve } from './support/served.ts'

const TOKEN = 'known-to-few-only'

interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

async function admin(t: TestContext) {
  const served = await serve(t, { admin: { token: TOKEN } })
  const url = served.server.adminUrl as string
  return {
    ...served,
    adminUrl: url,
    async ask(path: string, authorization: string | undefined = `Bearer ${TOKEN}`, method = 'GET'): Promise<Asked> {
      const response = await fetch(url + path, { method, headers: authorization === undefined ? {} : { authorization } })
      return { status: response.status, headers: response.headers, text: await response.text() }
    },
  }
}

describe('the admin listener', { timeout: 20_000 }, () => {
  test('tells nothing to whoever does not know the token, not even which paths there are', async (t) => {
    const { ask, adminUrl } = await admin(t)
    const credentials = ['', 'Bearer', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${btoa(`x:${TOKEN}`)}`, TOKEN]
    for (const authorization of credentials) {
      for (const path of ['/health', '/ready', '/stats', '/metrics', '/explain?url=http://cdn.test/', '/none']) {
        for (const method of ['GET', 'POST', 'DELETE']) {
          const { status, headers, text } = await ask(path, authorization, method)
          assert.deepEqual([status, headers.get('www-authenticate'), text], [401, 'Bearer', ''], `${method} ${path}`)
        }
      }
    }
    // Nor for the token in the URL, where it would end up in logs.
    const client = await rawClient(t, adminUrl, `GET /health?token=${TOKEN} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 401 /)
  })

  test('is opened by the token, in whatever case the scheme is written', async (t) => {
    const { ask } = await admin(t)
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) assert.equal((await ask('/health', `${scheme} ${TOKEN}`)).status, 200)
  })

  test('makes a token of its own that nobody guesses, another at each start', async (t) => {
    const [one, other] = [await serve(t), await serve(t)]
    assert.match(one.server.adminToken ?? '', /^[\w-]{32}$/)
    assert.notEqual(one.server.adminToken, other.server.adminToken)
  })

  const answers: readonly [path: string, status: number, body: unknown][] = [
    ['/health', 200, { healthy: true }],
    ['/ready', 200, { ready: true }],
    ['/none', 404, { error: 'there are /health, /ready, /stats, /metrics, /tail, /explain and /purge' }],
    ['/', 404, { error: 'there are /health, /ready, /stats, /metrics, /tail, /explain and /purge' }],
    ['/explain', 400, { error: '"" is not the whole URL of a request, such as "http://localhost:8080/feed.xml"' }],
    ['/explain?url=/a', 400, { error: '"/a" is not the whole URL of a request, such as "http://localhost:8080/feed.xml"' }],
    [
      '/explain?url=ftp://a/',
      400,
      { error: '"ftp://a/" is not the whole URL of a request, such as "http://localhost:8080/feed.xml"' },
    ],
    ['/explain?url=http://a/&header=no', 400, { error: '"no" is not a header, such as "Cookie: a=b"' }],
    ['/explain?url=http://a/&header=A:b%0Ac', 400, { error: '"A:b\nc" is not a header, such as "Cookie: a=b"' }],
  ]
  for (const [path, status, body] of answers) {
    test(`answers ${path} with ${status}`, async (t) => {
      const { ask } = await admin(t)
      const answer = await ask(path)
      assert.equal(answer.status, status)
      assert.equal(answer.headers.get('content-type'), 'application/json')
      assert.equal(answer.headers.get('cache-control'), 'no-store')
      assert.deepEqual(JSON.parse(answer.text), body)
    })
  }

  test('is only read', async (t) => {
    const { ask } = await admin(t)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { status, headers, text } = await ask('/stats', undefined, method)
      assert.deepEqual([status, headers.get('allow'), JSON.parse(text)], [405, 'GET', { error: 'only GET' }])
    }
  })

  test('outlives a target that is no URL', async (t) => {
    const { adminUrl, ask } = await admin(t)
    for (const target of ['//', '/\\', 'http://[/', '*']) {
      const head = `GET ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`
      assert.match(await (await rawClient(t, adminUrl, head)).end(), /^HTTP\/1\.1 40[04] /, target)
    }
    assert.equal((await ask('/health')).status, 200)
  })

  test('counts requests, hits and connections', async (t) => {
    const { ask, url, until, entries, origin } = await admin(t)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    const client = await rawClient(t, url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => entries.length === 1)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => entries.length === 2)
    const { requests, hits, open, store, log, listener } = JSON.parse((await ask('/stats')).text)
    assert.deepEqual({ requests, hits, open }, { requests: 2, hits: 1, open: 0 })
    assert.deepEqual(listener, { connections: 1, dropped: 0, refused: 0, stalled: 0, failedHandshakes: 0, malformed: 0 })
    assert.deepEqual([store.name, store.responses, store.failures], ['memory', 1, 0])
    assert.deepEqual(log, [
      { name: 'test', failed: 0, dropped: 0 },
      { name: 'tail', failed: 0, dropped: 0 },
    ])
  })

  test('has the same figures for Prometheus', async (t) => {
    const { ask, url, until, entries, origin } = await admin(t)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    await rawClient(t, url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => entries.length === 1)
    const { headers, text } = await ask('/metrics')
    assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
    const lines = text.split('\n')
    for (const line of [
      '# TYPE simple_cdn_requests untyped',
      'simple_cdn_requests 1',
      'simple_cdn_store_responses 1',
      'simple_cdn_purges_current 1',
      'simple_cdn_log_dropped{sink="test"} 0',
      'simple_cdn_log_dropped{sink="tail"} 0',
    ])
      assert.ok(lines.includes(line), `${line} is not in\n${text}`)
    for (const line of lines.slice(0, -1))
      assert.match(line, /^(# TYPE \w+ untyped|[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?\d+(\.\d+)?)$/)
    const names = lines.filter((line) => line.startsWith('#'))
    assert.equal(new Set(names).size, names.length)
  })

  test('answers though something cannot say how it is', async (t) => {
    const stats = () => {
      throw new Error('no figures')
    }
    const { url, close } = await listenAdmin({ host: '127.0.0.1', port: 0, token: TOKEN }, { stats } as unknown as Subject)
    t.after(close)
    for (const path of ['/stats', '/metrics']) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${TOKEN}` } })
      assert.deepEqual([response.status, await response.json()], [500, { error: 'no figures' }])
    }
  })

  test('explains a request, with the fields it is said to have', async (t) => {
    const { ask, origin } = await admin(t)
    const { status, text } = await ask('/explain?url=http://cdn.test/a?b&header=Cookie:%20c=d&method=HEAD')
    assert.equal(status, 200)
    const { key, route, lines } = JSON.parse(text)
    assert.deepEqual([key, route], ['http://cdn.test/a?b', '/*'])
    assert.equal(lines[1], 'fetch: nothing is stored under this key')
    assert.deepEqual(origin.requests, [])
  })

  test('need not be there', async (t) => {
    const { server } = await serve(t, { admin: false })
    assert.deepEqual([server.adminUrl, server.adminToken], [undefined, undefined])
  })
})
