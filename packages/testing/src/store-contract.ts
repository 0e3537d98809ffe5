// What every store promises. One call runs it: testStore({ name, create }).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheKey, Part, Selecting, Store, StoredHead } from '@simple-cdn/core'

export interface StoreContract {
  readonly name: string
  /** A new, empty store that holds at most `maxBytes`. */
  readonly create: (options: { maxBytes: number }) => Store | Promise<Store>
  /** Promises that this store does not keep, by name, each with the reason. A name that is no promise fails the run. */
  readonly except?: Readonly<Record<string, string>>
}

const MB = 1024 * 1024

type Promise_ = (open: (maxBytes?: number) => Promise<Store>) => Promise<void>

const PROMISES: Readonly<Record<string, Promise_>> = {
  'finds nothing under a key it has never seen': async (open) => {
    assert.deepEqual(await (await open()).lookup(key('a')), [])
  },
  'gives back what was stored, byte for byte': async (open) => {
    const store = await open()
    const body = bytes(300_000)
    await put(store, meta('a'), body)
    const [found] = await store.lookup(key('a'))
    assert.deepEqual(found?.meta, { ...meta('a'), length: 300_000 })
    assert.deepEqual(await read(store, 'a'), body)
    const opened = found?.open?.()
    if (opened !== undefined) assert.deepEqual(new Uint8Array(opened), body)
  },
  'keeps a response without a body': async (open) => {
    const store = await open()
    await put(store, meta('a'), new Uint8Array(0))
    assert.equal((await store.lookup(key('a')))[0]?.meta.length, 0)
    assert.deepEqual(await read(store, 'a'), new Uint8Array(0))
  },
  'replaces the response with the same selecting fields, and its slices': async (open) => {
    const store = await open()
    await putSliced(store, meta('old', { key: 'a' }), [bytes(1000), bytes(500)])
    await put(store, meta('new', { key: 'a' }), bytes(20))
    assert.deepEqual(await ids(store, 'a'), ['new'])
    assert.equal(store.has('old', 0), false)
    assert.equal(await store.read('old', { slice: 0 }), undefined)
  },
  'tells each response that it holds, if it can be looked through': async (open) => {
    const store = await open()
    if (store.all === undefined) return
    await put(store, meta('de', { key: 'a', selecting: [['accept-language', 'de']] }), bytes(10))
    await put(store, meta('en', { key: 'a', selecting: [['accept-language', 'en']] }), bytes(20))
    await putSliced(store, meta('sliced', { key: 'b' }), [bytes(1000), bytes(500)])
    await put(store, meta('gone', { key: 'c' }), bytes(10))
    await store.remove(key('c'))
    const told: string[] = []
    for await (const { id } of store.all()) told.push(id)
    assert.deepEqual(told.sort(), ['de', 'en', 'sliced'])
  },
  'keeps variants apart': async (open) => {
    const store = await open()
    await put(store, meta('de', { key: 'a', selecting: [['accept-language', 'de']] }), bytes(10))
    await put(store, meta('en', { key: 'a', selecting: [['accept-language', 'en']] }), bytes(20))
    assert.deepEqual(await ids(store, 'a'), ['de', 'en'])
    assert.deepEqual(await read(store, 'de'), bytes(10))
    assert.deepEqual(await read(store, 'en'), bytes(20))
  },
  'bounds the variants of one key': async (open) => {
    const store = await open()
    for (let at = 0; at < 300; at++)
      await put(store, meta(`v${at}`, { key: 'a', selecting: [['cookie:user', String(at)]] }), bytes(10))
    const kept = await ids(store, 'a')
    assert.ok(kept.length <= 100, `${kept.length} variants are kept`)
    assert.ok(kept.includes('v299'))
  },
  'reads a range with both ends included, of a body and of a slice': async (open) => {
    const store = await open()
    const body = bytes(MB)
    await put(store, meta('a'), body)
    await putSliced(store, meta('b'), [body, body])
    for (const [first, last] of [
      [0, 0],
      [5, 9],
      [65_535, 700_007],
      [MB - 1, MB - 1],
    ] as const) {
      const expected = body.slice(first, last + 1)
      assert.deepEqual(await read(store, 'a', { range: { first, last } }), expected, `${first}-${last}`)
      assert.deepEqual(await read(store, 'b', { slice: 1, range: { first, last } }), expected, `${first}-${last} of a slice`)
    }
  },
  'reads into the memory it is given, or hands out its own': async (open) => {
    const store = await open()
    await putSliced(store, meta('a'), [bytes(1000), bytes(500)])
    const given = new Uint8Array(2000)
    const got = await store.read('a', { slice: 1, range: { first: 100, last: 199 }, into: () => given })
    assert.deepEqual(new Uint8Array(got ?? []), bytes(500).slice(100, 200))
  },
  'hands out at once, if it does so, what it would read': async (open) => {
    const store = await open()
    await put(store, meta('b'), bytes(1000))
    await putSliced(store, meta('a'), [bytes(1000), bytes(500)])
    if (store.readNow === undefined) return
    for (const [id, part] of [
      ['b'],
      ['b', { range: { first: 3, last: 9 } }],
      ['a', { slice: 1 }],
      ['a', { slice: 0, range: { first: 999, last: 999 } }],
    ] as const) {
      const now = store.readNow(id, part)
      if (now !== undefined) assert.deepEqual(new Uint8Array(now), await read(store, id, part))
    }
    assert.equal(store.readNow('a', { slice: 2 }), undefined)
    assert.equal(store.readNow('c'), undefined)
  },
  'keeps slices in any order, with gaps, before and after the response itself': async (open) => {
    const store = await open()
    assert.equal(await store.writeSlice('a', 2, bytes(1002)), true)
    assert.deepEqual(await store.lookup(key('a')), [], 'a response shows when it is written')
    assert.equal(await store.write({ ...meta('a'), length: 4000, sliceBytes: 1000 }), true)
    assert.equal(await store.writeSlice('a', 0, bytes(1000)), true)
    assert.deepEqual(
      [0, 1, 2, 3].map((slice) => store.has('a', slice)),
      [true, false, true, false],
    )
    assert.deepEqual(await read(store, 'a', { slice: 2 }), bytes(1002))
    assert.equal(await store.read('a', { slice: 1 }), undefined)
    const [found] = await store.lookup(key('a'))
    assert.deepEqual([found?.meta.length, found?.meta.sliceBytes], [4000, 1000])
    assert.equal(found?.open?.(), undefined)
  },
  'keeps slices while the metadata is freshened': async (open) => {
    const store = await open()
    await putSliced(store, meta('a'), [bytes(1000), bytes(500)])
    assert.equal(await store.freshen({ ...meta('a'), length: 1500, sliceBytes: 1000, receivedAt: 99 }), true)
    assert.equal((await store.lookup(key('a')))[0]?.meta.receivedAt, 99)
    assert.deepEqual(await read(store, 'a', { slice: 1 }), bytes(500))
  },
  'freshens metadata and leaves the body alone': async (open) => {
    const store = await open()
    await put(store, meta('a'), bytes(100))
    assert.equal(await store.freshen({ ...meta('a'), length: 100, receivedAt: 99 }), true)
    assert.equal((await store.lookup(key('a')))[0]?.meta.receivedAt, 99)
    assert.deepEqual(await read(store, 'a'), bytes(100))
    assert.equal(await store.freshen({ ...meta('never seen'), length: 100 }), false)
  },
  'removes every response under a key with its slices, and no other': async (open) => {
    const store = await open()
    await put(store, meta('de', { key: 'a', selecting: [['accept-language', 'de']] }), bytes(10))
    await putSliced(store, meta('en', { key: 'a', selecting: [['accept-language', 'en']] }), [bytes(1000), bytes(10)])
    await put(store, meta('b'), bytes(10))
    assert.equal(await store.remove(key('a')), 2)
    assert.deepEqual(await store.lookup(key('a')), [])
    assert.equal(await store.read('de'), undefined)
    assert.equal(await store.read('en', { slice: 0 }), undefined)
    assert.deepEqual(await ids(store, 'b'), ['b'])
    assert.equal(await store.remove(key('a')), 0)
  },
  'discards one response, or the slices that were to be one': async (open) => {
    const store = await open()
    await store.writeSlice('early', 0, bytes(1000))
    await putSliced(store, meta('a'), [bytes(1000), bytes(10)])
    await put(store, meta('b', { key: 'a', selecting: [['accept-language', 'en']] }), bytes(10))
    for (const id of ['early', 'a', 'never seen']) await store.discard(id)
    assert.deepEqual([store.has('early', 0), store.has('a', 0)], [false, false])
    assert.deepEqual(await ids(store, 'a'), ['b'])
  },
  'stays within its bound while it is written to, and reports each response that had to go': async (open) => {
    const store = await open(4 * MB)
    const gone = new Set<string>()
    store.reportEvictions?.((evicted) => gone.add(evicted.id))
    for (let at = 0; at < 40; at++) {
      await put(store, meta(`${at}`), bytes(300_000))
      const { bytes: held } = store.stats()
      assert.ok(held <= 4 * MB, `${held} bytes are held`)
    }
    let left = 0
    for (let at = 0; at < 40; at++) left += (await store.lookup(key(`${at}`))).length
    assert.ok(left >= 6, `only ${left} of 13 possible are left`)
    assert.equal(left + gone.size, 40)
  },
  'stays within its bound while slices are written to, and goes on taking them': async (open) => {
    const store = await open(4 * MB)
    await store.write({ ...meta('a'), length: 40 * 300_000, sliceBytes: 300_000 })
    for (let slice = 0; slice < 40; slice++) {
      assert.equal(await store.writeSlice('a', slice, bytes(300_000)), true)
      const { bytes: held } = store.stats()
      assert.ok(held <= 4 * MB, `${held} bytes are held`)
    }
    assert.deepEqual(await read(store, 'a', { slice: 39 }), bytes(300_000))
    assert.equal((await store.lookup(key('a'))).length, 1, 'the response outlives its slices')
  },
  'keeps what is used rather than what is not': async (open) => {
    const store = await open(4 * MB)
    await put(store, meta('used'), bytes(100_000))
    for (let at = 0; at < 60; at++) {
      await put(store, meta(`${at}`), bytes(100_000))
      await read(store, 'used')
    }
    assert.deepEqual(await ids(store, 'used'), ['used'])
  },
  'does not take a body that would empty it for everybody else': async (open) => {
    const store = await open(4 * MB)
    await put(store, meta('small'), bytes(1000))
    assert.equal(await store.write({ ...meta('big'), length: 5 * MB }, bytes(5 * MB)), false)
    assert.deepEqual(await ids(store, 'small'), ['small'])
    assert.deepEqual(await store.lookup(key('big')), [])
  },
  'takes writes of many responses at the same time': async (open) => {
    const store = await open(64 * MB)
    await Promise.all(Array.from({ length: 50 }, (_, at) => put(store, meta(`${at}`), bytes(10_000 + at))))
    for (let at = 0; at < 50; at++) assert.deepEqual(await read(store, `${at}`), bytes(10_000 + at))
  },
  'tells what it holds': async (open) => {
    const store = await open()
    await put(store, meta('a'), bytes(100_000))
    await putSliced(store, meta('b'), [bytes(100_000), bytes(50_000)])
    const { responses, bytes: held, maxBytes, memoryBytes, evicted, damaged } = store.stats()
    assert.deepEqual([responses, evicted, damaged], [2, 0, 0])
    assert.ok(held >= 250_000 && held <= maxBytes, `${held} bytes`)
    assert.ok(memoryBytes > 0)
  },
}

