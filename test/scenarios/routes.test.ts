// What a route does with requests and responses besides caching: conditions, tables, fields, CORS, access, error pages.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CdnConfig, signedUrl } from '@simple-cdn/core'
import { type Got, play, type ScriptedOrigin, scriptedOrigin } from '@simple-cdn/testing'

type Routes = CdnConfig<{ app: ScriptedOrigin; files: ScriptedOrigin }>['routes']

function site(routes: Routes, config: Partial<CdnConfig> = {}) {
  const [app, files] = [scriptedOrigin('app'), scriptedOrigin('files')]
  app.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'app' })
  files.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'files' })
  return { app, files, ...play({ ...config, origins: { app, files }, routes } as CdnConfig) }
}

const linesOf = ({ fields }: { readonly fields: readonly string[] }, name: string): readonly string[] =>
  fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name)

const hit = (got: Got): boolean => /; hit/.test(got.header('cache-status'))

describe('conditions', () => {
  const routes = (when: Routes[number]['when']): Routes => [
    { match: '/*', ...(when && { when }), respond: { status: 200, body: 'yes' } },
    { match: '/*', respond: { status: 200, body: 'no' } },
  ]
  const cases = [
    ['a method', { methods: ['POST'] }, '/', { method: 'POST' }, 'yes'],
    ['another method', { methods: ['POST'] }, '/', {}, 'no'],
    ['a field that is there', { headers: { 'X-Beta': true } }, '/', { headers: { 'x-beta': '' } }, 'yes'],
    ['a field that is not', { headers: { 'X-Beta': true } }, '/', {}, 'no'],
    ['no such field', { headers: { 'X-Beta': false } }, '/', {}, 'yes'],
    ['a part of a value', { headers: { 'User-Agent': 'Firefox*' } }, '/', { headers: { 'User-Agent': 'Firefox/1' } }, 'yes'],
    ['one of several values', { cookies: { ab: ['b', 'c'] } }, '/', { headers: { Cookie: 'x=1; ab=c' } }, 'yes'],
    ['none of several values', { cookies: { ab: ['b', 'c'] } }, '/', { headers: { Cookie: 'ab=d' } }, 'no'],
    ['a query parameter', { query: { preview: true } }, '/?a&preview', {}, 'yes'],
    ['a value with an equals sign, escaped', { query: { a: 'b=c d' } }, '/?a=b%3Dc+d', {}, 'yes'],
    ['all of two', { query: { a: '1' }, headers: { b: '2' } }, '/?a=1', { headers: { b: '2' } }, 'yes'],
    ['one of two', { query: { a: '1' }, headers: { b: '2' } }, '/?a=1', {}, 'no'],
  ] as const
  for (const [what, when, path, asked, expected] of cases)
    it(`${what}: ${expected}`, async () => assert.equal((await site(routes(when)).get(path, asked)).text, expected))

  it('do not keep middleware from handing on what no route takes', () => {
    const { cdn } = site([{ match: '/*', when: { cookies: { beta: true } }, origin: 'app' }])
    const request = { scheme: 'http', authority: 'cdn.test', target: '/', method: 'GET' } as const
    assert.equal(cdn.matches({ ...request, fields: ['Cookie', 'beta=1'] }), true)
    assert.equal(cdn.matches({ ...request, fields: [] }), false)
  })
})

describe('several paths in one route', () => {
  it('are taken as if each had a route of its own', async () => {
    const { get } = site([
      { match: ['/a', '/b/*'], origin: 'app', rewrite: '/x' },
      { match: '/*', origin: 'files' },
    ])
    for (const [path, text] of [
      ['/a', 'app'],
      ['/b/c', 'app'],
      ['/ab', 'files'],
    ] as const)
      assert.equal((await get(path)).text, text)
  })
})

