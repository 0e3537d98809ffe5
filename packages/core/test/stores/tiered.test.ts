// Two stores as one: the contract, what is copied up and when, and what happens when things happen at the same time.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore, type Store, type StoredMeta, tieredStore } from '@simple-cdn/core'
import { testStore } from '@simple-cdn/testing'
import { chance } from '../support/chance.ts'
import { metaOf } from '../support/stored.ts'

const KB = 1024
const MB = 1024 * KB

/** As a store on disk is: it says at once what it does not have, and nothing else. */
function slow(store: Store): Store {
  return { ...store, name: 'slow', peek: (key) => (store.peek?.(key)?.length === 0 ? [] : undefined) }
}

/** Below memory, a store that cannot say anything at once. */
function silent(store: Store): Store {
  const { peek: _, touch: __, ...rest } = store
  return { ...rest, name: 'silent' }
}

const upperFor = (maxBytes: number) => memoryStore({ maxBytes: Math.max(64 * KB, maxBytes / 4) })

testStore({
  name: 'memory+memory',
  create: ({ maxBytes }) => tieredStore({ upper: upperFor(maxBytes), lower: memoryStore({ maxBytes }) }),
})
testStore({
  name: 'memory+slow',
  create: ({ maxBytes }) => tieredStore({ upper: upperFor(maxBytes), lower: slow(memoryStore({ maxBytes })) }),
})
testStore({
  name: 'memory+silent, everything copied up',
  create: ({ maxBytes }) =>
    tieredStore({ upper: upperFor(maxBytes), lower: silent(memoryStore({ maxBytes })), largestShare: 0.4 }),
})

interface Site {
  readonly upper: Store
  readonly lower: Store
  readonly store: Store
  /** What the lower store was asked for since the last call. */
  asked(): string[]
}

/** 10 MB above, so that up to 200 KB go there. `replace`: what the lower store does instead. */
function site({ upperBytes = 10 * MB, lowerBytes = 64 * MB, replace = {} as Partial<Store> } = {}): Site {
  const upper = memoryStore({ maxBytes: upperBytes })
  const lower: Store = { ...slow(memoryStore({ maxBytes: lowerBytes })), ...replace }
  let asked: string[] = []
  const noting: Store = {
    ...lower,
    lookup(key) {
      asked.push('lookup')
      return lower.lookup(key)
    },
    read(id, part) {
      asked.push(`read ${id}${part?.slice === undefined ? '' : `/${part.slice}`}`)
      return lower.read(id, part)
    },
    write: (meta, body) => lower.write(meta, body),
  }
  const store = tieredStore({ upper, lower: noting, onFailure: () => asked.push('failure') })
  return {
    upper,
    lower,
    store,
    asked() {
      const all = asked
      asked = []
      return all
    },
  }
}

async function put(store: Store, meta: StoredMeta): Promise<boolean> {
  if (meta.sliceBytes === undefined) return store.write(meta, new Uint8Array(meta.length).fill(7))
  const written = await store.write(meta)
  for (let at = 0; at * meta.sliceBytes < meta.length; at++) await store.writeSlice(meta.id, at, new Uint8Array(meta.sliceBytes))
  return written
}

/** As the engine does: look it up, open it, or else read it. */
async function get(store: Store, { key, id }: StoredMeta): Promise<Uint8Array | undefined> {
  const known = store.peek?.(key) ?? (await store.lookup(key))
  const found = known.find(({ meta }) => meta.id === id)
  return found && (found.open?.() ?? (await store.read(id)))
}

const small = metaOf('small', 10 * KB)
const large = metaOf('large', 2 * MB)
const sliced = metaOf('sliced', 800 * KB, { sliceBytes: 100 * KB })

/** A promise that somebody waits for until we let them go. */
function gate(): { opened: Promise<void>; open: () => void; reached: Promise<void>; reach: () => void } {
  const [opened, reached] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return { opened: opened.promise, open: opened.resolve, reached: reached.promise, reach: reached.resolve }
}

