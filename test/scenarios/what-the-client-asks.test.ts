// Conditions, ranges, variants, cookies: what of a response a client gets, and whether it may have the stored one.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CacheConfig, type CdnConfig, memoryStore } from '@simple-cdn/core'
import { play, scriptedOrigin } from '@simple-cdn/testing'

function site(cache: CacheConfig = {}, config: Partial<CdnConfig> = {}) {
  const origin = scriptedOrigin()
  return { origin, ...play({ ...config, origins: { origin }, routes: [{ match: '/*', origin: 'origin', cache }] }) }
}

const PAGE = {
  headers: {
    'Cache-Control': 'max-age=60',
    ETag: '"1"',
    'Last-Modified': 'Thu, 05 Jun 2014 00:00:00 GMT',
    'Content-Type': 'text/plain',
  },
  body: '0123456789',
}

describe('a condition of the client', () => {
  const CONDITIONS: readonly (readonly [string, string, number])[] = [
    ['If-None-Match', '"1"', 304],
    ['If-None-Match', 'W/"1"', 304],
    ['If-None-Match', '"0", "1"', 304],
    ['If-None-Match', '*', 304],
    ['If-None-Match', '"2"', 200],
    ['If-Modified-Since', 'Thu, 05 Jun 2014 00:00:00 GMT', 304],
    ['If-Modified-Since', 'Wed, 04 Jun 2014 00:00:00 GMT', 200],
    ['If-Match', '"1"', 200],
    ['If-Match', 'W/"1"', 412],
    ['If-Match', '"2"', 412],
    ['If-Unmodified-Since', 'Wed, 04 Jun 2014 00:00:00 GMT', 412],
  ]
  for (const [name, value, status] of CONDITIONS) {
    it(`${name}: ${value} gets ${status}, from the store and on a miss`, async () => {
      const { origin, get } = site()
      origin.answer(PAGE)
      const miss = await get('/', { headers: { [name]: value } })
      const hit = await get('/', { headers: { [name]: value } })
      assert.equal(miss.status, status)
      assert.equal(hit.status, status)
      assert.equal(hit.text, status === 200 ? PAGE.body : '')
      assert.equal(origin.requests.length, 1, 'the whole was fetched and stored the first time')
      assert.ok(!origin.requests[0]?.fields.includes(name))
    })
  }

  it('on a POST is for the origin, and what the origin answered reaches the client', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"2"', 'Content-Location': '/' }, body: 'changed' })
    const changed = await get('/', { method: 'POST', headers: { 'If-Match': '"1"' }, body: 'x' })
    assert.ok(origin.requests[0]?.fields.includes('If-Match'))
    assert.equal(changed.status, 200)
    assert.equal(changed.text, 'changed')
  })

  it('goes to the origin where nothing is stored', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'no-store' } })
    await get('/')
    origin.answer({ status: 304 })
    assert.equal((await get('/', { headers: { 'If-None-Match': '"1"' } })).status, 304)
    assert.ok(origin.requests[1]?.fields.includes('If-None-Match'))
  })
})

describe('a range', () => {
  const RANGES: readonly (readonly [string, number, string, string])[] = [
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-20', 206, '89', 'bytes 8-9/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=5-2', 200, PAGE.body, ''],
    ['lines=1-2', 200, PAGE.body, ''],
    ['bytes=0-1,5-6', 200, PAGE.body, ''],
  ]
  for (const [range, status, text, contentRange] of RANGES) {
    it(`${range} of a stored response gets ${status}`, async () => {
      const { origin, get } = site()
      origin.answer(PAGE)
      await get('/')
      const part = await get('/', { headers: { Range: range } })
      assert.equal(part.status, status)
      assert.equal(part.text, text)
      assert.equal(part.header('content-range'), contentRange)
      assert.equal(part.header('content-length'), String(text.length))
      assert.equal(origin.requests.length, 1)
    })
  }

  it('is ignored when If-Range names another version', async () => {
    const { origin, get } = site()
    origin.answer(PAGE)
    await get('/')
    assert.equal((await get('/', { headers: { Range: 'bytes=0-1', 'If-Range': '"2"' } })).status, 200)
    assert.equal((await get('/', { headers: { Range: 'bytes=0-1', 'If-Range': '"1"' } })).status, 206)
  })

  it('is cut from the whole when the origin does not know ranges', async () => {
    const { origin, get } = site()
    origin.answer(PAGE)
    const part = await get('/', { headers: { Range: 'bytes=2-3' } })
    assert.equal(part.status, 206)
    assert.equal(part.text, '23')
    assert.match((await get('/')).header('cache-status'), /; hit/)
  })

  it('from the end, that the origin answered, is kept for the same range, and never taken for the whole', async () => {
    const { origin, get } = site()
    origin.answer((request) =>
      request.fields.includes('Range')
        ? { status: 206, headers: { ...PAGE.headers, 'Content-Range': 'bytes 6-9/10' }, body: '6789' }
        : PAGE,
    )
    await get('/', { headers: { Range: 'bytes=-4' } })
    assert.equal((await get('/', { headers: { Range: 'bytes=-4' } })).text, '6789')
    assert.equal(origin.requests.length, 1)
    assert.equal((await get('/')).text, PAGE.body)
    assert.equal((await get('/', { headers: { Range: 'bytes=4-5' } })).text, '45')
    assert.equal(origin.requests.length, 2)
  })
})

