// Who the client is, as far as proxies that are trusted say so.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { play, requestFor, scriptedOrigin } from '@simple-cdn/testing'
import { fromClient, isNetwork, plainAddress, schemeOf, TRUSTS_NOBODY, trustOf } from '../../src/engine/client.ts'

const near = trustOf(['10.0.0.0/8', '192.0.2.7', 'fdaa::/16'])
const fly = trustOf(['172.16.0.0/12'], true)

type Row = readonly [
  what: string,
  trust: typeof near,
  peer: string,
  headers: Record<string, string>,
  client: string,
  scheme: string,
]

const rows: readonly Row[] = [
  [
    'nobody is trusted',
    TRUSTS_NOBODY,
    '10.1.1.1',
    { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'https' },
    '10.1.1.1',
    'http',
  ],
  [
    'a stranger says something',
    near,
    '9.9.9.9',
    { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'https' },
    '9.9.9.9',
    'http',
  ],
  [
    'a trusted one says who it is',
    near,
    '10.1.1.1',
    { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'https' },
    '1.2.3.4',
    'https',
  ],
  ['it comes over IPv6 that is IPv4', near, '::ffff:10.1.1.1', { 'X-Forwarded-For': '1.2.3.4' }, '1.2.3.4', 'http'],
  ['it is a single address', near, '192.0.2.7', { 'X-Forwarded-For': '1.2.3.4' }, '1.2.3.4', 'http'],
  ['its neighbour is not', near, '192.0.2.8', { 'X-Forwarded-For': '1.2.3.4' }, '192.0.2.8', 'http'],
  ['the client has made something up', near, '10.1.1.1', { 'X-Forwarded-For': '6.6.6.6, 1.2.3.4, 10.2.2.2' }, '1.2.3.4', 'http'],
  ['all hops are trusted', near, '10.1.1.1', { 'X-Forwarded-For': '10.3.3.3, 10.2.2.2' }, '10.3.3.3', 'http'],
  ['a hop is no address', near, '10.1.1.1', { 'X-Forwarded-For': '1.2.3.4, unknown, 10.2.2.2' }, '10.2.2.2', 'http'],
  ['nothing is said', near, '10.1.1.1', {}, '10.1.1.1', 'http'],
  ['hops have ports', near, 'fdaa::3', { 'X-Forwarded-For': '[2001:db8::1]:4711, 10.2.2.2:80' }, '2001:db8::1', 'http'],
  ['the nearest proxy says another scheme', near, '10.1.1.1', { 'X-Forwarded-Proto': 'https, http' }, '10.1.1.1', 'http'],
  ['the scheme is none', near, '10.1.1.1', { 'X-Forwarded-Proto': 'gopher' }, '10.1.1.1', 'http'],
  [
    'Fly Proxy says who it is',
    fly,
    '172.16.0.2',
    { 'Fly-Client-IP': '1.2.3.4', 'Fly-Forwarded-Proto': 'https', 'X-Forwarded-For': '5.6.7.8', 'X-Forwarded-Proto': 'http' },
    '1.2.3.4',
    'https',
  ],
  ['Fly Proxy says only what others do', fly, '172.16.0.2', { 'X-Forwarded-For': '5.6.7.8, 172.16.0.9' }, '5.6.7.8', 'http'],
  [
    'another than Fly Proxy says it',
    near,
    '10.1.1.1',
    { 'Fly-Client-IP': '1.2.3.4', 'Fly-Forwarded-Proto': 'https' },
    '10.1.1.1',
    'http',
  ],
]

describe('the client is known when', () => {
  for (const [what, trust, peer, headers, client, scheme] of rows) {
    test(what, () => {
      const request = { ...requestFor('http://cdn.test/', { headers }), clientAddress: peer }
      const seen = fromClient(request, trust)
      assert.deepEqual([seen.clientAddress, seen.scheme, schemeOf(request, trust)], [client, scheme, scheme])
      assert.deepEqual([seen.method, seen.authority, seen.target], ['GET', 'cdn.test', '/'])
    })
  }
})

describe('addresses', () => {
  const networks: readonly [text: string, is: boolean][] = [
    ['10.0.0.0/8', true],
    ['10.0.0.1', true],
    ['fdaa::/16', true],
    ['::1', true],
    ['10.0.0.0/33', false],
    ['fdaa::/129', false],
    ['10.0.0.0/', false],
    ['10.0.0.0/8/8', false],
    ['10.0.0', false],
    ['fe80::1%eth0', false],
    ['localhost', false],
    ['', false],
  ]
  for (const [text, is] of networks)
    test(`${text || 'nothing'} is ${is ? 'one' : 'none'}`, () => assert.equal(isNetwork(text), is))

  test('are plain without brackets, port and zone', () => {
    const written = [
      '1.2.3.4',
      '1.2.3.4:80',
      '[::1]',
      '[::1]:80',
      '::1',
      'fe80::1%eth0',
      '::ffff:1.2.3.4',
      'x',
      '',
      '1.2.3',
      '[1]',
      '1.2.3.4, 5',
    ]
    const plain = [
      '1.2.3.4',
      '1.2.3.4',
      '::1',
      '::1',
      '::1',
      'fe80::1',
      '1.2.3.4',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]
    assert.deepEqual(written.map(plainAddress), plain)
  })
})

