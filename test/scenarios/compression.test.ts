// Text is compressed once, when it is stored, for all who take it that way.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { type Got, play, scriptedOrigin } from '@simple-cdn/testing'

const page = '<p>All work and no play makes Jack a dull boy.</p>\n'.repeat(200)
const html = { 'Content-Type': 'text/html', 'Cache-Control': 'max-age=60', ETag: '"1"' }

function site() {
  const app = scriptedOrigin('app')
  app.answer({ headers: html, body: page })
  return { app, ...play({ origins: { app }, routes: [{ match: '/*', origin: 'app', cache: { compress: true } }] }) }
}

const DECODED = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync, '': (bytes: Uint8Array) => bytes }
const decoded = (got: Got): string =>
  Buffer.from(DECODED[got.header('content-encoding') as keyof typeof DECODED](got.bytes)).toString()
const taking = (codings: string) => ({ headers: { 'Accept-Encoding': codings } })
const hit = (got: Got): boolean => /; hit/.test(got.header('cache-status'))

describe('compression', () => {
  for (const [codings, coding] of [
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, deflate, br', 'br'],
    ['gzip', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip'],
    ['identity', ''],
    ['*', ''],
  ] as const)
    it(`gives who takes ${codings} ${coding || 'it as it is'}`, async () => {
      const { get } = site()
      const first = await get('/', taking(codings))
      assert.equal(first.header('content-encoding'), coding)
      assert.equal(decoded(first), page)
      assert.equal(first.header('vary'), 'Accept-Encoding')
      assert.equal(first.header('etag'), coding === '' ? '"1"' : 'W/"1"')
      const again = await get('/', taking(codings))
      assert.ok(hit(again))
      assert.deepEqual(again.bytes, first.bytes)
      assert.equal(again.header('content-length'), String(first.bytes.byteLength))
    })

  it('is done once for browsers that take different things and would choose the same', async () => {
    const { get, app } = site()
    for (const codings of ['gzip, br', 'br, gzip, deflate', 'br;q=1.0, gzip;q=0.8, *;q=0.1']) await get('/', taking(codings))
    assert.equal(app.requests.length, 1)
    await get('/', taking('gzip'))
    assert.equal(app.requests.length, 2)
  })

  it('leaves alone what is small, what is compressed, what is no text, and what says so', async () => {
    const { get, app } = site()
    const gzipped = { ...html, 'Content-Encoding': 'gzip' }
    for (const [path, headers, body] of [
      ['/small', html, 'x'.repeat(1023)],
      ['/gzipped', gzipped, page],
      ['/image', { ...html, 'Content-Type': 'image/png' }, page],
      ['/events', { ...html, 'Content-Type': 'text/event-stream' }, page],
      ['/signed', { ...html, 'Cache-Control': 'max-age=60, no-transform' }, page],
      ['/own', { ...html, 'Cache-Control': 'private' }, page],
    ] as const) {
      app.answer({ headers, body })
      const got = await get(path, taking('br'))
      assert.equal(got.text, body, path)
    }
  })

  it('survives a validation by the origin, which knows nothing of it', async () => {
    const { get, app, clock } = site()
    const first = await get('/', taking('br'))
    await clock.advance(61_000)
    app.answer({ status: 304, headers: { ...html, Vary: 'Accept' } })
    const again = await get('/', taking('br'))
    assert.deepEqual([again.status, again.header('etag'), again.header('content-encoding')], [200, 'W/"1"', 'br'])
    assert.equal(again.header('vary'), 'Accept, Accept-Encoding')
    assert.deepEqual(again.bytes, first.bytes)
    assert.equal((await get('/', { headers: { 'Accept-Encoding': 'br', 'If-None-Match': 'W/"1"' } })).status, 304)
  })

  it('of a body that breaks off stores nothing', async () => {
    const { get, app } = site()
    const broken = async function* () {
      yield Buffer.from(page)
      throw new Error('gone')
    }
    app.answer({ headers: html, body: broken() })
    assert.notEqual((await get('/', taking('br'))).brokenOff, undefined)
    app.answer({ headers: html, body: page })
    assert.equal(decoded(await get('/', taking('br'))), page)
  })
})