describe('memory over another store', () => {
  it('answers from memory what was just stored, without asking below', async () => {
    const { store, asked } = site()
    await put(store, small)
    await get(store, small)
    asked()
    assert.equal(store.peek?.(small.key)?.length, 1)
    assert.equal((await get(store, small))?.byteLength, 10 * KB)
    assert.deepEqual(asked(), [])
  })

  it('knows at once that there is nothing, when the lower store knows', async () => {
    const { store } = site()
    assert.deepEqual(store.peek?.(small.key), [])
  })

  it('copies up what is read below, when it is small enough', async () => {
    const { store, lower, upper, asked } = site()
    await put(lower, small)
    await put(lower, large)
    for (const [meta, reads] of [
      [small, ['lookup', 'read small']],
      [large, ['lookup', 'read large']],
    ] as const) {
      // The lower store hands out its bodies only when it is read.
      const [found] = await store.lookup(meta.key)
      assert.equal((await store.read(found?.meta.id ?? ''))?.byteLength, meta.length)
      assert.deepEqual(asked(), reads)
    }
    assert.equal(upper.stats().responses, 1)
    await get(store, small)
    asked()
    assert.equal((await get(store, small))?.byteLength, small.length)
    assert.deepEqual(asked(), [], 'small')
  })

  it('copies up those slices of a large response that are used again, whole, by whatever pieces they are read', async () => {
    const { store, upper, asked } = site()
    await put(store, sliced)
    assert.equal(upper.stats().responses, 0)
    await store.lookup(sliced.key)
    const pass = async () => {
      for (const slice of [2, 3])
        for (const first of [0, 40_000]) await store.read('sliced', { slice, range: { first, last: first + 39_999 } })
    }
    await pass()
    assert.deepEqual([upper.has('sliced', 2), upper.has('sliced', 3)], [false, false])
    await store.read('sliced', { slice: 2, range: { first: 0, last: 39_999 } })
    assert.deepEqual([upper.has('sliced', 2), upper.has('sliced', 3)], [true, false])
    await pass()
    assert.deepEqual([upper.has('sliced', 2), upper.has('sliced', 3)], [true, true])
    asked()
    await pass()
    assert.deepEqual(asked(), [])
    await store.remove(sliced.key)
    assert.deepEqual([upper.has('sliced', 2), upper.stats().bytes], [false, 0])
  })

  it('writes the slices of a small response into both', async () => {
    const { store, upper, lower } = site()
    await put(store, metaOf('a', 150 * KB, { sliceBytes: 50 * KB }))
    for (const slice of [0, 1, 2]) assert.deepEqual([upper.has('a', slice), lower.has('a', slice)], [true, true])
  })

  it('finds every variant, though only one is in memory', async () => {
    const { store, lower } = site()
    await put(store, metaOf('de', KB, { key: 'a', selecting: [['accept-language', 'de']] }))
    await put(lower, metaOf('en', KB, { key: 'a', selecting: [['accept-language', 'en']] }))
    for (let round = 0; round < 3; round++) {
      const known = store.peek?.(metaOf('', 0, { key: 'a' }).key) ?? (await store.lookup(metaOf('', 0, { key: 'a' }).key))
      assert.deepEqual(known.map(({ meta }) => meta.id).sort(), ['de', 'en'])
      for (const { meta } of known) await store.read(meta.id)
    }
    assert.equal(store.peek?.(metaOf('', 0, { key: 'a' }).key)?.length, 2, 'by now, both are in memory')
  })

  it('takes the old version out of memory when the new one is too large for it', async () => {
    const { store, upper } = site()
    await put(store, metaOf('old', KB, { key: 'a' }))
    await put(store, metaOf('new', MB, { key: 'a' }))
    assert.equal(upper.stats().responses, 0)
    assert.deepEqual(
      (await store.lookup(metaOf('', 0, { key: 'a' }).key)).map(({ meta }) => meta.id),
      ['new'],
    )
  })

  it('lets the lower store see what memory answers', async () => {
    const { store } = site({ upperBytes: MB, lowerBytes: MB })
    const hot = metaOf('hot', KB)
    await put(store, hot)
    for (let at = 0; at < 100; at++) {
      await put(store, metaOf(`${at}`, 20 * KB))
      await get(store, hot)
    }
    assert.ok((await get(store, hot)) !== undefined)
    const touched: string[] = []
    const other = site({ replace: { touch: (id, slice) => touched.push(`${id} ${slice}`) } }).store
    await put(other, hot)
    await put(other, metaOf('a', 150 * KB, { sliceBytes: 50 * KB }))
    await get(other, hot)
    await get(other, hot)
    await other.read('a', { slice: 2 })
    assert.deepEqual(touched, ['hot undefined', 'hot undefined', 'a 2'])
  })

  it('reports what has left both, and not before', async () => {
    const { store, lower } = site({ upperBytes: MB, lowerBytes: MB })
    const gone: string[] = []
    store.reportEvictions?.(({ id }) => gone.push(id))
    await put(store, small)
    for (let at = 0; at < 20; at++) await put(lower, metaOf(`${at}`, 100 * KB))
    for (let at = 0; at < 20; at++) await put(lower, metaOf(`tiny ${at}`, KB))
    while ((await lower.lookup(small.key)).length > 0) await put(lower, metaOf(`${Math.random()}`, 200 * KB))
    assert.equal(gone.includes('small'), false)
    assert.equal((await get(store, small))?.byteLength, small.length, 'memory still has it')
    assert.equal(store.peek?.(small.key)?.length, 1, 'and needs nobody to ask')
    let others = 0
    while ((await store.lookup(small.key)).length > 0 && others < 5000) await put(store, metaOf(`other ${others++}`, 15 * KB))
    assert.ok(gone.includes('small'))
  })

  for (const [what, end] of [
    ['removed', (store: Store, meta: StoredMeta) => store.remove(meta.key)],
    ['discarded', (store: Store, meta: StoredMeta) => store.discard(meta.id)],
    ['replaced', (store: Store, meta: StoredMeta) => put(store, metaOf('new', MB, { key: meta.id }))],
  ] as const) {
    it(`does not copy up what is ${what} while it is read`, async () => {
      const { opened, open, reached, reach } = gate()
      const { store, upper, lower } = site()
      const read = lower.read.bind(lower)
      lower.read = async (id, part) => {
        const body = await read(id, part)
        reach()
        await opened
        return body
      }
      await put(lower, small)
      await store.lookup(small.key)
      const reading = store.read(small.id)
      await reached
      await end(store, small)
      open()
      assert.equal((await reading)?.byteLength, small.length, 'who was reading gets it')
      assert.equal(upper.stats().responses, 0)
      assert.equal(await get(store, small), undefined)
    })

    it(`does not copy up what is ${what} while it is looked up`, async () => {
      const { opened, open, reached, reach } = gate()
      const { store, upper, lower } = site()
      const lookup = lower.lookup.bind(lower)
      lower.lookup = async (key) => {
        const known = await lookup(key)
        reach()
        await opened
        return known
      }
      await put(lower, small)
      const looking = store.lookup(small.key)
      await reached
      await end(store, small)
      open()
      for (const stored of await looking) stored.open?.()
      assert.equal(upper.stats().responses, 0)
      assert.equal(await get(store, small), undefined)
    })
  }

  it('does not keep in memory what is removed while it is written', async () => {
    const { opened, open, reached, reach } = gate()
    const { store, upper, lower } = site()
    const write = lower.write.bind(lower)
    lower.write = async (meta, body) => {
      const written = await write(meta, body)
      reach()
      await opened
      return written
    }
    const writing = put(store, small)
    await reached
    await store.remove(small.key)
    open()
    await writing
    assert.equal(upper.stats().responses, 0)
    assert.deepEqual(await store.lookup(small.key), [])
  })

  it('takes out of a slow upper store what is removed while it is copied there', async () => {
    for (const how of ['read', 'read in slices', 'written'] as const) {
      const { opened, open, reached, reach } = gate()
      const [upper, lower] = [memoryStore({ maxBytes: 10 * MB }), memoryStore({ maxBytes: 64 * MB })]
      const store = tieredStore({
        upper: {
          ...upper,
          async write(meta, body) {
            reach()
            await opened
            return upper.write(meta, body)
          },
        },
        lower: slow(lower),
      })
      const meta = how !== 'read in slices' ? small : metaOf('a', 150 * KB, { sliceBytes: 50 * KB })
      if (how !== 'written') await put(lower, meta)
      await store.lookup(meta.key)
      const working = how === 'written' ? put(store, meta) : store.read(meta.id, { slice: how === 'read' ? undefined : 1 })
      await reached
      await store.remove(meta.key)
      open()
      await working
      assert.deepEqual([upper.stats().responses, upper.stats().bytes], [0, 0])
      assert.deepEqual(await store.lookup(meta.key), [])
    }
  })

  it('leaves no slice behind in a slow upper store when its response is removed while it is written', async () => {
    const { opened, open, reached, reach } = gate()
    const upper = memoryStore({ maxBytes: 10 * MB })
    const store = tieredStore({
      upper: {
        ...upper,
        async writeSlice(id, slice, bytes) {
          reach()
          await opened
          return upper.writeSlice(id, slice, bytes)
        },
      },
      lower: memoryStore({ maxBytes: 64 * MB }),
    })
    const meta = metaOf('a', 150 * KB, { sliceBytes: 50 * KB })
    await store.write(meta)
    const writing = store.writeSlice('a', 0, new Uint8Array(50 * KB))
    await reached
    await store.remove(meta.key)
    open()
    await writing
    assert.equal(upper.stats().bytes, 0)
  })

  it('drops from memory what the lower store has dropped without a word', async () => {
    const [upper, lower] = [memoryStore({ maxBytes: 10 * MB }), memoryStore({ maxBytes: 64 * MB, maxVariants: 2 })]
    const store = tieredStore({ upper, lower })
    const variant = (language: string) => metaOf(language, KB, { key: 'a', selecting: [['accept-language', language]] })
    for (const language of ['de', 'en', 'fr']) await put(store, variant(language))
    assert.deepEqual(
      (await store.lookup(variant('').key)).map(({ meta }) => meta.id),
      ['en', 'fr'],
    )
    assert.equal(upper.stats().responses, 2)
  })

  it('has nothing in memory that is not below, whatever happens at the same time', async () => {
    const random = chance()
    const pick = (below: number) => Math.floor(random() * below)
    const pause = async () => {
      for (let turns = pick(4); turns > 0; turns--) await undefined
    }
    /** The same store, each of whose answers is some turns late. */
    const late = (store: Store): Store => {
      const delayed = Object.entries(store).map(([name, method]) =>
        ['lookup', 'read', 'write', 'writeSlice', 'freshen', 'remove', 'discard'].includes(name)
          ? [
              name,
              async (...given: unknown[]) => {
                await pause()
                const result = await (method as (...given: unknown[]) => unknown)(...given)
                await pause()
                return result
              },
            ]
          : [name, method],
      )
      return Object.fromEntries(delayed)
    }
    for (let round = 0; round < 150; round++) {
      const [upper, lower] = [memoryStore({ maxBytes: 10 * MB }), memoryStore({ maxBytes: 64 * MB })]
      const store = tieredStore({ upper: round % 2 ? upper : late(upper), lower: late(slow(lower)), largestShare: 0.0003 })
      let written = 0
      const metas: StoredMeta[] = []
      const step = async () => {
        await pause()
        const key = `${pick(3)}`
        const meta = metas.at(pick(metas.length))
        const what = pick(8)
        if (what < 2 || meta === undefined) {
          const made = metaOf(`id ${written++}`, 1000 * (1 + pick(5)), { key, sliceBytes: pick(2) ? 1000 : undefined })
          metas.push(made)
          await put(store, made)
        } else if (what === 2) await store.remove(meta.key)
        else if (what === 3) await store.discard(meta.id)
        else if (what === 4) await store.freshen({ ...meta, receivedAt: round })
        else if (meta.sliceBytes === undefined) await get(store, meta)
        else if ((await store.lookup(meta.key)).length > 0)
          for (let at = 0; at < 4; at++) await store.read(meta.id, { slice: pick(2) })
      }
      for (let batch = 0; batch < 5; batch++) await Promise.all(Array.from({ length: 8 }, step))
      const keys = [0, 1, 2].map((at) => metaOf('', 0, { key: `${at}` }).key)
      // What the lower store has dropped is noticed when its key is asked for.
      for (const key of keys) await store.lookup(key)
      for (const key of keys) {
        const below = new Set((await lower.lookup(key)).map(({ meta }) => meta.id))
        const up = (await upper.lookup(key)).map(({ meta }) => meta.id)
        assert.deepEqual(
          up.filter((id) => !below.has(id)),
          [],
          `round ${round}`,
        )
        assert.deepEqual(new Set((await store.lookup(key)).map(({ meta }) => meta.id)), below, `round ${round}`)
        await store.remove(key)
        assert.deepEqual(await store.lookup(key), [])
      }
      assert.deepEqual([upper.stats().bytes, lower.stats().responses], [0, 0], `round ${round}`)
    }
  })

  it('works on without the lower store, and tells of it', async () => {
    const broken = async () => {
      throw new Error('the disk is gone')
    }
    const { store, asked } = site({
      replace: { lookup: broken, read: broken, write: broken, writeSlice: broken, freshen: broken, peek: () => undefined },
    })
    const gone: string[] = []
    store.reportEvictions?.(({ id }) => gone.push(id))
    await assert.rejects(store.lookup(small.key), /the disk is gone/)
    assert.equal(await put(store, small), true)
    assert.equal(await put(store, metaOf('a', 150 * KB, { sliceBytes: 50 * KB })), true)
    assert.equal((await get(store, small))?.byteLength, small.length)
    assert.equal((await store.read('a', { slice: 2 }))?.byteLength, 50 * KB)
    assert.equal(await store.freshen({ ...small, receivedAt: 99 }), true)
    assert.equal((await store.lookup(small.key))[0]?.meta.receivedAt, 99)
    assert.equal(await put(store, large), false)
    assert.ok(asked().includes('failure'))
    for (let at = 0; at < 200; at++) await put(store, metaOf(`${at}`, 150 * KB))
    assert.ok(gone.length > 100, `${gone.length} are reported`)
    assert.equal(await store.remove(metaOf('199', 0).key), 1)
  })

  it('removes from memory what the lower store fails to remove, and says so', async () => {
    const { store, upper } = site({ replace: { remove: async () => Promise.reject(new Error('the disk is gone')) } })
    await put(store, small)
    await assert.rejects(store.remove(small.key), /the disk is gone/)
    assert.equal(upper.stats().responses, 0)
  })

  it('reads from two tiers that are its upper store what lies in the lower one of them', async () => {
    let asked = 0
    const { readNow: _, ...below } = memoryStore({ maxBytes: 10 * MB })
    const middle: Store = {
      ...below,
      async read(id, part) {
        asked++
        return below.read(id, part)
      },
    }
    const upper = tieredStore({ upper: memoryStore({ maxBytes: 256 * KB }), lower: middle })
    const lower: Store = { ...silent(memoryStore({ maxBytes: 64 * MB })), read: async () => undefined }
    const store = tieredStore({ upper, lower, largestShare: 0.9 })
    const body = new Uint8Array(50 * KB).fill(7)
    await store.write(metaOf('a', body.length), body)
    assert.deepEqual(await store.read('a'), body)
    assert.equal(asked, 1)
  })

  it('needs an upper store that can say at once what it has', () => {
    const { peek: _, ...upper } = memoryStore({ maxBytes: MB })
    assert.throws(() => tieredStore({ upper, lower: memoryStore({ maxBytes: MB }) }), /no peek\(\)/)
  })
})
