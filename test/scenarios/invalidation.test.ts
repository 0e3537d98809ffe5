// A successful unsafe request makes what is stored for its URL unusable, and what was under way for it, too.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { play, requestFor, scriptedOrigin, settled } from '@simple-cdn/testing'

function site() {
  const origin = scriptedOrigin()
  const player = play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin' }] })
  const page = { headers: { 'Cache-Control': 'max-age=60' }, body: 'old' }
  origin.answer(page)
  return { origin, page, ...player }
}

describe('an unsafe request', () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH']) {
    it(`with ${method} invalidates its URL when it succeeds`, async () => {
      const { origin, get } = site()
      await get('/')
      await get('/', { method, body: 'x' })
      await get('/')
      assert.equal(origin.requests.length, 3)
    })
  }

  it('invalidates the same URL in every spelling', async () => {
    const { origin, cdn } = site()
    const spellings = ['cdn.test', 'CDN.test', 'cdn.test:80'].flatMap((authority) =>
      ['/a', '/%61', '/b/../a'].map((target) => ({ authority, target })),
    )
    const ask = async (method: string, spelling: { authority: string; target: string }) => {
      const answer = await cdn.handle({ ...requestFor('/', { method }), ...spelling })
      for await (const _ of answer.body instanceof Uint8Array ? [] : (answer.body ?? []));
      answer.finished(0, true)
      await settled()
    }
    for (const one of spellings) {
      for (const other of spellings) {
        await ask('GET', one)
        await ask('PUT', other)
        const before = origin.requests.length
        await ask('GET', one)
        assert.equal(
          origin.requests.length,
          before + 1,
          `GET ${one.authority}${one.target} after PUT ${other.authority}${other.target}`,
        )
      }
    }
  })

  it('invalidates what Location names, however that is written', async () => {
    const { origin, page, cdn, get } = site()
    for (const target of ["/x?q='", '/x?', '/x?a[]=|', '/%7Ex/%2F']) {
      const read = async () => (await cdn.handle({ ...requestFor('/'), target })).finished(0, true)
      origin.answer(page)
      await read()
      await settled()
      origin.answer({ status: 201, headers: { Location: target } })
      await get('/', { method: 'POST' })
      const before = origin.requests.length
      await read()
      assert.equal(origin.requests.length, before + 1, target)
    }
  })

  it('is answered, and invalidates its own, whatever the client takes for a host', async () => {
    const { origin, page, cdn } = site()
    for (const authority of ['cdn.test:99999', '1.2.3.4.5', 'a%zz', '0x7f.1']) {
      const ask = async (method: string) => {
        const answer = await cdn.handle({ ...requestFor('/', { method }), authority })
        answer.finished(0, true)
        await settled()
        return answer.status
      }
      origin.answer(page)
      await ask('GET')
      origin.answer({ status: 201, headers: { Location: '/x' } })
      assert.equal(await ask('POST'), 201, authority)
      const before = origin.requests.length
      await ask('GET')
      assert.equal(origin.requests.length, before + 1, authority)
    }
  })

  it('leaves everything as it is when it fails', async () => {
    const { origin, page, get } = site()
    await get('/')
    origin.answer({ status: 500 })
    await get('/', { method: 'POST' })
    origin.answer(page)
    assert.match((await get('/')).header('cache-status'), /; hit/)
  })

  it('invalidates Location and Content-Location of the same host, and of no other', async () => {
    const { origin, page, get } = site()
    for (const url of ['/a', '/b', 'http://other.test/c']) await get(url)
    origin.answer({ status: 201, headers: { Location: '/a', 'Content-Location': 'http://other.test/c' } })
    await get('/', { method: 'POST' })
    origin.answer(page)
    assert.match((await get('/a')).header('cache-status'), /fwd=uri-miss/)
    assert.match((await get('/b')).header('cache-status'), /; hit/)
    assert.match((await get('http://other.test/c')).header('cache-status'), /; hit/)
  })

  it('keeps a fill that was under way from bringing the old version back', async () => {
    const { origin, get } = site()
    const { promise, resolve } = Promise.withResolvers<void>()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'old', after: promise })
    const slow = get('/')
    await settled()
    origin.answer({ status: 204 })
    await get('/', { method: 'PUT' })
    resolve()
    assert.equal((await slow).text, 'old')
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'new' })
    assert.equal((await get('/')).text, 'new')
  })

  it('keeps a 304 that was under way from making the old version fresh again', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'old' })
    await get('/')
    await clock.advance(61_000)
    const { promise, resolve } = Promise.withResolvers<void>()
    origin.answer({ status: 304, headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, after: promise })
    const slow = get('/')
    await settled()
    origin.answer({ status: 204 })
    await get('/', { method: 'PUT' })
    resolve()
    await slow
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'new' })
    assert.equal((await get('/')).text, 'new')
  })
})
