// What is on its way takes memory within a bound: who finds no room waits, in order, and not for ever.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { fakeClock, settled } from '@simple-cdn/testing'
import { InFlight } from '../../src/engine/in-flight.ts'

const MB = 1024 * 1024

it('gives memory at once while there is room, and something always fits', () => {
  const memory = new InFlight(100)
  assert.equal(memory.take(500), undefined)
  memory.hold(-500)
  assert.equal(memory.take(60), undefined)
  assert.equal(memory.held, 60)
})

it('lets those who wait go on in the order in which they came', async () => {
  const memory = new InFlight(10 * MB)
  memory.take(8 * MB)
  const order: string[] = []
  void memory.take(5 * MB)?.then(() => order.push('first'))
  void memory.take(MB)?.then(() => order.push('second'))
  await settled()
  assert.deepEqual(order, [], 'a smaller one does not overtake')
  memory.hold(-8 * MB)
  await settled()
  assert.deepEqual(order, ['first', 'second'])
  assert.equal(memory.held, 6 * MB)
})

it('has room set aside for what is small, so that a page does not wait behind films', () => {
  const memory = new InFlight(MB)
  memory.take(MB)
  assert.ok(memory.take(MB) instanceof Promise, 'a film waits')
  for (let page = 0; page < 4; page++) assert.equal(memory.take(64 * 1024), undefined, `page ${page}`)
  assert.ok(memory.take(64 * 1024) instanceof Promise, 'there is a bound for pages, too')
})

it('lets nobody wait for more than ten seconds', async () => {
  const clock = fakeClock()
  const memory = new InFlight(MB, clock)
  memory.take(MB)
  let went = false
  void memory.take(MB)?.then(() => {
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
  const memory = new InFlight(MB)
  const buffer = memory.lend(5_000)
  assert.equal(buffer.byteLength, 8192, 'in one of few sizes')
  memory.giveBack(buffer, { again: true })
  assert.equal(memory.lend(6_000), buffer)
  assert.equal(memory.held, 8192)
  memory.giveBack(buffer, { again: false })
  assert.equal(memory.held, 0)
})

it('makes a block of a buffer that was given back, and counts it once', () => {
  const memory = new InFlight(MB)
  const buffer = memory.lend(8192)
  memory.giveBack(buffer, { again: true })
  memory.hold(8192)
  assert.equal(memory.block(8192), buffer)
  assert.equal(memory.held, 8192)
})

it('keeps sixteen buffers that nobody uses, those given back last', () => {
  const memory = new InFlight(MB)
  const buffers = Array.from({ length: 17 }, () => memory.lend(4096))
  for (const buffer of buffers) memory.giveBack(buffer, { again: true })
  assert.equal(memory.held, 16 * 4096)
  assert.equal(memory.lend(4096), buffers.at(-1))
})

it('keeps nobody waiting for memory that nobody uses', () => {
  const memory = new InFlight(MB)
  const buffers = Array.from({ length: 16 }, () => memory.lend(64 * 1024))
  for (const buffer of buffers) memory.giveBack(buffer, { again: true })
  assert.equal(memory.held, MB, 'all of it lies there for the next one')
  assert.equal(memory.take(MB / 2), undefined)
  assert.equal(memory.held, MB, 'some of it has left')
  assert.equal(memory.lend(64 * 1024), buffers.at(-1))
  assert.ok(memory.take(MB) instanceof Promise)
})

it('lets those who wait go on when memory is given back for the next one', async () => {
  const memory = new InFlight(MB)
  const buffer = memory.lend(MB)
  let went = false
  void memory.take(MB / 2)?.then(() => {
    went = true
  })
  memory.giveBack(buffer, { again: true })
  await settled()
  assert.equal(went, true)
  assert.equal(memory.held, MB / 2)
})
