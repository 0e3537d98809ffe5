// The memory store keeps the contract, whoever says what leaves.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { leastRecentlyUsed, memoryStore } from '@simple-cdn/core'
import { testStore } from '@simple-cdn/testing'
import { metaOf } from '../support/stored.ts'

testStore({ name: 'memory', create: memoryStore })
testStore({
  name: 'memory, least recently used',
  create: ({ maxBytes }) => memoryStore({ maxBytes, eviction: leastRecentlyUsed() }),
})

describe('the memory store', () => {
  it('makes room for what others take, and refuses what then does not fit', async () => {
    let taken = 0
    const store = memoryStore({ maxBytes: 1_000_000, taken: () => taken })
    for (let at = 0; at < 8; at++) assert.equal(await store.write(metaOf(`${at}`, 100_000), new Uint8Array(100_000)), true)
    taken = 600_000
    assert.equal(await store.write(metaOf('a', 100_000), new Uint8Array(100_000)), true)
    assert.ok(store.stats().bytes <= 400_000)
    taken = 1_000_000
    assert.equal(await store.write(metaOf('b', 100_000), new Uint8Array(100_000)), false)
    assert.equal(store.stats().bytes, 0)
  })

  it('counts every byte back when all has left', async () => {
    const store = memoryStore({ maxBytes: 1_000_000 })
    await store.writeSlice('a', 0, new Uint8Array(1000))
    await store.writeSlice('a', 1, new Uint8Array(1000))
    await store.write(metaOf('a', 2000, { sliceBytes: 1000 }))
    await store.writeSlice('a', 1, new Uint8Array(1000))
    await store.freshen({ ...metaOf('a', 2000, { sliceBytes: 1000 }), fields: ['X-Longer', 'than before'] })
    await store.writeSlice('early', 0, new Uint8Array(1000))
    await store.write(metaOf('b', 10, { key: 'a' }), new Uint8Array(10))
    assert.equal(store.has('a', 0), false)
    await store.discard('early')
    await store.remove(metaOf('a', 0).key)
    assert.deepEqual([store.stats().bytes, store.stats().responses], [0, 0])
  })
})
