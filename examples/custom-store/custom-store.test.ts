// The example's store keeps what every store promises, and a cache answers from it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { playConfig, scriptedOrigin, testStore } from '@simple-cdn/testing'
import { type ProgramConfig, startServer } from 'simple-cdn'
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

test('the program answers from it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-store-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const made = (config as unknown as (env: object) => ProgramConfig)({})
  const app = (): Response => new Response('hello', { headers: { 'Cache-Control': 'max-age=60' } })
  const log = { info() {}, warn() {}, error() {}, fatal() {} }
  const server = await startServer({
    config: { ...made, origins: { app }, log: [] },
    folder,
    host: '127.0.0.1',
    port: 0,
    admin: false,
    log,
  })
  await (await fetch(server.url)).text()
  const second = await fetch(server.url)
  assert.equal(await second.text(), 'hello')
  assert.match(second.headers.get('Cache-Status') ?? '', /; hit/)
  await server.close()
})
