// What is stored is served while it is fresh; what is stale is validated, served meanwhile, or stands in for a failing origin.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheConfig } from '@simple-cdn/core'
import { play, scriptedOrigin, settled } from '@simple-cdn/testing'

function site(cache: CacheConfig = {}) {
  const origin = scriptedOrigin()
  return { origin, ...play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin', cache }] }) }
}

describe('a fresh response', () => {
  it('is answered from the store, with its age', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    const miss = await get('/page')
    assert.equal(miss.header('cache-status'), 'simple-cdn; fwd=uri-miss; fwd-status=200; ttl=60; stored')
    await clock.advance(10_000)
    const hit = await get('/page')
    assert.equal(hit.header('cache-status'), 'simple-cdn; hit; ttl=50')
    assert.equal(hit.header('age'), '10')
    assert.equal(hit.text, 'hello')
    assert.equal(hit.header('content-length'), '5')
    assert.equal(origin.requests.length, 1)
  })

  it('is not shared between hosts, schemes or queries', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' } })
    for (const url of ['http://a.test/', 'https://a.test/', 'http://b.test/', 'http://a.test/?x=1', 'http://a.test/?x=2'])
      await get(url)
    assert.equal(origin.requests.length, 5)
  })

  it('is the same whatever the order of the parameters, and the origin is asked as the client asked', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' } })
    await get('/?b=2&a=1')
    await get('/?a=1&b=2')
    assert.deepEqual(
      origin.requests.map((request) => request.target),
      ['/?b=2&a=1'],
    )
  })

  it('answers HEAD without a body', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    await get('/')
    const head = await get('/', { method: 'HEAD' })
    assert.equal(head.text, '')
    assert.equal(head.header('content-length'), '5')
    assert.match(head.header('cache-status'), /hit/)
  })
})

describe('a request that says no-store, on a route that obeys clients', () => {
  for (const [what, waited] of [
    ['nothing', undefined],
    ['a stale response', 61_000],
  ] as const) {
    it(`leaves the store as it is when it holds ${what}`, async () => {
      const { origin, clock, get } = site({ honorRequestDirectives: true })
      origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'old' })
      if (waited !== undefined) {
        await get('/')
        await clock.advance(waited)
      }
      origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'new' })
      assert.equal((await get('/', { headers: { 'Cache-Control': 'no-store' } })).text, 'new')
      const asked = origin.requests.length
      await get('/')
      assert.equal(origin.requests.length, asked + 1, 'the next one asks again')
      assert.match((await get('/')).header('cache-status'), /; hit/)
    })
  }
})

describe('a HEAD for what is not stored', () => {
  it('asks for the whole, so that who asks next has a hit', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    const head = await get('/', { method: 'HEAD', headers: { Range: 'bytes=0-1' } })
    assert.equal(head.text, '')
    assert.equal(head.header('content-length'), '5')
    assert.match(head.header('cache-status'), /fwd=uri-miss.*; stored/)
    assert.match((await get('/', { method: 'HEAD' })).header('cache-status'), /; hit/)
    assert.equal((await get('/')).text, 'hello')
    assert.deepEqual(
      origin.requests.map(({ method }) => method),
      ['GET'],
    )
  })

  it('does not fetch a large body for nobody', async () => {
    const { origin, get } = site()
    let sent = 0
    const body = (async function* () {
      for (; sent < 64; sent++) yield new Uint8Array(1024 * 1024)
    })()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', 'Content-Length': String(64 * 1024 * 1024) }, body })
    assert.equal((await get('/', { method: 'HEAD' })).header('content-length'), String(64 * 1024 * 1024))
    assert.ok(sent < 4, `${sent} of 64 MiB were fetched`)
  })

  it('stays a HEAD when the last answer was not for everybody', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'private' }, body: 'mine' })
    await get('/')
    await get('/', { method: 'HEAD' })
    assert.equal(origin.requests.at(-1)?.method, 'HEAD')
  })
})

