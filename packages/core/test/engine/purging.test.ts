// Purges of this machine and those that a bus brings, without a CDN around them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock, PurgeBus, PurgeSubscriber } from '@simple-cdn/core'
import { fakeClock } from '@simple-cdn/testing'
import { Purging } from '../../src/engine/purging.ts'

/** A clock that knows how many wait for it. */
function countingClock() {
  const clock = fakeClock()
  const waiting = new Set<object>()
  const counting: Clock = {
    now: clock.now,
    after(ms, callback) {
      const timer = {}
      waiting.add(timer)
      const cancel = clock.after(ms, () => {
        waiting.delete(timer)
        callback()
      })
      return () => {
        waiting.delete(timer)
        cancel()
      }
    },
  }
  return { clock: counting, waiting }
}

function purging() {
  const { clock, waiting } = countingClock()
  const state = { subscriber: undefined as PurgeSubscriber | undefined, onPurge: 0, waiting }
  const bus: PurgeBus = {
    name: 'test',
    subscribe(subscriber) {
      state.subscriber = subscriber
    },
    publish: async () => undefined,
    status: async (id) => ({ id, machines: [] }),
    stats: () => ({ connected: true, behind: 0, published: 0, failed: 0, gaps: 0 }),
    // As whoever loses its connection says, also when it lets go of it itself.
    close: async () => state.subscriber?.hears(false),
  }
  const made = new Purging({
    clock,
    journal: undefined,
    bus,
    trustForMs: 60_000,
    onPurge: () => void state.onPurge++,
    onMessage: () => undefined,
  })
  return { made, state, to: state.subscriber as PurgeSubscriber }
}

describe('purging that is closed', () => {
  it('leaves no timer behind, whatever the bus says on its way out and after that', async () => {
    const { made, state, to } = purging()
    to.hears(true)
    await made.close()
    to.hears(false)
    assert.equal(state.waiting.size, 0)
  })

  it('leaves none behind of a bus that could not be heard before, either', async () => {
    const { made, state, to } = purging()
    to.hears(false)
    assert.equal(state.waiting.size, 1)
    await made.close()
    assert.equal(state.waiting.size, 0)
  })
})

describe('a purge of this machine that comes back from the bus', () => {
  it('is known while no more than 10,000 others were purged since, and is applied once more after that', async () => {
    const { made, state, to } = purging()
    const asked = { soft: false, kind: 'surrogate-key', value: 'a' } as const
    const known = await made.purge({ ...asked, id: 'known' })
    const forgotten = { ...known, id: 'forgotten' }
    await made.purge(forgotten)
    await to.apply(known, '1')
    assert.equal(state.onPurge, 2)
    for (let id = 0; id < 10_000; id++) await made.purge({ ...asked, id: `${id}` })
    await to.apply(forgotten, '2')
    assert.equal(state.onPurge, 10_003)
  })
})
