// What the disk store promises while all goes well: what is stored, what leaves, what a restart finds.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { Store } from '@simple-cdn/core'
import { openDiskStore } from '../src/disk-store.ts'
import { type Files, realFiles } from '../src/files.ts'
import { diskStore } from '../src/index.ts'
import { asKilled, assertBytes, bytes, diskUsage, ids, key, MB, meta, newFolder, put, putSliced, sliceOf } from './helpers.ts'

const open = (folder: string, maxBytes = 64 * MB): Promise<Store> => diskStore({ folder, maxBytes })

/** Runs the same on the store as it is, on what a kill leaves, and after an orderly restart. */
async function inEveryLife(folder: string, store: Store, check: (store: Store, life: string) => Promise<void>): Promise<void> {
  await check(store, 'before a restart')
  const killed = await open(asKilled(folder))
  await check(killed, 'after a kill')
  await killed.close()
  await store.close()
  const again = await open(folder)
  await check(again, 'after a restart')
  await again.close()
}

describe('the disk store', () => {
  test('gives back what was written, byte for byte, in every life', async () => {
    const folder = newFolder()
    const store = await open(folder)
    for (const length of [0, 1, 1000, 40_000, MB]) assert.equal(await put(store, `a${length}`, length), true)
    await inEveryLife(folder, store, async (store, life) => {
      for (const length of [0, 1, 1000, 40_000, MB]) {
        const [found] = await store.lookup(key(`a${length}`))
        assert.deepEqual(found?.meta, meta(`a${length}`, { length }), life)
        assertBytes(await store.read(`a${length}`), bytes(`a${length}`, length), life)
        const opened = found?.open?.()
        if (opened !== undefined) assertBytes(opened, bytes(`a${length}`, length), life)
      }
    })
  })

  test('takes bodies and slices of 16 MiB', async () => {
    const folder = newFolder()
    const store = await open(folder, 256 * MB)
    assert.equal(await put(store, 'a', 16 * MB), true)
    assert.equal(await putSliced(store, 'b', { length: 40 * MB, sliceBytes: 16 * MB, only: [0] }), true)
    assert.equal(await store.writeSlice('b', 2, sliceOf('b', 2, 40 * MB, 16 * MB)), true)
    await inEveryLife(folder, store, async (store) => {
      assertBytes(await store.read('a'), bytes('a', 16 * MB))
      assertBytes(await store.read('b', { slice: 2 }), sliceOf('b', 2, 40 * MB, 16 * MB))
    })
  })

  test('opens small responses with the lookup that finds them', async () => {
    const folder = newFolder()
    let store = await open(folder)
    await put(store, 'a', 10_000)
    await store.close()
    store = await open(folder)
    assertBytes((await store.lookup(key('a')))[0]?.open?.(), bytes('a', 10_000))
    await store.close()
  })

  test('knows without waiting what is not there, and what it has read before', async () => {
    const folder = newFolder()
    let store = await open(folder)
    await put(store, 'a', 10)
    await store.close()
    store = await open(folder)
    assert.deepEqual(store.peek?.(key('b')), [])
    assert.equal(store.peek?.(key('a')), undefined)
    await store.lookup(key('a'))
    assert.deepEqual(store.peek?.(key('a'))?.[0]?.meta, meta('a', { length: 10 }))
    await store.close()
  })

  test('reads ranges of bodies and slices, with both ends included, into memory it is given', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', 100_000)
    await putSliced(store, 'b', { length: 250_000, sliceBytes: 100_000 })
    await inEveryLife(folder, store, async (store, life) => {
      for (const [first, last] of [
        [0, 0],
        [5, 9],
        [65_535, 70_000],
        [99_999, 99_999],
        [99_999, 200_000],
      ] as const) {
        const memory = new Uint8Array(150_000)
        const into = (): Uint8Array => memory
        const got = await store.read('a', { range: { first, last }, into })
        assertBytes(got, bytes('a', 100_000).subarray(first, last + 1), life)
        assert.equal(got?.buffer, memory.buffer)
        const slice = await store.read('b', { slice: 1, range: { first, last } })
        assert.deepEqual(slice, sliceOf('b', 1, 250_000, 100_000).subarray(first, last + 1), life)
      }
      assert.equal((await store.read('b', { slice: 2 }))?.byteLength, 50_000)
      assert.equal(await store.read('b', { slice: 3 }), undefined)
      assert.equal(await store.read('b'), undefined)
    })
  })

  test('reads at once what is asked for in the same turn and lies together, and nothing else', async () => {
    const calls: number[] = []
    const files: Files = {
      ...realFiles,
      read(file, into, at) {
        calls.push(1)
        return realFiles.read(file, into, at)
      },
      readv(file, into, at) {
        calls.push(into.length)
        return realFiles.readv(file, into, at)
      },
    }
    const store = await openDiskStore({ folder: newFolder(), maxBytes: 16 * MB }, { files })
    await putSliced(store, 'a', { length: 500_000, sliceBytes: 100_000 })
    const asked = [
      { slices: [0, 1], first: 99_000, last: 99_999, calls: [1, 1] },
      { slices: [1, 2, 3], first: 0, last: 99_999, calls: [5] },
      { slices: [3, 2, 4], first: 0, last: 99_999, calls: [1, 1, 1] },
      { slices: [0, 2, 3], first: 0, last: 99_999, calls: [1, 3] },
      { slices: [4, 4], first: 0, last: 99_999, calls: [1, 1] },
    ]
    for (const { slices, first, last, calls: expected } of asked) {
      calls.length = 0
      const read = await Promise.all(slices.map((slice) => store.read('a', { slice, range: { first, last } })))
      for (const [at, slice] of slices.entries())
        assertBytes(read[at], sliceOf('a', slice, 500_000, 100_000).subarray(first, last + 1), `${slices}`)
      assert.deepEqual(calls, expected, `${slices}`)
    }
    await store.close()
  })

  test('reads any number of slices in the same turn, in calls that every system takes', async () => {
    const most: number[] = []
    const files: Files = {
      ...realFiles,
      readv(file, into, at) {
        most.push(into.length)
        return realFiles.readv(file, into, at)
      },
    }
    const store = await openDiskStore({ folder: newFolder(), maxBytes: 64 * MB }, { files })
    await putSliced(store, 'a', { length: 1_300_000, sliceBytes: 1000 })
    const read = await Promise.all(Array.from({ length: 1300 }, (_, slice) => store.read('a', { slice })))
    for (const [slice, got] of read.entries()) assertBytes(got, sliceOf('a', slice, 1_300_000, 1000))
    assert.deepEqual(most, [999, 999, 599])
    await store.close()
  })

  test('keeps slices apart, and those that are missing missing', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await store.writeSlice('a', 3, sliceOf('a', 3, 1000, 100))
    assert.equal(store.has('a', 3), true)
    assert.deepEqual(await store.lookup(key('a')), [])
    await putSliced(store, 'a', { length: 1000, sliceBytes: 100, only: [0, 7] })
    assert.equal(await store.writeSlice('a', 10, new Uint8Array(1)), false)
    await inEveryLife(folder, store, async (store, life) => {
      for (let slice = 0; slice < 10; slice++) {
        const there = [0, 3, 7].includes(slice)
        assert.equal(store.has('a', slice), there, life)
        assertBytes(await store.read('a', { slice }), there ? sliceOf('a', slice, 1000, 100) : undefined, life)
      }
    })
  })

  test('replaces what has the same key and selecting fields, with its slices; keeps variants apart', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await putSliced(store, 'old', { under: 'a', length: 300, sliceBytes: 100 })
    await put(store, 'de', 10, { under: 'a', selecting: [['accept-language', 'de']] })
    await put(store, 'new', 20, { under: 'a' })
    assert.equal(await store.writeSlice('old', 1, new Uint8Array(100)), false)
    await inEveryLife(folder, store, async (store, life) => {
      assert.deepEqual(await ids(store, 'a'), ['de', 'new'], life)
      assert.equal(store.has('old', 0), false, life)
      assert.equal(await store.read('old', { slice: 1 }), undefined, life)
      assert.equal(store.stats().responses, 2, life)
    })
  })

  test('bounds the variants of one key, the one stored longest ago leaving first', async () => {
    const folder = newFolder()
    const store = await open(folder)
    for (let at = 0; at < 130; at++) await put(store, `v${at}`, 10, { under: 'a', selecting: [['cookie:user', String(at)]] })
    await inEveryLife(folder, store, async (store, life) => {
      const kept = await ids(store, 'a')
      assert.equal(kept.length, 100, life)
      assert.deepEqual([kept.at(0), kept.at(-1)], ['v30', 'v129'], life)
    })
  })

  test('freshens metadata and leaves the body alone', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', 5000)
    await putSliced(store, 'b', { length: 300, sliceBytes: 100 })
    assert.equal(await store.freshen(meta('a', { length: 5000, receivedAt: 99 })), true)
    assert.equal(await store.freshen(meta('b', { length: 300, sliceBytes: 100, receivedAt: 98 })), true)
    assert.equal(await store.freshen(meta('never seen')), false)
    await inEveryLife(folder, store, async (store, life) => {
      assert.equal((await store.lookup(key('a')))[0]?.meta.receivedAt, 99, life)
      assert.equal((await store.lookup(key('b')))[0]?.meta.receivedAt, 98, life)
      assertBytes(await store.read('a'), bytes('a', 5000), life)
      assertBytes(await store.read('b', { slice: 2 }), sliceOf('b', 2, 300, 100), life)
    })
  })

  test('removes every response under a key, with all slices, for good', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'de', 10, { under: 'a', selecting: [['accept-language', 'de']] })
    await putSliced(store, 'en', { under: 'a', length: 300, sliceBytes: 100 })
    await put(store, 'b', 10)
    assert.equal(await store.remove(key('a')), 2)
    assert.equal(await store.remove(key('a')), 0)
    await inEveryLife(folder, store, async (store, life) => {
      assert.deepEqual(await store.lookup(key('a')), [], life)
      assert.equal(await store.read('de'), undefined, life)
      assert.equal(store.has('en', 1), false, life)
      assert.deepEqual(await ids(store, 'b'), ['b'], life)
    })
  })

  test('discards a response, or the slices that came before it, for good', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await putSliced(store, 'a', { length: 300, sliceBytes: 100 })
    await store.writeSlice('early', 0, new Uint8Array(100))
    await store.discard('a')
    await store.discard('early')
    assert.equal(await store.writeSlice('early', 1, new Uint8Array(100)), false)
    await inEveryLife(folder, store, async (store, life) => {
      assert.deepEqual(await store.lookup(key('a')), [], life)
      assert.equal(store.has('a', 0) || store.has('early', 0) || store.has('early', 1), false, life)
    })
  })

  test('lets a removal win over a write that it overtakes in the queue, and not the other way round', async () => {
    const folder = newFolder()
    const store = await open(folder)
    const [, , , last] = await Promise.all([put(store, 'a', 10), store.remove(key('a')), store.discard('b'), put(store, 'b', 10)])
    assert.equal(last, true)
    await inEveryLife(folder, store, async (store, life) => {
      assert.deepEqual(await store.lookup(key('a')), [], life)
      assert.deepEqual(await ids(store, 'b'), ['b'], life)
    })
  })

  test('may be told of the same response again after it was removed', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await putSliced(store, 'a', { length: 300, sliceBytes: 100 })
    await store.remove(key('a'))
    assert.equal(await putSliced(store, 'a', { length: 300, sliceBytes: 100, only: [2] }), true)
    await inEveryLife(folder, store, async (store, life) => {
      assert.deepEqual(await ids(store, 'a'), ['a'], life)
      assert.deepEqual([store.has('a', 0), store.has('a', 2)], [false, true], life)
    })
  })

  test('drops slices at a restart whose response never came', async () => {
    const folder = newFolder()
    let store = await open(folder)
    await store.writeSlice('early', 0, new Uint8Array(100))
    await put(store, 'a', 10)
    await store.close()
    store = await open(folder)
    assert.equal(store.has('early', 0), false)
    assert.deepEqual(await ids(store, 'a'), ['a'])
    await store.close()
  })

  test('stays within its bound on disk at every moment, and reports each response that had to go', async () => {
    const folder = newFolder()
    const maxBytes = 4 * MB
    const store = await open(folder, maxBytes)
    const gone = new Set<string>()
    store.reportEvictions?.(({ id }, why) => {
      assert.equal(why, 'full')
      gone.add(id)
    })
    let highest = 0
    let state = 1
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % below
    }
    const stored: string[] = []
    for (let round = 0; round < 60; round++) {
      const writes = Array.from({ length: 8 }, async (_, at) => {
        const id = `${round}-${at}`
        if (await put(store, id, random(10) === 0 ? random(700_000) : random(40_000))) stored.push(id)
      })
      const watch = setInterval(() => (highest = Math.max(highest, diskUsage(folder))), 1)
      await Promise.all(writes)
      clearInterval(watch)
      highest = Math.max(highest, diskUsage(folder))
    }
    assert.ok(highest <= maxBytes, `${highest} bytes`)
    assert.ok(highest > maxBytes * 0.7, `only ${highest} bytes are used`)
    assert.equal(stored.length, 480)
    for (const id of stored) assert.equal((await store.lookup(key(id))).length, gone.has(id) ? 0 : 1, id)
    assert.equal(store.stats().evicted, gone.size)
    await store.close()
    assert.ok(diskUsage(folder) <= maxBytes)
  })

  test('keeps what is used rather than what is not, through many rounds, and a sliced response as a whole', async () => {
    const store = await open(newFolder(), 4 * MB)
    await put(store, 'used', 5000)
    await putSliced(store, 'sliced', { length: 15_000, sliceBytes: 5000 })
    await store.freshen(meta('used', { length: 5000, receivedAt: 77 }))
    for (let at = 0; at < 4000; at++) {
      await put(store, `once${at}`, 5000)
      if (at % 50 > 0) continue
      assertBytes(await store.read('used'), bytes('used', 5000), `after ${at}`)
      assertBytes(await store.read('sliced', { slice: 1 }), sliceOf('sliced', 1, 15_000, 5000), `after ${at}`)
    }
    assert.equal((await store.lookup(key('used')))[0]?.meta.receivedAt, 77)
    assert.deepEqual([store.has('sliced', 0), store.has('sliced', 1)], [false, true])
    await store.close()
  })

  test('removes all slices with the response that is evicted', async () => {
    const store = await open(newFolder(), 4 * MB)
    await putSliced(store, 'sliced', { length: 500_000, sliceBytes: 10_000 })
    for (let at = 0; at < 2000; at++) await put(store, `other${at}`, 10_000)
    assert.deepEqual(await store.lookup(key('sliced')), [])
    for (let slice = 0; slice < 50; slice++) assert.equal(store.has('sliced', slice), false)
    assert.equal(await store.writeSlice('sliced', 0, new Uint8Array(10)), false)
    await store.close()
  })

  test('keeps a response that is larger than the store while its slices are written', async () => {
    const store = await open(newFolder(), 4 * MB)
    await store.write(meta('sliced', { length: 20_000_000, sliceBytes: 10_000 }))
    for (let slice = 0; slice < 1500; slice++) assert.equal(await store.writeSlice('sliced', slice, bytes('x', 10_000)), true)
    assert.deepEqual(await ids(store, 'sliced'), ['sliced'])
    assert.deepEqual([store.has('sliced', 0), store.has('sliced', 1499)], [false, true])
    await store.close()
  })

  test('does not take what would empty it for everybody else', async () => {
    const store = await open(newFolder(), 4 * MB)
    await put(store, 'small', 1000)
    assert.equal(await put(store, 'big', 3 * MB), false)
    assert.deepEqual(await ids(store, 'small'), ['small'])
    assert.deepEqual(await store.lookup(key('big')), [])
    await store.close()
  })

  test('refuses writes beyond its queue at once, and says how much memory it takes', async () => {
    const store = await diskStore({ folder: newFolder(), maxBytes: 64 * MB, queueBytes: 2 * MB })
    const taken = await Promise.all(Array.from({ length: 8 }, (_, at) => put(store, `${at}`, MB)))
    assert.equal(taken.filter(Boolean).length, 1)
    assert.equal(await put(store, 'later', MB), true)
    for (let at = 0; at < 20_000; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, more) => put(store, `s${at + more}`, 10)))
    const { memoryBytes, responses } = store.stats()
    assert.equal(responses, 20_002)
    assert.ok(memoryBytes < 4 * MB + responses * 160, `${memoryBytes} bytes`)
    await store.close()
  })

  test('moves into less room than before', async () => {
    const folder = newFolder()
    let store = await open(folder, 16 * MB)
    for (let at = 0; at < 400; at++) await put(store, `${at}`, 30_000)
    await store.close()
    store = await open(folder, 4 * MB)
    assert.ok(diskUsage(folder) <= 4 * MB)
    assert.deepEqual(await ids(store, '399'), ['399'])
    assert.deepEqual(await ids(store, '0'), [])
    await store.close()
  })

  test('goes on in the same segment after a restart, so that many restarts make no heap of files', async () => {
    const folder = newFolder()
    for (let life = 0; life < 20; life++) {
      const store = await open(folder)
      await put(store, `${life}`, 100)
      for (let before = 0; before <= life; before++) assertBytes(await store.read(`${before}`), bytes(`${before}`, 100))
      await store.close()
    }
    assert.deepEqual(readdirSync(folder).sort(), ['00000001.segment', 'format'])
  })

  test('answers after it was closed as if it were empty', async () => {
    const store = await open(newFolder())
    await put(store, 'a', 100)
    await store.close()
    assert.equal(await put(store, 'b', 100), false)
    assert.equal(await store.read('a'), undefined)
  })
})
