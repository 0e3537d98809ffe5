// What the store on cacache takes of the disk: never more than its bound, and one copy of what is the same.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { cacacheStore } from '../src/index.ts'
import { asKilled, assertBytes, bytes, diskUsage, filesIn, isFound, key, MB, meta, newFolder, put } from './support.ts'

const contents = (folder: string): string[] => filesIn(join(folder, 'content-v2'))

/** Repeatable random numbers below `end`. */
function randomly(seed: number): (end: number) => number {
  let state = seed
  return (end) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return Math.floor((state / 0x8000_0000) * end)
  }
}

describe('the bound of the store on cacache', () => {
  test('holds for what the disk counts, through thousands of writes, removals and freshenings of all sizes', async () => {
    const folder = newFolder()
    const maxBytes = 8 * MB
    const store = await cacacheStore({ folder, maxBytes })
    const random = randomly(7)
    let most = 0
    const measure = (when: string): void => {
      const [usage, { bytes: counted }] = [diskUsage(folder), store.stats()]
      most = Math.max(most, usage)
      assert.ok(usage <= maxBytes, `${usage} bytes are on the disk ${when}`)
      assert.ok(counted <= maxBytes, `${counted} bytes are counted ${when}`)
    }
    let at = 0
    const lane = async (): Promise<void> => {
      while (at < 2000) {
        const number = at++
        // One in four has a body that others have.
        const length = random(4) === 0 ? 5000 : random(random(20) === 0 ? 300_000 : 30_000)
        const body = bytes(length === 5000 ? 0 : number, length)
        const isSliced = random(5) === 0
        if (isSliced) {
          await store.write(meta(`${number}`, { length: 3 * length, sliceBytes: length }))
          for (let slice = 0; slice < 3; slice++) await store.writeSlice(`${number}`, slice, body)
        } else await store.write(meta(`${number}`, { length }), body)
        const other = `${number - random(100)}`
        const what = random(3)
        if (what === 0) await store.remove(key(other))
        else if (what === 1) {
          const [found] = await store.lookup(key(other))
          if (found !== undefined) await store.freshen({ ...found.meta, withheld: ['X', 'x'.repeat(random(6000))] })
        }
        const read = await store.read(`${number}`, isSliced ? { slice: 1 } : {})
        if (read !== undefined) assertBytes(read, body, `${number}`)
        if (number % 100 === 0) measure(`at ${number}`)
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    assert.ok(most > 0.6 * maxBytes, `only ${most} bytes of the bound are used`)
    const { bytes: counted, responses, damaged } = store.stats()
    assert.equal(damaged, 0)
    const killed = await cacacheStore({ folder: asKilled(folder), maxBytes })
    await store.close()
    assert.ok(diskUsage(folder) <= counted, `${diskUsage(folder)} bytes are on the disk, ${counted} are counted`)
    const ended = await cacacheStore({ folder, maxBytes })
    // The copy was made while the last removals were still under way.
    assert.ok(killed.stats().bytes >= ended.stats().bytes, 'a kill loses nothing that the list of an orderly end has')
    assert.ok(killed.stats().responses >= responses)
    for (const again of [killed, ended]) await again.close()
  })

  test('does not grow when metadata is replaced', async () => {
    const folder = newFolder()
    const store = await cacacheStore({ folder, maxBytes: 8 * MB })
    await put(store, 'a', bytes(1, 1000))
    const usage = diskUsage(folder)
    for (let at = 0; at < 30; at++) assert.equal(await store.freshen({ ...meta('a', { length: 1000 }), receivedAt: at }), true)
    assert.equal(diskUsage(folder), usage)
    await store.close()
  })

  test('leaves nothing on the disk of what was removed', async () => {
    const folder = newFolder()
    const store = await cacacheStore({ folder, maxBytes: 8 * MB })
    for (let at = 0; at < 100; at++) await put(store, `${at}`, bytes(at, 1000))
    for (let at = 0; at < 100; at++) await store.remove(key(`${at}`))
    await store.close()
    assert.ok(diskUsage(folder) <= 64 * 1024, `${diskUsage(folder)} bytes are left`)
  })

  test('refuses writes when too many wait already', async () => {
    const store = await cacacheStore({ folder: newFolder(), maxBytes: 64 * MB, queueBytes: MB })
    const taken = await Promise.all(
      Array.from({ length: 20 }, (_, at) => store.write(meta(`${at}`, { length: 100_000 }), bytes(at, 100_000))),
    )
    assert.ok(taken.includes(true) && taken.includes(false))
    for (const [at, isTaken] of taken.entries()) assert.equal(await isFound(store, `${at}`), isTaken)
    await put(store, 'later', bytes(99, 1000))
    await store.close()
  })
})

describe('a body that two responses have', () => {
  test('is on the disk once, and stays until the second leaves', async () => {
    const folder = newFolder()
    const store = await cacacheStore({ folder, maxBytes: 8 * MB })
    await Promise.all([put(store, 'a', bytes(1, 10_000)), put(store, 'b', bytes(1, 10_000))])
    const { bytes: both } = store.stats()
    await put(store, 'c', bytes(1, 10_000))
    assert.ok(store.stats().bytes - both < 20_000)
    assert.equal(contents(folder).length, 1)
    for (const id of ['a', 'b']) await store.remove(key(id))
    assertBytes(await store.read('c'), bytes(1, 10_000), 'c')
    await store.remove(key('c'))
    await store.close()
    assert.deepEqual(filesIn(folder).length, 1, 'the list of entries, which is empty')
  })

  test('is there when it is stored again while it leaves', async () => {
    const store = await cacacheStore({ folder: newFolder(), maxBytes: 8 * MB })
    await put(store, '0', bytes(1, 10_000))
    for (let at = 1; at < 50; at++) {
      const [, isTaken] = await Promise.all([
        store.remove(key(`${at - 1}`)),
        store.write(meta(`${at}`, { length: 10_000 }), bytes(1, 10_000)),
      ])
      assert.equal(isTaken, true)
      assertBytes(await store.read(`${at}`), bytes(1, 10_000), `${at}`)
    }
    await store.close()
  })
})

describe('a response that is removed while it is written', () => {
  test('is not there afterwards', async () => {
    const folder = newFolder()
    const store = await cacacheStore({ folder, maxBytes: 8 * MB })
    const written = store.write(meta('a', { length: 1000 }), bytes(1, 1000))
    const slice = store.writeSlice('b', 0, bytes(2, 1000))
    // Both are under way when they are told to leave.
    await Promise.resolve()
    await Promise.all([store.remove(key('a')), store.discard('b')])
    assert.deepEqual(await Promise.all([written, slice]), [false, false])
    assert.deepEqual([await isFound(store, 'a'), store.has('b', 0)], [false, false])
    await store.close()
    assert.equal(filesIn(folder).length, 1)
  })
})
