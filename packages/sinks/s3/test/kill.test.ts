// What outlives kill -9 of a cache under load: a line for every request, once, and the proof of it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakeS3 } from './fake-s3.ts'
import { killRounds } from './kill/rounds.ts'

test('every request that was completed before the last moment has one line in the bucket, whenever the cache is killed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-kill-'))
  const server = await fakeS3()
  t.after(async () => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  // What fails on the way must not show either.
  server.faults.push('lost-reply', '503', 'lost-reply')
  const got = await killRounds(folder, server.url, 3, 500)
  assert.ok(got.settled > 50, `${got.settled} settled of ${got.completed}`)
  assert.deepEqual([got.lost, got.twice, got.gaps], [0, 0, 0])
  assert.ok(got.verified.length >= 3 && got.verified.every(({ open, damaged }) => !open && damaged.length === 0))
})