/** Runs the contract under node:test. */
export function testStore({ name, create, except = {} }: StoreContract): void {
  describe(`the store "${name}"`, () => {
    it('makes exceptions only from promises there are', () => {
      for (const promise of Object.keys(except)) assert.ok(promise in PROMISES, `"${promise}" is no promise`)
    })
    for (const [promise, keep] of Object.entries(PROMISES)) {
      const reason = except[promise]
      it(promise, { skip: reason ?? false }, async () => {
        const opened: Store[] = []
        try {
          await keep(async (maxBytes = 16 * MB) => {
            const store = await create({ maxBytes })
            opened.push(store)
            return store
          })
        } finally {
          for (const store of opened) await store.close()
        }
      })
    }
  })
}

function key(text: string): CacheKey {
  return `http://cdn.test/${text}` as CacheKey
}

function meta(id: string, { key: under = id, selecting = [] }: { key?: string; selecting?: Selecting } = {}): StoredHead {
  return {
    v: 1,
    id,
    key: key(under),
    status: 200,
    fields: ['Content-Type', 'text/plain', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'],
    withheld: ['Surrogate-Key', 'page'],
    selecting,
    requestedAt: 1,
    receivedAt: 2,
    initialAge: 0,
    freshness: {
      lifetime: 60,
      from: 'max-age',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      validateAlways: false,
      forbidsStale: false,
    },
    surrogateKeys: ['page'],
  }
}

/** Different at every offset within a megabyte, so that a shifted or mixed body shows. */
function bytes(length: number): Uint8Array {
  const all = new Uint8Array(length)
  for (let at = 0; at < length; at++) all[at] = (at * 31 + (at >> 8) * 17 + length) & 255
  return all
}

async function put(store: Store, head: StoredHead, body: Uint8Array): Promise<void> {
  assert.equal(await store.write({ ...head, length: body.byteLength }, body), true, 'the store takes it')
}

async function putSliced(store: Store, head: StoredHead, slices: readonly Uint8Array[]): Promise<void> {
  const length = slices.reduce((sum, slice) => sum + slice.byteLength, 0)
  for (const [at, slice] of slices.entries()) assert.equal(await store.writeSlice(head.id, at, slice), true)
  assert.equal(await store.write({ ...head, length, sliceBytes: slices[0]?.byteLength }), true)
}

async function read(store: Store, id: string, part?: Part): Promise<Uint8Array> {
  const body = await store.read(id, part)
  assert.ok(body !== undefined, `${id} is there`)
  return new Uint8Array(body)
}

async function ids(store: Store, under: string): Promise<readonly string[]> {
  return (await store.lookup(key(under))).map((stored) => stored.meta.id).sort()
}
