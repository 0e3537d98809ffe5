// What a restart finds of the store on cacache, after an orderly end and after a kill.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { cacache } from '../src/calls.ts'
import { cacacheStore } from '../src/index.ts'
import { asKilled, assertBytes, bytes, diskUsage, filesIn, isFound, key, MB, meta, newFolder, put } from './support.ts'

const open = (folder: string, maxBytes = 32 * MB) => cacacheStore({ folder, maxBytes })

/** What is left in the trees of cacache. */
const kept = (folder: string): string[] => filesIn(folder).filter((path) => /content-v|index-v|tmp/.test(path))

describe('a restart of the store on cacache', () => {
  for (const [ends, end] of [
    ['an orderly end', async (folder: string, close: () => Promise<void>) => close().then(() => folder)],
    ['a kill', async (folder: string, _: () => Promise<void>) => asKilled(folder)],
  ] as const) {
    test(`finds everything after ${ends}`, async () => {
      const folder = newFolder()
      const store = await open(folder)
      await put(store, 'a', bytes(1, 10_000))
      await put(store, 'empty', new Uint8Array(0))
      await store.write(meta('de', { key: 'v', length: 10, selecting: [['accept-language', 'de']] }), bytes(2, 10))
      await store.write(meta('en', { key: 'v', length: 10, selecting: [['accept-language', 'en']] }), bytes(3, 10))
      await store.write(meta('s', { length: 2500, sliceBytes: 1000 }))
      for (const slice of [0, 2]) await store.writeSlice('s', slice, bytes(slice, slice === 2 ? 500 : 1000))
      assert.equal(await store.freshen({ ...meta('a', { length: 10_000 }), receivedAt: 99 }), true)
      const before = store.stats()

      const again = await open(await end(folder, () => store.close()))
      const { memoryBytes: _, ...stats } = again.stats()
      assert.deepEqual(stats, { responses: 5, bytes: before.bytes, maxBytes: 32 * MB, evicted: 0, damaged: 0 })
      assert.deepEqual((await again.lookup(key('a')))[0]?.meta, { ...meta('a', { length: 10_000 }), receivedAt: 99 })
      assertBytes(await again.read('a'), bytes(1, 10_000), 'a')
      assertBytes(await again.read('empty'), new Uint8Array(0), 'empty')
      assert.deepEqual((await again.lookup(key('v'))).map(({ meta }) => meta.id).sort(), ['de', 'en'])
      assert.deepEqual((await again.lookup(key('s')))[0]?.meta, meta('s', { length: 2500, sliceBytes: 1000 }))
      assert.deepEqual(
        [0, 1, 2].map((slice) => again.has('s', slice)),
        [true, false, true],
      )
      assertBytes(await again.read('s', { slice: 2 }), bytes(2, 500), 'the last slice')
      await again.close()
      await store.close()
    })

    test(`drops slices whose response is missing after ${ends}`, async () => {
      const folder = newFolder()
      const store = await open(folder)
      await put(store, 'a', bytes(1, 1000))
      await store.writeSlice('early', 0, bytes(2, 1000))
      const left = await end(folder, () => store.close())
      const again = await open(left)
      assert.equal(again.has('early', 0), false)
      assert.equal(kept(left).length, 2, 'an entry and its content')
      await again.close()
      await store.close()
    })
  }

  test('keeps the order of use', async () => {
    const folder = newFolder()
    const store = await open(folder, 4 * MB)
    for (let at = 0; at < 30; at++) await put(store, `${at}`, bytes(at, 100_000))
    for (let at = 0; at < 5; at++) await store.read(`${at}`)
    await store.close()
    const again = await open(folder, 4 * MB)
    for (let at = 30; at < 50; at++) await put(again, `${at}`, bytes(at, 100_000))
    assert.deepEqual([await isFound(again, '0'), await isFound(again, '5'), await isFound(again, '49')], [true, false, true])
    await again.close()
  })

  test('fits into a bound that has become smaller', async () => {
    const folder = newFolder()
    const store = await open(folder)
    for (let at = 0; at < 50; at++) await put(store, `${at}`, bytes(at, 100_000))
    await store.close()
    const again = await open(folder, 2 * MB)
    assert.ok(diskUsage(folder) <= 2 * MB)
    assert.equal(await isFound(again, '49'), true)
    await again.close()
  })

  test('removes what a kill left: temporary files, content without entry, entries that cannot be read, empty folders', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    await put(store, 'b', bytes(2, 1000))
    await put(store, 'c', bytes(3, 1000))
    await store.close()
    const usage = diskUsage(folder)
    rmSync(join(folder, 'simple-cdn-index'))
    writeFileSync(join(folder, 'tmp', 'half'), bytes(4, 50_000))
    await cacache.rm.entry(folder, 'simple-cdn:b#', { removeFully: true })
    const index = join(folder, 'index-v5')
    const bucket = filesIn(index)[0] as string
    writeFileSync(bucket, 'not an entry')
    const again = await open(folder)
    assert.equal(again.stats().responses, 1)
    assert.equal(kept(folder).length, 2)
    assert.ok(diskUsage(folder) < usage - 16_000)
    await again.close()
  })

  test('trusts no list of entries that is not whole', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    await put(store, 'b', bytes(2, 1000))
    await store.close()
    const list = join(folder, 'simple-cdn-index')
    writeFileSync(list, 'simple-cdn store-cacache 1 1 0\n["half')
    const again = await open(folder)
    assert.equal(again.stats().responses, 2)
    await again.close()
  })

  test('refuses a folder that holds what others wrote, and leaves it alone', async () => {
    const folder = newFolder()
    await cacache.put(folder, 'npm:left-pad', bytes(1, 1000), {
      algorithms: ['sha256'],
      metadata: {},
      size: 1000,
      memoize: false,
    })
    await assert.rejects(open(folder), /holds entries that others wrote into it \("npm:left-pad"\)/)
    assert.equal(kept(folder).length, 2)
  })

  test('refuses a folder that is open, until it is closed', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await assert.rejects(open(folder), /is open already/)
    await store.close()
    await (await open(folder)).close()
  })

  test('refuses a bound that holds nothing', async () => {
    await assert.rejects(open(newFolder(), 1000), RangeError)
  })
})

describe('the format of the store on cacache', () => {
  test('is read by cacache itself', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', bytes(1, 1000))
    await store.close()
    const entry = await cacache.get.info(folder, 'simple-cdn:a#', { memoize: false })
    assert.deepEqual(entry?.metadata, { response: meta('a', { length: 1000 }) })
    const { integrity = '' } = entry ?? {}
    assertBytes(await cacache.get.byDigest(folder, integrity, { memoize: false, size: 1000 }), bytes(1, 1000), 'the content')
  })
})
