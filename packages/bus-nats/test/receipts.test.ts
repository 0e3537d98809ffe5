// Receipts of machines: no more of them than have room.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@simple-cdn/core'
import { receiptsOf } from '../src/receipts.ts'

test('no more receipts are remembered than have room, the last ones, however few purges they are of', async () => {
  const receipts = receiptsOf({
    max: 3,
    clock: () => systemClock,
    machines: async () => ['a', 'b'],
    consumers: async () => new Map(),
    async *ask() {},
  })
  for (const id of ['p', 'q']) for (const machine of ['a', 'b']) receipts.take({ id, machine, sequence: 1, appliedAt: 0 })
  const statesOf = async (id: string) => (await receipts.status(id, 0)).machines.map(({ state }) => state)
  assert.deepEqual(await statesOf('p'), ['missing', 'applied'])
  assert.deepEqual(await statesOf('q'), ['applied', 'applied'])
})
