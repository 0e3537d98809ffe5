// The example's sink keeps what every sink promises; its table answers in SQL and does not grow for ever.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { logEntry, testSink } from '@simple-cdn/testing'
import config from './cdn.config.ts'
import { sqliteSink } from './sqlite-sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-sqlite-'))
after(() => rmSync(folder, { recursive: true, force: true }))
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

test('the configuration makes it without touching a file', () => {
  assert.equal(typeof config, 'function')
})
