// An origin that fails and another that stands in for it: before anything stale is served, and for safe requests only.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Origin } from '@simple-cdn/core'
import { play, scriptedOrigin } from '@simple-cdn/testing'
import { withFallback } from '../../packages/core/src/origins/fallback.ts'

function site(health?: { isHealthy: boolean }) {
  const main = scriptedOrigin('main')
  const spare = scriptedOrigin('spare')
  const known: Origin = health === undefined ? main : { ...main, isHealthy: () => health.isHealthy }
  const app = withFallback(known, spare)
  spare.answer({ headers: { 'Cache-Control': 'max-age=10' }, body: 'spare' })
  return { main, spare, app, ...play({ origins: { app }, routes: [{ match: '/*', origin: 'app' }] }) }
}

for (const fails of ['CDN_ORIGIN_UNREACHABLE', 'CDN_ORIGIN_TIMEOUT', 'CDN_ORIGIN_PROTOCOL'] as const) {
  test(`a fallback answers for an origin that does not (${fails}), and what it says is stored`, async () => {
    const { main, spare, cdn, get } = site()
    main.answer({ fails })
    assert.equal((await get('/')).text, 'spare')
    assert.match((await get('/')).header('cache-status'), /^simple-cdn; hit/)
    assert.equal(spare.requests.length, 1)
    assert.deepEqual(cdn.stats().origins, [{ name: 'main', addresses: [], fellBack: 1 }])
  })
}

for (const status of [500, 502, 503, 504]) {
  test(`a fallback answers for an origin that answers with ${status}, and what it says is stored`, async () => {
    const { main, spare, cdn, get } = site()
    main.answer({ status })
    assert.equal((await get('/')).text, 'spare')
    assert.match((await get('/')).header('cache-status'), /^simple-cdn; hit/)
    assert.equal(spare.requests.length, 1)
    assert.deepEqual(cdn.stats().origins, [{ name: 'main', addresses: [], fellBack: 1 }])
  })
}

test('a fallback that fails as well leaves the answer to the origin', async () => {
  const { main, spare, get } = site()
  main.answer({ status: 503, body: 'main' })
  for (const worse of [{ status: 500 }, { fails: 'CDN_ORIGIN_UNREACHABLE' }] as const) {
    spare.answer(worse)
    const { status, text } = await get('/')
    assert.deepEqual([status, text], [503, 'main'])
  }
  assert.equal(spare.requests.length, 2)
})

test('a fallback that answers with a failure leaves the error to the origin, and so what is stale may be served', async () => {
  const { main, spare, clock, get, entries } = site()
  main.answer({ headers: { 'Cache-Control': 'max-age=10, stale-if-error=1000' }, body: 'main' })
  await get('/')
  await clock.advance(11_000)
  main.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
  spare.answer({ status: 503 })
  assert.match((await get('/')).header('cache-status'), /detail=stale-if-error$/)
  assert.deepEqual(entries.at(-1)?.error, {
    code: 'CDN_ORIGIN_UNREACHABLE',
    message: 'the origin could not be reached: main; its fallback: the origin answered with an error: spare answered 503',
  })
  await clock.advance(2_000_000)
  assert.equal((await get('/')).status, 502)
})

test('a fallback is not asked when the origin answers with anything else', async () => {
  const { main, spare, get } = site()
  for (const status of [404, 410, 429, 501]) {
    main.answer({ status })
    assert.equal((await get('/')).status, status)
  }
  assert.equal(spare.requests.length, 0)
})

test('a fallback is not asked for what is not safe or has a body', async () => {
  const { main, spare, get } = site()
  main.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
  assert.equal((await get('/', { method: 'POST', body: 'x' })).status, 502)
  assert.equal((await get('/', { method: 'DELETE' })).status, 502)
  assert.equal((await get('/', { method: 'OPTIONS', body: 'x' })).status, 502)
  assert.equal((await get('/', { method: 'OPTIONS' })).text, 'spare')
  assert.equal(spare.requests.length, 1)
})

test('a fallback comes before a stale response, and that before a failure', async () => {
  const { main, spare, clock, get, entries } = site()
  main.answer({ headers: { 'Cache-Control': 'max-age=10, stale-if-error=1000' }, body: 'main' })
  await get('/')
  await clock.advance(11_000)
  main.answer({ fails: 'CDN_ORIGIN_TIMEOUT' })
  assert.equal((await get('/')).text, 'spare')

  main.answer({ headers: { 'Cache-Control': 'max-age=10, stale-if-error=1000' }, body: 'main again' })
  await clock.advance(11_000)
  assert.equal((await get('/')).text, 'main again')
  main.answer({ fails: 'CDN_ORIGIN_TIMEOUT' })
  spare.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
  await clock.advance(11_000)
  const stale = await get('/')
  assert.deepEqual([stale.status, stale.text], [200, 'main again'])
  assert.match(stale.header('cache-status'), /detail=stale-if-error$/)
  assert.deepEqual(entries.at(-1)?.error, {
    code: 'CDN_ORIGIN_TIMEOUT',
    message: 'the origin took too long: main; its fallback: the origin could not be reached: spare',
  })
  await clock.advance(2_000_000)
  assert.equal((await get('/')).status, 504)
})

test('a fallback is asked first while the origin is not well, and the origin when that fails', async () => {
  const health = { isHealthy: false }
  const { main, spare, app, get } = site(health)
  main.answer({ body: 'main' })
  assert.equal((await get('/a')).text, 'spare')
  assert.equal(main.requests.length, 0)
  spare.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
  assert.equal((await get('/b')).text, 'main')
  health.isHealthy = true
  assert.equal((await get('/c')).text, 'main')
  assert.equal(spare.requests.length, 2)
  assert.equal(app.stats?.().fellBack, 1)
})

test('a fallback is not asked when the client has left', async () => {
  const { main, spare, get } = site()
  const client = new AbortController()
  main.answer(() => {
    client.abort()
    return { after: new Promise(() => undefined) }
  })
  await get('/', { method: 'OPTIONS', signal: client.signal })
  assert.equal(spare.requests.length, 0)
})

test('fallbacks of a configuration are found by name, one after the other', async () => {
  const last = scriptedOrigin('last')
  last.answer({ body: 'last' })
  const { cdn, get, close } = play({
    origins: {
      a: { url: 'http://127.0.0.1:1', fallback: 'b' },
      b: { url: 'http://127.0.0.1:1', fallback: 'c', retries: 0 },
      c: last,
    },
    routes: [{ match: '/*', origin: 'a' }],
  })
  assert.equal((await get('/')).text, 'last')
  const address = { url: 'http://127.0.0.1:1/', healthy: true }
  assert.deepEqual(cdn.stats().origins, [
    { name: 'a', addresses: [{ ...address, failures: 2 }], fellBack: 1 },
    { name: 'b', addresses: [{ ...address, failures: 1 }], fellBack: 1 },
    { name: 'last', addresses: [] },
  ])
  await close()
})