describe('a table', () => {
  const table = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`/old/${at}`, `/new/${at}`]))

  it('of redirects takes its paths, keeps the query, and leaves all else to the routes below', async () => {
    const { get } = site([
      { match: '/*', redirect: table, status: 308 },
      { match: '/*', origin: 'app' },
    ])
    const moved = await get('/old/9999?a=b')
    assert.deepEqual([moved.status, moved.header('location')], [308, '/new/9999?a=b'])
    assert.equal((await get('/old/10000')).text, 'app')
  })

  it('may drop the query', async () => {
    const { get } = site([{ match: '/*', redirect: { '/a': 'https://b.test/c' }, keepQuery: false }])
    assert.equal((await get('/a?x')).header('location'), 'https://b.test/c')
  })

  it('of rewrites changes what the origin is asked, and not the key', async () => {
    const { get, files, entries } = site([
      { match: '/*', origin: 'files', rewrite: { '/feed': '/feed.xml' }, keepQuery: false },
      { match: '/*', origin: 'app' },
    ])
    await get('/feed?a')
    await get('/feed.xml')
    assert.deepEqual(
      files.requests.map(({ target }) => target),
      ['/feed.xml'],
    )
    assert.equal(entries[0]?.cache.key, 'http://cdn.test/feed?a')
  })
})

describe('a redirect to the same host', () => {
  it('forces https, whatever the host is', async () => {
    const { get } = site([
      { match: 'http://*/*', redirect: 'https://{host}/*' },
      { match: '/*', origin: 'app' },
    ])
    assert.equal((await get('http://a.test:8080/x?y')).header('location'), 'https://a.test/x?y')
    assert.equal((await get('https://a.test/x')).text, 'app')
  })
})

describe('fields', () => {
  it('of the request are set, added and removed before the origin gets them', async () => {
    const { get, app } = site([
      {
        match: '/*',
        origin: 'app',
        requestHeaders: {
          'X-Path': '{method} {scheme}://{host}{path} from {client}',
          'X-Secret': false,
          'X-Tag': { add: '{header.x-a}' },
        },
      },
    ])
    await get('http://a.test/p?q', { headers: { 'X-Secret': 's', 'X-Tag': 'one', 'X-A': 'two' } })
    const [asked = { fields: [] }] = app.requests
    assert.deepEqual(linesOf(asked, 'x-path'), ['GET http://a.test/p from 192.0.2.1'])
    assert.deepEqual(linesOf(asked, 'x-secret'), [])
    assert.deepEqual(linesOf(asked, 'x-tag'), ['one', 'two'])
  })

  it('of the response are for the client, hit or miss, and differ from request to request', async () => {
    const { get, app } = site([
      {
        match: '/*',
        origin: 'app',
        responseHeaders: { Server: false, 'X-For': '{query.who}{cookie.who}', 'Set-Cookie': { add: 'seen=1' } },
      },
    ])
    app.answer({ headers: { 'Cache-Control': 'max-age=60', Server: 'secret/1.0' } })
    for (const who of ['ada', 'bob']) {
      const got = await get('/', { headers: { Cookie: `who=${who}` } })
      assert.deepEqual([got.header('server'), got.header('x-for'), got.header('set-cookie')], ['', who, 'seen=1'], who)
    }
  })

  it('cannot be broken out of: a line feed in a query is not one in a field', async () => {
    const { get } = site([{ match: '/*', origin: 'app', responseHeaders: { 'X-A': '{query.a}' } }])
    assert.equal((await get('/?a=b%0D%0AX-Evil:%20c')).header('x-a'), 'bX-Evil: c')
  })

  it('carry one id through origin, answer and all', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app' }], {
      defaults: { requestHeaders: { 'X-Request-Id': '{id}' }, responseHeaders: { 'X-Request-Id': '{id}' } },
    })
    const own = (await get('/')).header('x-request-id')
    assert.match(own, /^[0-9a-f-]{36}$/)
    assert.deepEqual(linesOf(app.requests[0] ?? { fields: [] }, 'x-request-id'), [own])
    assert.equal((await get('/', { headers: { 'X-Request-Id': 'theirs' } })).header('x-request-id'), 'theirs')
  })

  it('of all routes stand beside those of one', async () => {
    const { get } = site([{ match: '/*', origin: 'app', responseHeaders: { 'X-B': 'route' } }], {
      defaults: { responseHeaders: { 'X-A': 'all', 'X-B': 'all' } },
    })
    const got = await get('/')
    assert.deepEqual([got.header('x-a'), got.header('x-b')], ['all', 'route'])
  })
})