describe('HEAD', () => {
  it('has no ranges: it is answered with what the whole was stored as, or by the origin', async () => {
    const { origin, get } = site()
    origin.answer((request) =>
      request.fields.includes('Range') && request.method === 'GET'
        ? { status: 206, headers: { ...PAGE.headers, 'Content-Range': 'bytes 0-3/10' }, body: '0123' }
        : PAGE,
    )
    await get('/', { headers: { Range: 'bytes=0-3' } })
    const head = await get('/', { method: 'HEAD', headers: { Range: 'bytes=0-3' } })
    assert.equal(head.status, 200)
    assert.equal(head.header('content-range'), '')
  })
})

describe('no-store of a client that is heard', () => {
  it('keeps the store as it is, though what is in there is stale', async () => {
    const { origin, clock, get } = site({ honorRequestDirectives: true, staleIfError: '1h' })
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'old' })
    await get('/')
    await clock.advance(61_000)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"2"' }, body: 'new' })
    assert.equal((await get('/', { headers: { 'Cache-Control': 'no-store' } })).text, 'new')
    origin.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    assert.equal((await get('/')).text, 'old')
  })
})

describe('Vary', () => {
  it('keeps what was selected by different fields apart, and normalises what means the same', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', Vary: 'Accept-Encoding' }, body: 'x' })
    await get('/', { headers: { 'Accept-Encoding': 'gzip, br' } })
    assert.match((await get('/', { headers: { 'Accept-Encoding': 'br,gzip' } })).header('cache-status'), /; hit/)
    assert.match((await get('/', { headers: { 'Accept-Encoding': 'gzip' } })).header('cache-status'), /fwd=vary-miss/)
    assert.match((await get('/')).header('cache-status'), /fwd=vary-miss/)
    assert.match((await get('/', { headers: { 'Accept-Encoding': 'gzip' } })).header('cache-status'), /; hit/)
  })
})

describe('cookies', () => {
  it('that the route names take the request past the cache', async () => {
    const { origin, get } = site({ bypassCookies: ['session'] })
    origin.answer({ headers: { 'Cache-Control': 'public, max-age=60' }, body: 'for all' })
    await get('/')
    origin.answer({ headers: { 'Cache-Control': 'public, max-age=60' }, body: 'for me' })
    const mine = await get('/', { headers: { Cookie: 'theme=dark; session=1' } })
    assert.equal(mine.text, 'for me')
    assert.equal(mine.header('cache-status'), 'simple-cdn; fwd=bypass; fwd-status=200; detail=cookie')
    assert.equal((await get('/')).text, 'for all')
  })

  it('that it does not name do not keep a stored response from anybody', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' } })
    await get('/')
    assert.match((await get('/', { headers: { Cookie: '_ga=1' } })).header('cache-status'), /; hit/)
  })

  it('on a request keep its response out of the store, unless the origin says that it is for all', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'who knows for whom' })
    const first = await get('/', { headers: { Cookie: 'user=1' } })
    assert.equal(first.header('cache-status'), 'simple-cdn; fwd=uri-miss; fwd-status=200; detail=request-cookies')
    await get('/')
    assert.equal(origin.requests.length, 2)
  })

  it('tell responses apart when the key names them', async () => {
    const { origin, get } = site({ key: { cookies: ['theme'] } })
    origin.answer((request) => ({
      headers: { 'Cache-Control': 'public, max-age=60' },
      body: request.fields[request.fields.indexOf('Cookie') + 1] ?? '',
    }))
    await get('/', { headers: { Cookie: 'theme=dark; id=1' } })
    assert.equal((await get('/', { headers: { Cookie: 'id=2; theme=dark' } })).text, 'theme=dark; id=1')
    assert.equal((await get('/', { headers: { Cookie: 'theme=light' } })).text, 'theme=light')
  })
})

describe('a body larger than the store takes', () => {
  it('reaches the client whole, and is not stored', async () => {
    const { origin, get, cdn } = site({}, { store: memoryStore({ maxBytes: 1024 * 1024 }) })
    const body = 'x'.repeat(3 * 1024 * 1024)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body })
    assert.equal((await get('/known-length')).text.length, body.length)
    origin.answer({
      headers: { 'Cache-Control': 'max-age=60' },
      body: (async function* () {
        for (let at = 0; at < 48; at++) yield new Uint8Array(65_536).fill(120)
      })(),
    })
    assert.equal((await get('/unknown-length')).text.length, body.length)
    assert.equal(cdn.stats().store.responses, 0)
  })
})
