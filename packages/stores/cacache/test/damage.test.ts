// What the store on cacache does about content that is not what was written, and about a disk that fails.
import assert from 'node:assert/strict'
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { cacacheStore } from '../src/index.ts'
import { assertBytes, bytes, filesIn, isFound, key, MB, meta, newFolder, put } from './support.ts'

const open = (folder: string) => cacacheStore({ folder, maxBytes: 32 * MB })

const contents = (folder: string): string[] => filesIn(join(folder, 'content-v2'))

describe('damaged content', () => {
  const damages: [what: string, damage: (path: string) => void][] = [
    ['has another byte', (path) => writeFileSync(path, readFileSync(path).fill(7, 500, 501))],
    ['is too short', (path) => truncateSync(path, 999)],
    ['is gone', (path) => rmSync(path)],
  ]
  for (const [what, damage] of damages) {
    test(`that ${what} is a miss, is counted, leaves, and can be stored again`, async () => {
      const folder = newFolder()
      const store = await open(folder)
      const reported: string[] = []
      store.reportEvictions?.(({ id }, why) => reported.push(`${id} ${why}`))
      await put(store, 'a', bytes(1, 1000))
      for (const path of contents(folder)) damage(path)
      assert.equal(await store.read('a'), undefined)
      assert.equal(store.stats().damaged, 1)
      assert.equal(await isFound(store, 'a'), false)
      await put(store, 'again', bytes(1, 1000))
      assertBytes(await store.read('again'), bytes(1, 1000), 'again')
      assert.deepEqual(reported, ['a damaged'])
      await store.close()
    })
  }

  test('takes every response with it that has the same', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    await put(store, 'b', bytes(1, 1000))
    for (const path of contents(folder)) truncateSync(path, 10)
    assert.equal(await store.read('a'), undefined)
    assert.deepEqual([await isFound(store, 'a'), await isFound(store, 'b'), store.stats().damaged], [false, false, 2])
    await put(store, 'c', bytes(1, 1000))
    assertBytes(await store.read('c'), bytes(1, 1000), 'c')
    await store.close()
  })

  test('of a slice costs that slice', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await store.write(meta('a', { length: 2000, sliceBytes: 1000 }))
    await store.writeSlice('a', 0, bytes(1, 1000))
    for (const path of contents(folder)) writeFileSync(path, bytes(9, 1000))
    await store.writeSlice('a', 1, bytes(2, 1000))
    assert.equal(await store.read('a', { slice: 0, range: { first: 1, last: 2 } }), undefined)
    assert.deepEqual([store.has('a', 0), store.has('a', 1), await isFound(store, 'a')], [false, true, true])
    assertBytes(await store.read('a', { slice: 1 }), bytes(2, 1000), 'the other slice')
    await store.close()
  })

  test('of an entry in the index is a miss after a restart', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    await store.close()
    for (const path of filesIn(join(folder, 'index-v5'))) writeFileSync(path, 'nothing')
    const again = await open(folder)
    assert.deepEqual([await again.lookup(key('a')), again.stats().damaged, again.stats().responses], [[], 1, 0])
    await again.close()
  })
})

describe('a disk that fails', () => {
  test('is a miss and "not stored", never an error, and is used again when it is back', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    renameSync(folder, `${folder}-away`)
    writeFileSync(folder, 'not a folder')
    assert.equal(await store.write(meta('b', { length: 1000 }), bytes(2, 1000)), false)
    assert.equal(await store.writeSlice('c', 0, bytes(3, 1000)), false)
    assert.equal(await store.freshen({ ...meta('a', { length: 1000 }), receivedAt: 99 }), false)
    assert.equal(await store.read('a'), undefined)
    assert.deepEqual(await store.lookup(key('a')), [])
    assert.equal(await store.remove(key('a')), 0)
    rmSync(folder)
    renameSync(`${folder}-away`, folder)
    await put(store, 'b', bytes(2, 1000))
    assertBytes(await store.read('b'), bytes(2, 1000), 'b')
    await store.close()
    const again = await open(folder)
    assert.deepEqual([await isFound(again, 'b'), await isFound(again, 'c')], [true, false])
    await again.close()
  })
})
