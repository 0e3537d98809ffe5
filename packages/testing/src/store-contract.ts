// What every store promises. One call runs it: testStore({ name, create }).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheKey, Selecting, Store, StoredMeta } from '@simple-cdn/core'

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
  'gives back what was committed, byte for byte': async (open) => {
    const store = await open()
    const body = bytes(300_000)
    await put(store, meta('a'), body)
    const [found] = await store.lookup(key('a'))
    assert.deepEqual(found?.meta, meta('a'))
    assert.equal(found?.length, body.byteLength)
    assert.deepEqual(await read(store, 'a'), body)
  },
  'keeps a response without a body': async (open) => {
    const store = await open()
    await put(store, meta('a'), new Uint8Array(0))
    assert.equal((await store.lookup(key('a')))[0]?.length, 0)
    assert.deepEqual(await read(store, 'a'), new Uint8Array(0))
  },
  'shows nothing of a write before its commit': async (open) => {
    const store = await open()
    const writer = await store.write(meta('a'), 10)
    await writer?.write(bytes(5))
    assert.deepEqual(await store.lookup(key('a')), [])
    await writer?.write(bytes(5))
    await writer?.commit()
    assert.equal((await store.lookup(key('a'))).length, 1)
  },
  'keeps the previous response when a write is aborted': async (open) => {
    const store = await open()
    await put(store, meta('old', { key: 'a' }), bytes(10))
    const writer = await store.write(meta('new', { key: 'a' }), undefined)
    await writer?.write(bytes(20))
    await writer?.abort()
    assert.deepEqual(await ids(store, 'a'), ['old'])
  },
  'replaces the response with the same selecting fields': async (open) => {
    const store = await open()
    await put(store, meta('old', { key: 'a' }), bytes(10))
    await put(store, meta('new', { key: 'a' }), bytes(20))
    assert.deepEqual(await ids(store, 'a'), ['new'])
    assert.equal(await store.read('old'), undefined)
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
    const kept = await store.lookup(key('a'))
    assert.ok(kept.length <= 100, `${kept.length} variants are kept`)
    assert.equal(kept.at(-1)?.meta.id, 'v299')
  },
  'reads a range with both ends included': async (open) => {
    const store = await open()
    const body = bytes(3 * MB)
    await put(store, meta('a'), body)
    for (const [first, last] of [
      [0, 0],
      [5, 9],
      [MB - 1, MB],
      [65_535, 2 * MB + 7],
      [3 * MB - 1, 3 * MB - 1],
    ] as const) {
      assert.deepEqual(await read(store, 'a', { first, last }), body.slice(first, last + 1), `${first}-${last}`)
    }
  },
  'freshens metadata and leaves the body alone': async (open) => {
    const store = await open()
    await put(store, meta('a'), bytes(100))
    assert.equal(await store.freshen({ ...meta('a'), receivedAt: 99 }), true)
    assert.equal((await store.lookup(key('a')))[0]?.meta.receivedAt, 99)
    assert.deepEqual(await read(store, 'a'), bytes(100))
    assert.equal(await store.freshen(meta('never seen')), false)
  },
  'removes every response under a key, and no other': async (open) => {
    const store = await open()
    await put(store, meta('de', { key: 'a', selecting: [['accept-language', 'de']] }), bytes(10))
    await put(store, meta('en', { key: 'a', selecting: [['accept-language', 'en']] }), bytes(10))
    await put(store, meta('b'), bytes(10))
    assert.equal(await store.remove(key('a')), 2)
    assert.deepEqual(await store.lookup(key('a')), [])
    assert.equal(await store.read('de'), undefined)
    assert.deepEqual(await ids(store, 'b'), ['b'])
    assert.equal(await store.remove(key('a')), 0)
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
    assert.ok(left >= 8, `only ${left} of 13 possible are left`)
    assert.equal(left + gone.size, 40)
  },
  'keeps what is used rather than what is not': async (open) => {
    const store = await open(4 * MB)
    await put(store, meta('used'), bytes(300_000))
    for (let at = 0; at < 60; at++) {
      await put(store, meta(`${at}`), bytes(300_000))
      await read(store, 'used')
    }
    assert.deepEqual(await ids(store, 'used'), ['used'])
  },
  'does not take a response that would empty it for everybody else': async (open) => {
    const store = await open(4 * MB)
    await put(store, meta('small'), bytes(1000))
    assert.equal(await store.write(meta('big'), 5 * MB), undefined)
    const writer = await store.write(meta('grows'), undefined)
    let taken = true
    for (let at = 0; at < 6 && taken; at++) taken = (await writer?.write(bytes(MB))) === true
    assert.equal(taken, false)
    assert.deepEqual(await ids(store, 'small'), ['small'])
    assert.deepEqual(await store.lookup(key('grows')), [])
  },
  'takes writes of many responses at the same time': async (open) => {
    const store = await open(64 * MB)
    await Promise.all(Array.from({ length: 50 }, (_, at) => put(store, meta(`${at}`), bytes(10_000 + at))))
    for (let at = 0; at < 50; at++) assert.deepEqual(await read(store, `${at}`), bytes(10_000 + at))
  },
  'goes on reading a body that is removed meanwhile, or ends with an error, never short': async (open) => {
    const store = await open(64 * MB)
    const body = bytes(3 * MB)
    await put(store, meta('a'), body)
    const reading = await store.read('a')
    assert.ok(reading !== undefined)
    await store.remove(key('a'))
    try {
      assert.deepEqual(await whole(reading), body)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
    }
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

function meta(id: string, { key: under = id, selecting = [] }: { key?: string; selecting?: Selecting } = {}): StoredMeta {
  return {
    v: 1,
    id,
    key: key(under),
    status: 200,
    fields: ['Content-Type', 'text/plain', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'],
    withheld: [],
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

async function put(store: Store, stored: StoredMeta, body: Uint8Array): Promise<void> {
  const writer = await store.write(stored, body.byteLength)
  assert.ok(writer !== undefined, 'the store takes it')
  for (let at = 0; at < body.byteLength; at += 65_536) assert.equal(await writer.write(body.slice(at, at + 65_536)), true)
  assert.equal(await writer.commit(), true)
}

async function read(store: Store, id: string, range?: { first: number; last: number }): Promise<Uint8Array> {
  const body = await store.read(id, range)
  assert.ok(body !== undefined, `${id} is there`)
  return whole(body)
}

async function whole(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return new Uint8Array(body)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

async function ids(store: Store, under: string): Promise<readonly string[]> {
  return (await store.lookup(key(under))).map((stored) => stored.meta.id).sort()
}
