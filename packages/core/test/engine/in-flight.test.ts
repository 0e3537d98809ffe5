// What is on its way takes memory within a bound: who finds no room waits, in order, and not for ever.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { fakeClock, settled } from '@simple-cdn/testing'
import { InFlight } from '../../src/engine/in-flight.ts'

it('gives memory at once while there is room, and something always fits', () => {
  const memory = new InFlight(100)
  assert.equal(memory.take(500), undefined)
  memory.hold(-500)
  assert.equal(memory.take(60), undefined)
  assert.equal(memory.held, 60)
})

it('lets those who wait go on in the order in which they came', async () => {
  const memory = new InFlight(100)
  memory.take(80)
  const order: string[] = []
  void memory.take(50)?.then(() => order.push('first'))
  void memory.take(10)?.then(() => order.push('second'))
  await settled()
  assert.deepEqual(order, [], 'a small one does not overtake')
  memory.hold(-80)
  await settled()
  assert.deepEqual(order, ['first', 'second'])
  assert.equal(memory.held, 60)
})

it('lets nobody wait for more than ten seconds', async () => {
  const clock = fakeClock()
  const memory = new InFlight(100, clock)
  memory.take(100)
  let went = false
  void memory.take(50)?.then(() => {
    went = true
  })
  await clock.advance(9_999)
  assert.equal(went, false)
  await clock.advance(1)
  assert.equal(went, true)
})

it('shares its windows among those who read', () => {
  const memory = new InFlight(8 * 1024 * 1024)
  assert.equal(memory.window, 1024 * 1024)
  memory.reads(16)
  assert.equal(memory.window, 256 * 1024)
  memory.reads(1000)
  assert.equal(memory.window, 64 * 1024)
})

it('lends a buffer again that was given back for that, and counts it once', () => {
  const memory = new InFlight(1024)
  const buffer = memory.lend(100)
  memory.giveBack(buffer, { again: true })
  assert.equal(memory.lend(100), buffer)
  assert.equal(memory.held, 100)
  memory.giveBack(buffer, { again: false })
  assert.equal(memory.held, 0)
})
