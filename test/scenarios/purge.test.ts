// A purge takes effect at once, for everything that was asked for before it: stored, on its way, or being validated.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Purge, PurgeWhat } from '@simple-cdn/core'
import { type Got, play, scriptedOrigin, settled } from '@simple-cdn/testing'

function site(cache = {}) {
  const app = scriptedOrigin('app')
  const player = play({ origins: { app }, routes: [{ match: '/*', origin: 'app', cache }] })
  let version = 1
  const publish = (headers: Readonly<Record<string, string>> = {}) => {
    app.answer(({ target }) => ({
      headers: {
        'Cache-Control': 'max-age=3600, stale-while-revalidate=600, stale-if-error=600',
        ETag: `"${version}"`,
        'Surrogate-Key': `all ${target.split('/')[1]}`,
        ...headers,
      },
      body: `version ${version}`,
    }))
  }
  publish()
  return {
    app,
    ...player,
    publish(headers = {}) {
      version++
      publish(headers)
    },
    async purge(what: PurgeWhat, options = {}) {
      await player.clock.advance(1)
      const purge = await player.cdn.purge(what, options)
      await player.clock.advance(1)
      return purge
    },
  }
}

const hit = (got: Got): boolean => /; hit/.test(got.header('cache-status'))

describe('a purge of a URL', () => {
  for (const url of ['http://cdn.test/x?u=1', 'https://cdn.test/x?u=1', 'https://cdn.test:443/x?u=1'])
    it(`takes what is stored under it though ${url} leads to another route`, async () => {
      const app = scriptedOrigin('app')
      app.answer({ headers: { 'Cache-Control': 'max-age=3600' }, body: 'version 1' })
      const { get, cdn, clock } = play({
        origins: { app },
        routes: [
          { match: 'http://*/*', redirect: 'https://{host}/*' },
          { match: '/*', when: { headers: { 'X-Beta': true } }, origin: 'app', cache: { key: { query: 'all' } } },
          { match: '/*', origin: 'app', cache: { key: { query: 'none' } } },
        ],
      })
      await get('https://cdn.test/x?u=2')
      await get('https://cdn.test/x?u=1', { headers: { 'X-Beta': '1' } })
      app.answer({ headers: { 'Cache-Control': 'max-age=3600' }, body: 'version 2' })
      await clock.advance(1)
      await cdn.purge({ url })
      await clock.advance(1)
      assert.equal((await get('https://cdn.test/x?u=2')).text, 'version 2')
      assert.equal((await get('https://cdn.test/x?u=1', { headers: { 'X-Beta': '1' } })).text, 'version 2')
    })
})

describe('a purge of a host', () => {
  for (const what of [
    { host: 'zwölf.test' },
    { host: 'ZWÖLF.test:443' },
    { pattern: 'https://zwölf.test:443/*' },
    { pattern: 'http://*.test:80/*' },
  ])
    it(`${JSON.stringify(what)} finds what is stored under its name in ASCII`, async () => {
      const { get, purge, publish } = site()
      await get('https://xn--zwlf-6qa.test/a')
      publish()
      await purge(what)
      assert.equal((await get('https://xn--zwlf-6qa.test/a')).text, 'version 2')
    })
})

