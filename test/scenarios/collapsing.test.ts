// Many requests for the same: one goes to the origin, and nobody waits for what cannot be shared.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore } from '@simple-cdn/core'
import { play, requestFor, scriptedOrigin, settled } from '@simple-cdn/testing'

function site() {
  const origin = scriptedOrigin()
  return { origin, ...play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin' }] }) }
}

function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

describe('collapsing', () => {
  it('asks the origin once for many clients that come at the same time', async () => {
    const { origin, get } = site()
    const { opened, open } = gate()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'one', after: opened })
    const all = Array.from({ length: 50 }, () => get('/'))
    await settled()
    open()
    const answers = await Promise.all(all)
    assert.equal(origin.requests.length, 1)
    assert.deepEqual(new Set(answers.map((answer) => answer.text)), new Set(['one']))
    assert.equal(answers.filter((answer) => answer.header('cache-status').includes('collapsed')).length, 49)
  })

  it('lets latecomers read along while the body is still coming', async () => {
    const { origin, cdn, get } = site()
    const { opened, open } = gate()
    const body = (async function* () {
      yield new TextEncoder().encode('first ')
      await opened
      yield new TextEncoder().encode('second')
    })()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body })
    const leader = get('/')
    await settled()
    const late = await cdn.handle(requestFor('/'))
    const reading = (late.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    assert.equal(new TextDecoder().decode((await reading.next()).value), 'first ')
    open()
    assert.equal(new TextDecoder().decode((await reading.next()).value), 'second')
    assert.equal((await reading.next()).done, true)
    assert.equal((await leader).text, 'first second')
    assert.equal(origin.requests.length, 1)
  })

  it('is not held up by a leader that does not read', async () => {
    const { origin, cdn, get } = site()
    const big = new Uint8Array(5 * 1024 * 1024).fill(65)
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: big })
    await cdn.handle(requestFor('/'))
    await settled()
    assert.equal((await get('/')).text.length, big.byteLength)
    assert.equal(origin.requests.length, 1)
  })

  it('goes on for those who wait when the leader leaves', async () => {
    const { origin, cdn, get } = site()
    const { opened, open } = gate()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'kept', after: opened })
    const leaving = new AbortController()
    void cdn.handle(requestFor('/', { signal: leaving.signal }))
    const waiting = get('/')
    await settled()
    leaving.abort()
    await settled()
    open()
    assert.equal((await waiting).text, 'kept')
    assert.equal(origin.requests.length, 1)
  })

  it('gives the request to the origin up when everybody has left', async () => {
    const { origin, cdn, entries } = site()
    const leaving = new AbortController()
    origin.answer({ after: new Promise(() => {}) })
    const answers = [
      cdn.handle(requestFor('/', { signal: leaving.signal })),
      cdn.handle(requestFor('/', { signal: leaving.signal })),
    ]
    await settled()
    leaving.abort()
    for (const answer of answers) (await answer).finished(0, false)
    assert.deepEqual(
      entries.map((entry) => entry.error?.code),
      ['CDN_CLIENT_GONE', 'CDN_CLIENT_GONE'],
    )
  })

  it('does not happen for what cannot be shared, from the second time on', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'private' } })
    await get('/')
    const { opened, open } = gate()
    origin.answer({ headers: { 'Cache-Control': 'private' }, after: opened })
    const all = Array.from({ length: 10 }, () => get('/'))
    await settled()
    assert.equal(origin.requests.length, 11, 'all are with the origin at the same time')
    open()
    await Promise.all(all)
  })

  it('happens after a request that changed something, whose own answer is for nobody else', async () => {
    const { origin, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'one' })
    await get('/')
    await get('/', { method: 'POST' })
    await Promise.all(Array.from({ length: 10 }, () => get('/')))
    assert.equal(origin.requests.length, 3)
  })

  it('sends each on its own way when the first answer turns out not to be for all', async () => {
    const { origin, get } = site()
    const { opened, open } = gate()
    let count = 0
    origin.answer(() => ({ headers: { 'Cache-Control': 'no-store' }, body: String(++count), after: opened }))
    const all = Array.from({ length: 5 }, () => get('/'))
    await settled()
    open()
    assert.deepEqual(new Set((await Promise.all(all)).map((answer) => answer.text)), new Set(['1', '2', '3', '4', '5']))
  })

  it('does not give a variant to those it was not selected for', async () => {
    const { origin, get } = site()
    const { opened, open } = gate()
    origin.answer((request) => {
      const language = request.fields[request.fields.indexOf('Accept-Language') + 1] ?? ''
      return { headers: { 'Cache-Control': 'max-age=60', Vary: 'Accept-Language' }, body: language, after: opened }
    })
    const all = ['de', 'en', 'de', 'en'].map((language) => get('/', { headers: { 'Accept-Language': language } }))
    await settled()
    open()
    assert.deepEqual(
      (await Promise.all(all)).map((answer) => answer.text),
      ['de', 'en', 'de', 'en'],
    )
  })

  it('validates a stale response once for all who wait', async () => {
    const { origin, clock, get } = site()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'same' })
    await get('/')
    await clock.advance(61_000)
    const { opened, open } = gate()
    origin.answer({ status: 304, headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, after: opened })
    const all = Array.from({ length: 10 }, () => get('/'))
    await settled()
    open()
    assert.deepEqual(new Set((await Promise.all(all)).map((answer) => answer.text)), new Set(['same']))
    assert.equal(origin.requests.length, 2)
  })

  it('fails for all who wait when the origin fails, without asking it again for each', async () => {
    const { origin, get } = site()
    const { opened, open } = gate()
    origin.answer({ fails: 'CDN_ORIGIN_UNREACHABLE', after: opened })
    const all = Array.from({ length: 10 }, () => get('/'))
    await settled()
    open()
    assert.deepEqual(new Set((await Promise.all(all)).map((answer) => answer.status)), new Set([502]))
    assert.equal(origin.requests.length, 1)
  })
})

describe('a store that takes its time', () => {
  /** `write` of its store waits until `open` is called. */
  function slowSite() {
    const origin = scriptedOrigin()
    const { opened, open } = gate()
    const memory = memoryStore({ maxBytes: 1024 * 1024 })
    const store = {
      ...memory,
      write: async (...written: Parameters<typeof memory.write>) => {
        await opened
        return memory.write(...written)
      },
    }
    return { origin, open, ...play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin' }], store }) }
  }

  for (const sized of [true, false])
    for (const headers of [{}, { Range: 'bytes=-3' }])
      it(`has what was read to its end a moment ago (${JSON.stringify({ sized, ...headers })})`, async () => {
        const { origin, open, get } = slowSite()
        const bytes = new TextEncoder().encode('all of it')
        const body = (async function* () {
          yield bytes
        })()
        origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: sized ? bytes : body })
        assert.equal((await get('/')).text, 'all of it')
        const second = get('/', { headers })
        await settled()
        open()
        const { text, header } = await second
        assert.equal(text, headers.Range === undefined ? 'all of it' : ' it')
        assert.match(header('cache-status'), /; hit/)
        assert.equal(origin.requests.length, 1)
      })

  it('does not keep anybody waiting when it takes too long', async () => {
    const { origin, clock, get } = slowSite()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'one' })
    await get('/')
    const second = get('/', { headers: { Range: 'bytes=-1' } })
    await clock.advance(1_000)
    assert.equal((await second).status, 206)
    assert.equal(origin.requests.length, 2)
  })
})
