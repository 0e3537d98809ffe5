// What outlives kill -9: everything that was acknowledged, and no removal undone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MB, newFolder } from './helpers.ts'
import { killRound } from './kill/round.ts'

test('everything acknowledged outlives kill -9, byte for byte, and what was removed stays away', async () => {
  const folder = newFolder()
  let acknowledged = 0
  for (let round = 0; round < 4; round++) {
    const got = await killRound(folder, { maxBytes: 2000 * MB, afterMs: 60 * (round + 1), from: round * 1_000_000 })
    acknowledged += got.acknowledged
    assert.equal(got.survived, got.acknowledged)
    assert.equal(got.removedButBack, 0)
    assert.equal(got.damaged, 0)
  }
  assert.ok(acknowledged > 20, `${acknowledged} acknowledged`)
})

test('nothing wrong comes back from a store that was killed while it evicted', async () => {
  const folder = newFolder()
  for (let round = 0; round < 3; round++) {
    const got = await killRound(folder, { maxBytes: 8 * MB, afterMs: 250, from: round * 1_000_000 })
    assert.ok(got.survived > 0 || got.acknowledged === 0, `${got.survived} of ${got.acknowledged}`)
    assert.equal(got.removedButBack, 0)
    assert.equal(got.damaged, 0)
  }
})
