// When an address is left out for failing, for how long, and how it comes back.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Breaker } from '../../src/origins/breaker.ts'

const options = { failures: 3, pauseMs: 1_000, maxPauseMs: 5_000 }

function fail(breaker: Breaker, now: number, times = 1): void {
  for (let time = 0; time < times; time++) breaker.begin(now)('failed', now)
}

describe('a breaker', () => {
  it('opens after so many failures in a row, and not before', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 2)
    breaker.begin(0)('answered', 0)
    fail(breaker, 0, 2)
    assert.equal(breaker.admits(0), true)
    fail(breaker, 0)
    assert.equal(breaker.admits(999), false)
    assert.equal(breaker.admits(1_000), true)
  })

  it('lets one request through after the pause, as a trial', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 3)
    const trial = breaker.begin(1_000)
    assert.equal(breaker.admits(1_000), false)
    trial('answered', 1_001)
    assert.equal(breaker.admits(1_001), true)
    fail(breaker, 1_001, 2)
    assert.equal(breaker.admits(1_001), true)
  })

  it('pauses twice as long after each trial that fails, up to the bound', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 3)
    let now = 0
    for (const pause of [1_000, 2_000, 4_000, 5_000, 5_000]) {
      assert.equal(breaker.admits(now + pause - 1), false, `${pause}`)
      now += pause
      assert.equal(breaker.admits(now), true, `${pause}`)
      fail(breaker, now)
    }
  })

  it('begins with short pauses again after an answer', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 3)
    fail(breaker, 1_000)
    breaker.begin(3_000)('answered', 3_000)
    fail(breaker, 3_000, 3)
    assert.equal(breaker.admits(4_000), true)
  })

  it('tries again when the client of the trial has left', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 3)
    breaker.begin(1_000)('left', 1_000)
    assert.equal(breaker.admits(1_000), true)
  })

  it('is closed by an answer in the pause, and not held open by failures in it', () => {
    const breaker = new Breaker(options)
    fail(breaker, 0, 3)
    fail(breaker, 500, 100)
    assert.equal(breaker.admits(1_000), true)
    breaker.begin(600)('answered', 600)
    assert.equal(breaker.admits(600), true)
  })
})