describe('a request', () => {
  const routes = [
    { match: 'https://cdn.test/*', origin: 'app' },
    { match: '/*', respond: { status: 400, body: 'not secure' } },
  ] as const

  test('of a trusted proxy takes the route of its scheme, and the origin learns who asked', async () => {
    const app = scriptedOrigin()
    const { get, entries, cdn } = play({ origins: { app }, routes, trustedProxies: ['192.0.2.0/24'] })
    const headers = { 'X-Forwarded-For': '6.6.6.6, 1.2.3.4', 'X-Forwarded-Proto': 'https', 'Fly-Region': 'fra' }
    assert.equal((await get('http://cdn.test/', { headers })).status, 200)
    const { fields } = app.requests[0] as (typeof app.requests)[0]
    const value = (name: string) => fields[fields.indexOf(name) + 1]
    assert.deepEqual([value('X-Forwarded-For'), value('X-Forwarded-Proto'), value('Fly-Region')], ['1.2.3.4', 'https', 'fra'])
    assert.deepEqual([entries[0]?.clientAddress, entries[0]?.url], ['1.2.3.4', 'https://cdn.test/'])
    assert.ok(cdn.matches(requestFor('http://cdn.test/', { headers })))
  })

  test('of anybody else does not, and internal fields in it reach nobody', async () => {
    const app = scriptedOrigin()
    app.answer({ headers: { Vary: 'Fly-Region', 'Cache-Control': 'max-age=60' } })
    const { get, entries } = play({ origins: { app }, routes: [{ match: '/*', origin: 'app' }], trustedProxies: ['10.0.0.0/8'] })
    const headers = {
      'X-Forwarded-For': '1.2.3.4',
      'X-Forwarded-Proto': 'https',
      'Fly-Client-IP': '1.2.3.4',
      'Fly-Region': 'fra',
      fly_region: 'ams',
      'X-Internal-User': 'root',
      'X-International': 'yes',
    }
    await get('http://cdn.test/', { headers })
    const names = (app.requests[0]?.fields ?? []).filter((_, at) => at % 2 === 0)
    assert.deepEqual(
      names.filter((name) => /^(fly|x-inter)/i.test(name)),
      ['X-International'],
    )
    assert.equal(entries[0]?.url, 'http://cdn.test/')
    // Nor do they choose among what is stored.
    await get('http://cdn.test/')
    assert.equal(app.requests.length, 1)
  })

  test('of Fly Proxy counts on Fly only', async (t) => {
    const before = process.env.FLY_APP_NAME
    t.after(() => {
      if (before === undefined) delete process.env.FLY_APP_NAME
      else process.env.FLY_APP_NAME = before
    })
    for (const [name, client] of [
      [undefined, '172.16.0.2'],
      ['app', '1.2.3.4'],
    ] as const) {
      if (name === undefined) delete process.env.FLY_APP_NAME
      else process.env.FLY_APP_NAME = name
      const { cdn, entries } = play({ origins: {}, routes: [{ match: '/*', respond: { status: 204 } }], trustedProxies: 'fly' })
      const answer = await cdn.handle({
        ...requestFor('/', { headers: { 'Fly-Client-IP': '1.2.3.4' } }),
        clientAddress: '172.16.0.2',
      })
      answer.finished(0, true)
      assert.equal(entries[0]?.clientAddress, client)
    }
  })
})

describe('an origin', () => {
  test('cannot tell Fly Proxy what to do', async () => {
    const app = scriptedOrigin()
    const { get } = play({ origins: { app }, routes: [{ match: '/*', origin: 'app' }] })
    for (const caching of ['no-store', 'max-age=60']) {
      app.answer({
        headers: { 'Fly-Replay': 'app=other', 'fly-replay-cache': 'other.test/*', 'Cache-Control': caching },
        body: 'mine',
      })
      const got = await get(`/${caching}`)
      assert.deepEqual([got.text, got.header('Fly-Replay'), got.header('Fly-Replay-Cache')], ['mine', '', ''])
    }
    app.answer({ headers: { 'Content-Type': 'application/vnd.Fly.replay+json; charset=utf-8' }, body: '{"app":"other"}' })
    const refused = await get('/json')
    assert.equal(refused.status, 502)
    assert.match(refused.text, /CDN_ORIGIN_PROTOCOL/)
  })
})
