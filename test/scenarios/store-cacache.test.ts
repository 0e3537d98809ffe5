// The store on cacache behind the whole cache: what it holds is found again after a restart, and ranges of it fetch nothing.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cacacheStore } from '@simple-cdn/store-cacache'
import { play, scriptedOrigin } from '@simple-cdn/testing'

test('pages and large bodies outlive a restart', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'store-cacache-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const recording = 'abcdefghijklmnop'.repeat(20_000)
  const app = scriptedOrigin()
  app.answer(({ target }) => ({
    headers: { 'Cache-Control': 'max-age=60', ETag: '"1"', 'Content-Length': target === '/page' ? '4' : `${recording.length}` },
    body: target === '/page' ? 'page' : recording,
  }))
  const open = async () =>
    play({
      origins: { app },
      routes: [{ match: '/*', origin: 'app' }],
      slice: '64kb',
      store: await cacacheStore({ folder, maxBytes: 16 * 1024 * 1024 }),
    })
  const before = await open()
  for (const path of ['/page', '/recording']) assert.equal((await before.get(path)).status, 200)
  await before.close()
  const asked = app.requests.length

  const after = await open()
  assert.equal((await after.get('/page')).text, 'page')
  assert.ok((await after.get('/recording')).text === recording)
  const { status, text } = await after.get('/recording', { headers: { Range: 'bytes=65530-65550' } })
  assert.deepEqual([status, text], [206, recording.slice(65_530, 65_551)])
  assert.equal(app.requests.length, asked, 'the origin is not asked again')
  await after.close()
})