describe('HSTS', () => {
  it('is said over https only (RFC 6797 §7.2)', async () => {
    const { get } = site([{ match: '/*', origin: 'app', hsts: true }])
    assert.equal((await get('https://a.test/')).header('strict-transport-security'), 'max-age=31536000')
    assert.equal((await get('http://a.test/')).header('strict-transport-security'), '')
  })
})

describe('CORS', () => {
  const preflight = {
    method: 'OPTIONS',
    headers: { Origin: 'https://b.test', 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'x-a' },
  }

  it('for all sites is on every answer, and in place of what the origin says', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', cors: true }])
    app.answer({ headers: { 'Access-Control-Allow-Origin': 'https://other.test' } })
    assert.equal((await get('/')).header('access-control-allow-origin'), '*')
    assert.equal((await get('/')).header('vary'), '')
  })

  it('answers preflights itself, and passes on other OPTIONS', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', cors: { methods: ['PUT'], maxAge: '1h' } }])
    const got = await get('/', preflight)
    assert.equal(got.status, 204)
    assert.equal(got.header('access-control-allow-methods'), 'PUT')
    assert.equal(got.header('access-control-allow-headers'), 'x-a')
    assert.equal(got.header('access-control-max-age'), '3600')
    assert.equal(app.requests.length, 0)
    await get('/', { method: 'OPTIONS' })
    assert.equal(app.requests[0]?.method, 'OPTIONS')
  })

  it('for some sites names the one that asks, hit or miss, and no other', async () => {
    const { get } = site([{ match: '/*', origin: 'app', cors: { origins: ['https://b.test'], credentials: true } }])
    for (const [origin, allowed] of [
      ['https://b.test', 'https://b.test'],
      ['https://evil.test', ''],
      ['https://b.test', 'https://b.test'],
    ]) {
      const got = await get('/', { headers: { Origin: origin as string } })
      assert.equal(got.header('access-control-allow-origin'), allowed)
      assert.equal(got.header('vary'), 'Origin')
    }
  })
})

describe('access', () => {
  it('by address: who is not let in gets 403, and nothing is asked', async () => {
    const { get, app } = site([
      { match: '/*', origin: 'app', access: { allow: ['192.0.2.0/24', '2001:db8::/32'], deny: ['192.0.2.66'] } },
    ])
    for (const [clientAddress, status] of [
      ['192.0.2.1', 200],
      ['::ffff:192.0.2.1', 200],
      ['2001:db8::1', 200],
      ['192.0.2.66', 403],
      ['198.51.100.1', 403],
    ] as const)
      assert.equal((await get('/', { clientAddress })).status, status, clientAddress)
    assert.equal(app.requests.length, 1)
  })

  it('by password: 401 without; the origin never sees it, and the answer is stored', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', access: { basic: { ada: 'correct horse' } } }])
    const refused = await get('/')
    assert.deepEqual([refused.status, refused.header('www-authenticate')], [401, 'Basic realm="/*", charset="UTF-8"'])
    const headers = (text: string) => ({ headers: { Authorization: `Basic ${Buffer.from(text).toString('base64')}` } })
    assert.equal((await get('/', headers('ada:wrong'))).status, 401)
    assert.equal((await get('/', headers('ada:correct horse'))).text, 'app')
    assert.deepEqual(linesOf(app.requests[0] ?? { fields: [] }, 'authorization'), [])
    assert.ok(hit(await get('/', headers('ada:correct horse'))))
    assert.equal((await get('/')).status, 401, 'a hit is not for everybody')
  })

  it('by signed URL: until it expires, for this URL alone; the key is that of the URL', async () => {
    const { get, app, clock } = site([
      { match: '/*', origin: 'app', access: { signedWith: ['new secret, 16 or more', 'an old secret of ours'] } },
    ])
    const signed = signedUrl('http://a.test/film?q=1', {
      secret: 'an old secret of ours',
      expires: new Date(clock.now() + 60_000),
    })
    assert.equal((await get('http://a.test/film?q=1')).status, 403)
    assert.equal((await get(signed)).text, 'app')
    assert.equal(app.requests[0]?.target, '/film?q=1')
    assert.ok(hit(await get(signed)))
    for (const forged of [
      signed.replace('film', 'other'),
      signed.replace('a.test', 'b.test'),
      signed.replace(/expires=\d/, 'expires=9'),
      `${signed}&x`,
    ])
      assert.equal((await get(forged)).status, 403, forged)
    await clock.advance(61_000)
    const late = await get(signed)
    assert.deepEqual([late.status, /expired/.test(late.text)], [403, true])
  })
})

