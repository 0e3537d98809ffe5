// The example's sink keeps what every sink promises; its table answers in SQL and does not grow for ever.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { logEntry, testSink } from '@simple-cdn/testing'
import { type ProgramConfig, startServer } from 'simple-cdn'
import config from './cdn.config.ts'
import { sqliteSink } from './sqlite-sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-sqlite-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const quiet = { info() {}, warn() {}, error() {}, fatal() {} }
let count = 0
const newFile = (): string => join(folder, `${count++}.sqlite`)

function rows<Row>(file: string, sql: string): Row[] {
  const db = new DatabaseSync(file)
  try {
    return db.prepare(sql).all() as Row[]
  } finally {
    db.close()
  }
}

testSink({
  name: 'sqlite',
  create() {
    const file = newFile()
    const sink = sqliteSink({ file, maxQueued: 100_000, writeMs: 1, retryMs: 10, maxFlushMs: 500 })
    let blocker: DatabaseSync | undefined
    const prepared = new DatabaseSync(file)
    prepared.exec('PRAGMA journal_mode = WAL; CREATE TABLE requests (id INTEGER PRIMARY KEY, entry TEXT)')
    prepared.close()
    return {
      sink,
      arrived: () =>
        rows<{ sequence: number }>(file, `SELECT entry ->> 'sequence' AS sequence FROM requests ORDER BY id`).map(
          ({ sequence }) => sequence,
        ),
      // Somebody else writes, and does not come to an end.
      down(isDown) {
        if (isDown) {
          blocker = new DatabaseSync(file)
          blocker.exec('BEGIN IMMEDIATE')
        } else {
          blocker?.exec('ROLLBACK')
          blocker?.close()
          blocker = undefined
        }
      },
      end: () => blocker?.close(),
    }
  },
})

test('requests can be counted with SQL', async () => {
  const file = newFile()
  const sink = sqliteSink({ file })
  for (const status of [200, 200, 404]) sink.write(logEntry({ status }))
  await sink.close()
  assert.deepEqual(
    rows<object>(file, `SELECT entry ->> 'status' AS status, count(*) AS requests FROM requests GROUP BY 1`).map((row) => ({
      ...row,
    })),
    [
      { status: 200, requests: 2 },
      { status: 404, requests: 1 },
    ],
  )
})

test('the oldest rows leave when there are enough', async () => {
  const file = newFile()
  const sink = sqliteSink({ file, maxRows: 10 })
  for (let sequence = 0; sequence < 25; sequence++) sink.write(logEntry({ sequence }))
  await sink.close()
  assert.deepEqual(
    { ...rows<object>(file, 'SELECT min(id) AS first, count(*) AS rows FROM requests')[0] },
    { first: 16, rows: 10 },
  )
})

test('the program writes a row for each request', async () => {
  const file = newFile()
  const made = (config as unknown as (env: object) => ProgramConfig)({ REQUESTS_FILE: file })
  const app = (): Response => new Response('hello', { headers: { 'Cache-Control': 'max-age=60' } })
  const server = await startServer({
    config: { ...made, origins: { app }, disk: false },
    folder: join(folder, 'program'),
    host: '127.0.0.1',
    port: 0,
    admin: false,
    log: quiet,
  })
  for (const path of ['a', 'b', 'a']) await (await fetch(new URL(path, server.url))).text()
  await server.close()
  assert.deepEqual(
    { ...rows<object>(file, `SELECT count(*) AS requests, sum(entry ->> '$.cache.hit') AS hits FROM requests`)[0] },
    { requests: 3, hits: 1 },
  )
})
