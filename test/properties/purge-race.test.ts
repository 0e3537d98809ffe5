// Some of the races that `npm run purge:race` runs 100,000 of.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { race } from './purge-race.ts'

const SEED = Number(process.env.SEED ?? 20140606)

it('whoever asks after an acknowledged purge never gets what was there before it, whatever was on its way', async () => {
  let [hits, purges, validated] = [0, 0, 0]
  for (let seed = SEED; seed < SEED + 1_000; seed++) {
    const run = await race(seed)
    assert.equal(run.complaint, undefined)
    hits += run.hits
    purges += run.purges
    validated += run.validated
  }
  // A race in which nothing happens would prove nothing.
  assert.ok(hits > 500 && purges > 2_000 && validated > 100, `${hits} hits, ${purges} purges, ${validated} validations`)
})