describe('error pages', () => {
  it('stand in for our own errors, and leave those of the origin alone', async () => {
    const { get, app } = site([
      { match: '/*', origin: 'app', methods: ['GET'], errorPages: { '502': '<h1>Sorry</h1>', '4xx': 'No.' } },
    ])
    app.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    const sorry = await get('/')
    assert.deepEqual(
      [sorry.status, sorry.text, sorry.header('content-type')],
      [502, '<h1>Sorry</h1>', 'text/html; charset=utf-8'],
    )
    assert.equal((await get('/', { method: 'PUT' })).text, 'No.')
    app.answer({ status: 404, body: 'theirs' })
    assert.equal((await get('/')).text, 'theirs')
  })
})

describe('a key', () => {
  it('without tracking parameters is one for all visitors, and the origin is not told either', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', cache: { key: { query: 'no-tracking' } } }])
    await get('/?b=1&utm_source=x&a=2&fbclid=y')
    assert.ok(hit(await get('/?a=2&utm_medium=z&b=1')))
    assert.deepEqual(
      app.requests.map(({ target }) => target),
      ['/?b=1&a=2'],
    )
  })

  it('may leave out what it names', async () => {
    const { get } = site([{ match: '/*', origin: 'app', cache: { key: { query: { ignore: ['ref', 'x_*'] } } } }])
    await get('/?a&ref=1&x_b=2')
    assert.ok(hit(await get('/?x_c&a')))
    assert.ok(!hit(await get('/?a&refs=1')))
  })
})

describe('cookies', () => {
  it('are taken out in both directions where a route says so', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', cache: { stripCookies: true } }])
    app.answer({ headers: { 'Cache-Control': 'max-age=60', 'Set-Cookie': 'a=b' } })
    const first = await get('/', { headers: { Cookie: 'session=1' } })
    assert.equal(first.header('set-cookie'), '')
    assert.deepEqual(linesOf(app.requests[0] ?? { fields: [] }, 'cookie'), [])
    assert.ok(hit(await get('/')))
  })

  it('are left in for those whom a cookie takes past the cache', async () => {
    const { get, app } = site([{ match: '/*', origin: 'app', cache: { stripCookies: true, bypassCookies: ['login'] } }])
    app.answer({ headers: { 'Set-Cookie': 'a=b' } })
    assert.equal((await get('/', { headers: { Cookie: 'login=1' } })).header('set-cookie'), 'a=b')
    assert.deepEqual(linesOf(app.requests[0] ?? { fields: [] }, 'cookie'), ['login=1'])
  })
})

describe('a lifetime by status', () => {
  it('keeps errors for a while, where the origin does not say', async () => {
    const { get, app, clock } = site([
      { match: '/*', origin: 'app', cache: { defaultTtl: '1h', ttlByStatus: { '404': '10s', '4xx': '5s' } } },
    ])
    app.answer({ status: 404 })
    await get('/')
    assert.ok(hit(await get('/')))
    await clock.advance(10_000)
    assert.ok(!hit(await get('/')))
    app.answer({ status: 410 })
    await get('/gone')
    await clock.advance(4_999)
    assert.ok(hit(await get('/gone')))
    app.answer({ status: 404, headers: { 'Cache-Control': 'no-store' } })
    await get('/never')
    assert.ok(!hit(await get('/never')))
  })
})