describe('a stale response', () => {
  it('is validated, and served again when the origin says 304', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"', 'X-Version': 'a' }, body: 'hello' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ status: 304, headers: { 'Cache-Control': 'max-age=30', ETag: '"1"', 'X-Version': 'b' } })
    const validated = await get('/')
    assert.equal(origin.requests[1]?.fields.includes('If-None-Match'), true)
    assert.equal(validated.status, 200)
    assert.equal(validated.text, 'hello')
    assert.equal(validated.header('x-version'), 'b')
    assert.equal(validated.header('cache-status'), 'simple-cdn; fwd=stale; fwd-status=304; ttl=30; stored')
    await clock.advance(29_000)
    assert.match((await get('/')).header('cache-status'), /; hit/)
  })

  it('that the origin confirms but allows to keep no longer is delivered with what the origin says of it now', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'hello' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ status: 304, headers: { 'Cache-Control': 'private, max-age=60', ETag: '"1"' } })
    const confirmed = await get('/')
    assert.equal(confirmed.text, 'hello')
    assert.equal(confirmed.header('cache-control'), 'private, max-age=60')
    assert.equal(confirmed.header('age'), '0')
    assert.equal(confirmed.header('date'), 'Fri, 06 Jun 2014 00:01:01 GMT')
    assert.equal(confirmed.header('cache-status'), 'simple-cdn; fwd=stale; fwd-status=304; ttl=0; detail=private')
    await get('/')
    assert.equal(origin.requests.length, 3)
  })

  it('that may be kept no longer tells no client what the origin told another', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'no-cache', ETag: '"1"' }, body: 'hello' })
    await get('/')
    const { promise, resolve } = Promise.withResolvers<void>()
    origin.answer(({ fields }) => ({
      status: 304,
      headers: { 'Cache-Control': 'private', ETag: '"1"', 'X-For': fields[fields.indexOf('X-Who') + 1] ?? '' },
      after: promise,
    }))
    const clients = ['a', 'b', 'c'].map((who) => get('/', { headers: { 'X-Who': who } }))
    await settled()
    resolve()
    assert.deepEqual(
      (await Promise.all(clients)).map((answer) => answer.header('x-for')),
      ['a', 'b', 'c'],
    )
  })

  it('is replaced when the origin has another', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'old' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"2"' }, body: 'new' })
    assert.equal((await get('/')).text, 'new')
    assert.equal((await get('/')).text, 'new')
    assert.equal(origin.requests.length, 2)
  })

  it('keeps the fields meant for the CDN through a 304 that does not repeat them', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'no-store', 'Surrogate-Control': 'max-age=60', ETag: '"1"' }, body: 'page' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ status: 304, headers: { ETag: '"1"' } })
    await get('/')
    await clock.advance(30_000)
    const again = await get('/')
    assert.match(again.header('cache-status'), /; hit/)
    assert.equal(again.header('surrogate-control'), '')
    assert.equal(again.header('cache-control'), 'no-store')
  })

  it("is never given one client's cookie from a 304, though that client gets it", async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'public, max-age=60', ETag: '"1"' } })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ status: 304, headers: { ETag: '"1"', 'Set-Cookie': 'session=secret' } })
    assert.equal((await get('/')).header('set-cookie'), 'session=secret')
    assert.equal((await get('/')).header('set-cookie'), '')
  })

  it('is removed when what replaces it may not be kept', async () => {
    const { origin, clock, get, cdn } = site({ staleWhileRevalidate: '1h' })
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'public' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ headers: { 'Cache-Control': 'private' }, body: 'private' })
    assert.equal((await get('/')).text, 'public')
    assert.equal(cdn.stats().store.responses, 0)
    assert.equal((await get('/')).text, 'private')
  })
})

