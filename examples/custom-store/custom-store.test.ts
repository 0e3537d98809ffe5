// The example's store keeps what every store promises, and a cache answers from it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { playConfig, scriptedOrigin, testStore } from '@simple-cdn/testing'
import config from './cdn.config.ts'
import { sqliteStore } from './sqlite-store.ts'

testStore({ name: 'sqlite', create: ({ maxBytes }) => sqliteStore({ file: ':memory:', maxBytes }) })

test('a page and a part of a large file are answered from the table', async () => {
  const app = scriptedOrigin()
  app.answer({ headers: { 'Cache-Control': 'max-age=60', ETag: '"1"' }, body: 'x'.repeat(3 * 1024 ** 2) })
  const { get, cdn, close } = await playConfig(config, { app })
  await get('/file')
  const part = await get('/file', { headers: { Range: 'bytes=2000000-2000009' } })
  assert.deepEqual([part.status, part.text], [206, 'xxxxxxxxxx'])
  assert.match(part.header('Cache-Status'), /; hit/)
  assert.equal(app.requests.length, 1)
  assert.equal(cdn.stats().store.name, 'sqlite')
  await close()
})