describe('a purge', () => {
  for (const [what, gone, stays] of [
    [{ url: 'http://cdn.test/a/1?x=1' }, ['/a/1?x=1'], ['/a/1', '/a/2', '/b']],
    [{ url: 'https://cdn.test/a/1' }, ['/a/1'], ['/a/2', '/b', 'http://other.test/a/1']],
    [{ surrogateKey: 'a' }, ['/a/1', '/a/2'], ['/b']],
    [{ prefix: 'https://cdn.test/a/' }, ['/a/1', '/a/2'], ['/b', 'http://other.test/a/1']],
    [{ prefix: 'https://cdn.test/' }, ['/a/1', '/b'], ['http://other.test/b']],
    [{ everything: true }, ['/a/1', '/b', 'http://other.test/b'], []],
  ] as const)
    it(`of ${JSON.stringify(what)} takes what it names, and nothing else`, async () => {
      const { get, purge, publish } = site()
      for (const url of [...gone, ...stays]) await get(url)
      publish()
      await purge(what)
      for (const url of gone) {
        const got = await get(url)
        assert.deepEqual([got.text, hit(got)], ['version 2', false], url)
        assert.ok(hit(await get(url)), `${url} is stored again`)
      }
      for (const url of stays) assert.equal((await get(url)).text, 'version 1', url)
    })

  it('takes all variants', async () => {
    const { get, purge, publish } = site()
    publish({ Vary: 'Accept' })
    const accepts = ['text/html', 'application/json']
    for (const accept of accepts) await get('/a', { headers: { Accept: accept } })
    publish({ Vary: 'Accept' })
    await purge({ url: 'http://cdn.test/a' })
    for (const accept of accepts) assert.equal((await get('/a', { headers: { Accept: accept } })).text, 'version 3')
  })

  it('of a URL means the key that its route makes of it', async () => {
    const { get, purge, publish } = site({ key: { query: 'none' } })
    await get('/a?x')
    publish()
    await purge({ url: 'http://cdn.test/a?y' })
    assert.equal((await get('/a?z')).text, 'version 2')
  })

  it('that is soft leaves it to be served stale while it is asked for again', async () => {
    const { get, purge, publish, app } = site()
    await get('/a')
    publish()
    await purge({ surrogateKey: 'all' }, { soft: true })
    const stale = await get('/a')
    assert.deepEqual([stale.text, /stale-while-revalidate/.test(stale.header('cache-status'))], ['version 1', true])
    assert.equal((await get('/a')).text, 'version 2')
    assert.equal(app.requests.length, 2)
  })

  it('that is soft leaves it to stand in for an origin that fails; a hard one does not', async () => {
    const { get, purge, app, clock } = site()
    await get('/a')
    app.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    await purge({ everything: true }, { soft: true })
    await clock.advance(1_000)
    assert.equal((await get('/a')).text, 'version 1')
    await purge({ everything: true })
    assert.equal((await get('/a')).status, 502)
  })

  it('that is soft does not take back a hard one before it', async () => {
    const { get, purge, publish } = site()
    await get('/a')
    publish()
    await purge({ surrogateKey: 'a' })
    await purge({ surrogateKey: 'a' }, { soft: true })
    assert.equal((await get('/a')).text, 'version 2')
  })

  it('takes what is on its way, and nobody who asks later gets it', async () => {
    const { get, purge, app, publish } = site()
    const { promise: until, resolve: answer } = Promise.withResolvers<void>()
    app.answer({ headers: { 'Cache-Control': 'max-age=60', 'Surrogate-Key': 'a' }, body: 'old', after: until })
    const early = get('/a')
    await settled()
    publish()
    await purge({ surrogateKey: 'a' })
    assert.equal((await get('/a')).text, 'version 2')
    answer()
    assert.equal((await early).text, 'old')
    assert.equal((await get('/a')).text, 'version 2')
  })

  it('takes what is being validated: a 304 from before it does not bring it back', async () => {
    const { get, purge, app, publish, clock } = site()
    await get('/a')
    await clock.advance(3_600_000)
    const { promise: until, resolve: answer } = Promise.withResolvers<void>()
    app.answer({ status: 304, headers: { ETag: '"1"', 'Cache-Control': 'max-age=3600' }, after: until })
    // Served stale, and validated in the background.
    await get('/a')
    publish()
    await purge({ url: 'http://cdn.test/a' })
    answer()
    assert.equal((await get('/a')).text, 'version 2')
  })

  it('is told as the reason when it is asked for again', async () => {
    const { get, purge, cdn } = site()
    await get('/a')
    await purge({ surrogateKey: 'a' })
    const request = { method: 'GET', scheme: 'http', authority: 'cdn.test', target: '/a', fields: [] } as const
    assert.match((await cdn.explain(request)).lines.join('\n'), /it was purged/)
  })

  it('holds for more keys than are remembered: rather too much than too little', async () => {
    const { get, purge, cdn, publish } = site()
    await get('/a')
    publish()
    await purge({ surrogateKey: 'a' })
    for (let key = 0; key < 100_001; key++) await cdn.purge({ surrogateKey: `k${key}` })
    assert.equal((await get('/a')).text, 'version 2')
  })

  it('outlives the process with a journal, and a gap in that purges everything before it', async () => {
    const kept: Purge[] = []
    const { createCdn, memoryStore } = await import('@simple-cdn/core')
    const { fakeClock, requestFor } = await import('@simple-cdn/testing')
    const store = memoryStore({ maxBytes: 1_000_000 })
    const [clock, app] = [fakeClock(), scriptedOrigin('app')]
    const start = (gapUntil?: number) =>
      createCdn(
        {
          origins: { app },
          routes: [{ match: '/*', origin: 'app' }],
          store: { ...store, close: async () => undefined },
          log: [],
        },
        {
          clock,
          purges: {
            load: () => ({ purges: kept, gapUntil }),
            append: async (purge) => void kept.push(purge),
            close: async () => undefined,
          },
        },
      )
    const status = async (cdn: ReturnType<typeof start>, url: string) => {
      const answer = await cdn.handle(requestFor(url))
      for await (const _ of (answer.body ?? []) as AsyncIterable<Uint8Array>);
      answer.finished(0, true)
      return /; hit/.test(answer.fields.join()) ? 'hit' : 'miss'
    }
    app.answer({ headers: { 'Cache-Control': 'max-age=60', 'Surrogate-Key': 'k' } })
    const first = start()
    await status(first, '/a')
    await status(first, '/b')
    await clock.advance(1)
    await first.purge({ url: 'http://cdn.test/a' })
    await clock.advance(1)
    await first.close({ graceMs: 0 })
    const second = start()
    assert.deepEqual([await status(second, '/b'), await status(second, '/a')], ['hit', 'miss'])
    const third = start(clock.now())
    assert.deepEqual([await status(third, '/b')], ['miss'])
  })
})