describe('stale-while-revalidate', () => {
  it('serves the stale response at once, and the new one from then on', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-while-revalidate=30' }, body: 'old' })
    await get('/')
    await clock.advance(70_000)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'new' })
    const stale = await get('/')
    assert.equal(stale.text, 'old')
    assert.equal(stale.header('cache-status'), 'simple-cdn; hit; ttl=-10; detail=stale-while-revalidate')
    assert.equal((await get('/')).text, 'new')
    assert.equal(origin.requests.length, 2)
  })

  it('asks the origin once, however many clients come meanwhile', async () => {
    const { origin, clock, get, cdn } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-while-revalidate=30' } })
    await get('/')
    await clock.advance(70_000)
    const { promise, resolve } = Promise.withResolvers<void>()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, after: promise })
    await Promise.all(Array.from({ length: 20 }, () => get('/')))
    assert.equal(origin.requests.length, 2)
    resolve()
    await clock.advance(0)
    assert.equal(cdn.stats().revalidations.started, 1)
  })

  it('passes the request fields on, but not the condition of the client', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-while-revalidate=30', ETag: '"1"' } })
    await get('/')
    await clock.advance(70_000)
    await get('/', { headers: { 'If-None-Match': '"other"', 'X-Own': 'yes', Range: 'bytes=0-1' } })
    const fields = origin.requests[1]?.fields ?? []
    assert.ok(fields.includes('X-Own') && fields.includes('"1"'))
    assert.ok(!fields.includes('"other"') && !fields.includes('Range'))
  })
})

describe('an origin that fails', () => {
  for (const failure of [
    { status: 500 },
    { status: 502 },
    { status: 503 },
    { status: 504 },
    { fails: 'CDN_ORIGIN_UNREACHABLE' },
    { fails: 'CDN_ORIGIN_TIMEOUT' },
    { fails: 'CDN_ORIGIN_PROTOCOL' },
  ] as const) {
    it(`is stood in for by the stale response (${JSON.stringify(failure)})`, async () => {
      const { origin, clock, get, entries } = site()
      origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-if-error=600' }, body: 'good' })
      await get('/')
      await clock.advance(100_000)
      origin.answer(failure)
      const stale = await get('/')
      assert.equal(stale.status, 200)
      assert.equal(stale.text, 'good')
      assert.match(stale.header('cache-status'), /^simple-cdn; fwd=stale;.* ttl=-40; detail=stale-if-error$/)
      assert.equal(entries[1]?.error?.code, 'fails' in failure ? failure.fails : 'CDN_ORIGIN_FAILED')
    })
  }

  it('is not stood in for when the window is over', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-if-error=600' } })
    await get('/')
    await clock.advance(661_000)
    origin.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    const failed = await get('/')
    assert.equal(failed.status, 502)
    assert.equal(failed.header('cache-status'), 'simple-cdn; fwd=stale; detail=CDN_ORIGIN_UNREACHABLE')
    assert.equal(failed.header('cache-control'), 'no-store')
  })

  for (const directive of ['must-revalidate', 'proxy-revalidate', 'no-cache']) {
    it(`is not stood in for when the response says ${directive}`, async () => {
      const { origin, clock, get } = site()
      origin.answer({ headers: { 'Cache-Control': `max-age=60, ${directive}` } })
      await get('/')
      await clock.advance(61_000)
      origin.answer({ fails: 'CDN_ORIGIN_TIMEOUT' })
      assert.equal((await get('/')).status, 504)
    })
  }

  it('tells clients nothing about itself', async () => {
    const { origin, get } = site()
    origin.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    assert.equal((await get('/')).text, '502 the origin could not be reached (CDN_ORIGIN_UNREACHABLE)\n')
  })

  it('that breaks off leaves nothing in the store, and the client can tell', async () => {
    const { origin, get, cdn } = site()
    origin.answer({
      headers: { 'Cache-Control': 'max-age=60', 'Content-Length': '10' },
      body: (async function* () {
        yield new TextEncoder().encode('half')
      })(),
    })
    const broken = await get('/')
    assert.equal(broken.text, 'half')
    assert.ok(broken.brokenOff instanceof Error)
    assert.equal(cdn.stats().store.responses, 0)
  })
})
