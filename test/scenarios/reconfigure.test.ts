// Another configuration takes over: what is under way ends as it began, and what is stored stays.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { memoryStore } from '@simple-cdn/core'
import { play, scriptedOrigin, settled } from '@simple-cdn/testing'

const BODY = Uint8Array.from({ length: 1_000_000 }, (_, at) => (at * 31 + (at >> 8) * 17) & 255)

function site() {
  const app = scriptedOrigin('app')
  app.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'old' })
  const config = { origins: { app }, routes: [{ match: '/*', origin: 'app' }], slice: '64kb' } as const
  return { app, config, ...play({ ...config, store: memoryStore({ maxBytes: 8_000_000 }) }) }
}

it('routes are the new ones, and what is stored is still there', async () => {
  const { cdn, get, config, app } = site()
  await get('/a')
  cdn.reconfigure({ ...config, routes: [{ match: '/b', respond: { status: 204 } }, ...config.routes] })
  assert.equal((await get('/b')).status, 204)
  assert.equal((await get('/a')).text, 'old')
  assert.equal(app.requests.length, 1)
})

it('one with mistakes changes nothing', async () => {
  const { cdn, get, config } = site()
  assert.throws(() => cdn.reconfigure({ ...config, routes: [] }), { code: 'CDN_CONFIG_INVALID' })
  assert.equal((await get('/a')).text, 'old')
})

it('an origin that is gone is closed when its last request is over, not before', async () => {
  const { cdn, get, config, app } = site()
  let closed = false
  const close = async (): Promise<void> => {
    closed = true
  }
  Object.assign(app, { close })
  const { promise, resolve } = Promise.withResolvers<void>()
  app.answer({ after: promise, body: 'late' })
  const late = get('/a')
  await settled()
  const other = scriptedOrigin('other')
  other.answer({ body: 'new' })
  cdn.reconfigure({ ...config, origins: { app: other } })
  assert.equal((await get('/b')).text, 'new')
  assert.equal(closed, false)
  resolve()
  assert.equal((await late).text, 'late')
  await settled()
  assert.equal(closed, true)
})

it('slices of another size do not get into a body that was asked for in slices of the old one', async () => {
  const { cdn, get, config, app } = site()
  const { promise, resolve } = Promise.withResolvers<void>()
  app.answer(({ fields }) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(fields[fields.indexOf('Range') + 1] ?? '')
    const [first, last] = range === null ? [0, BODY.length - 1] : [Number(range[1]), Math.min(Number(range[2]), BODY.length - 1)]
    return {
      status: 206,
      headers: { ETag: '"1"', 'Cache-Control': 'max-age=60', 'Content-Range': `bytes ${first}-${last}/${BODY.length}` },
      body: BODY.slice(first, last + 1),
      after: promise,
    }
  })
  const early = get('/film', { headers: { Range: 'bytes=200000-200009' } })
  await settled()
  cdn.reconfigure({ ...config, slice: '256kb' })
  resolve()
  assert.deepEqual([...(await early).bytes], [...BODY.slice(200_000, 200_010)])
  assert.equal(app.requests.length, 1, 'what came was what was wanted')
  for (const first of [0, 190_000, 196_608, 262_140, 500_000, 999_990]) {
    const got = await get('/film', { headers: { Range: `bytes=${first}-${first + 9}` } })
    assert.deepEqual([...got.bytes], [...BODY.slice(first, first + 10)], `${first}`)
  }
})
