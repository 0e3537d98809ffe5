// What of a message goes on, in both directions, and what never does.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { play, scriptedOrigin } from '@simple-cdn/testing'

function site() {
  const origin = scriptedOrigin()
  return {
    origin,
    ...play({
      origins: { origin },
      routes: [
        { match: '/api/*', origin: 'origin', cache: false },
        { match: '/*', origin: 'origin' },
      ],
    }),
  }
}

function sent(fields: readonly string[] | undefined, name: string): readonly string[] {
  return (fields ?? []).filter((_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === name)
}

describe('a request on its way to the origin', () => {
  it('loses what is about the connection, and what Connection names', async () => {
    const { origin, get } = site()
    await get('/', {
      headers: {
        Connection: 'X-Hop, keep-alive',
        'X-Hop': '1',
        'Keep-Alive': '5',
        TE: 'trailers',
        'Proxy-Connection': 'x',
        Upgrade: 'h2c',
        'X-Own': '2',
      },
    })
    const { fields } = origin.requests[0] ?? {}
    for (const name of ['connection', 'x-hop', 'keep-alive', 'te', 'proxy-connection', 'upgrade'])
      assert.deepEqual(sent(fields, name), [], name)
    assert.deepEqual(sent(fields, 'x-own'), ['2'])
  })

  it('says who asks, by whom it has passed, and not what the client claims about that', async () => {
    const { origin, get } = site()
    await get('/', {
      headers: {
        'X-Forwarded-For': '6.6.6.6',
        'X-Forwarded-Host': 'evil.test',
        'X-Forwarded-Proto': 'gopher',
        Forwarded: 'for=6.6.6.6',
        Via: '1.0 before',
      },
    })
    const { fields } = origin.requests[0] ?? {}
    assert.deepEqual(sent(fields, 'x-forwarded-for'), ['192.0.2.1'])
    assert.deepEqual(sent(fields, 'x-forwarded-host'), ['cdn.test'])
    assert.deepEqual(sent(fields, 'x-forwarded-proto'), ['http'])
    assert.deepEqual(sent(fields, 'forwarded'), [])
    assert.deepEqual(sent(fields, 'via'), ['1.0 before', '1.1 simple-cdn'])
    assert.match(sent(fields, 'cdn-loop').join(), /^simple-cdn; id=[0-9a-f]{8}$/)
  })

  it('cannot make the origin answer for another URL or host where the answer is stored', async () => {
    const { origin, get } = site()
    const poison = {
      'X-Original-URL': '/admin',
      'X-Rewrite-URL': '/admin',
      'X-Host': 'evil.test',
      'X-Forwarded-Scheme': 'http',
      'X-HTTP-Method-Override': 'POST',
    }
    await get('/', { headers: poison })
    await get('/api/x', { headers: poison })
    for (const name of Object.keys(poison)) {
      assert.deepEqual(sent(origin.requests[0]?.fields, name.toLowerCase()), [], name)
      assert.equal(
        sent(origin.requests[1]?.fields, name.toLowerCase()).length,
        1,
        `${name} is left to a route that does not cache`,
      )
    }
  })

  it('is refused when it comes back to where it was', async () => {
    const { origin, get } = site()
    await get('/')
    const loop = sent(origin.requests[0]?.fields, 'cdn-loop').join()
    const back = await get('/other', { headers: { 'CDN-Loop': `another, ${loop}` } })
    assert.equal(back.status, 508)
    assert.equal((await get('/third', { headers: { 'CDN-Loop': 'another; id=x, simple-cdn; id=00000000' } })).status, 200)
    assert.equal((await get('/fourth', { headers: { 'CDN-Loop': Array(8).fill('simple-cdn; id=00000000').join() } })).status, 508)
  })
})

describe('a response on its way to the client', () => {
  it('loses what is about the connection, on a miss and from the store', async () => {
    const { origin, get } = site()
    origin.answer({
      headers: {
        'Cache-Control': 'max-age=60',
        Connection: 'X-Hop',
        'X-Hop': '1',
        'Keep-Alive': '5',
        'Proxy-Authenticate': 'x',
        Upgrade: 'h2c',
      },
    })
    for (const response of [await get('/'), await get('/'), await get('/api/x')]) {
      for (const name of ['connection', 'x-hop', 'keep-alive', 'upgrade']) assert.equal(response.header(name), '', name)
    }
  })

  it('appends to Via and Cache-Status what caches before it said', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', Via: '1.1 shield', 'Cache-Status': 'shield; hit' } })
    await get('/')
    const hit = await get('/')
    assert.equal(hit.header('via'), '1.1 shield, 1.1 simple-cdn')
    assert.equal(hit.header('cache-status'), 'shield; hit, simple-cdn; hit; ttl=60')
  })

  it('keeps the Age it came with', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', Age: '20' } })
    const miss = await get('/')
    assert.equal(miss.header('age'), '20')
    await clock.advance(5_000)
    const hit = await get('/')
    assert.equal(hit.header('age'), '25')
    assert.match(hit.header('cache-status'), /ttl=35/)
  })

  it('is preceded by the interim responses of the origin, and they are never stored', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, interim: [{ status: 103, headers: { Link: '</a.css>' } }] })
    const interims: (readonly [number, readonly string[]])[] = []
    const onInterim = (status: number, fields: readonly string[]): void => void interims.push([status, fields])
    await get('/', { onInterim })
    await get('/', { onInterim })
    assert.deepEqual(interims, [[103, ['Link', '</a.css>']]])
  })
})
