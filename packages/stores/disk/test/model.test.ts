// Random operations, restarts and kills, held against a model made of Maps.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Store, StoredMeta } from '@simple-cdn/core'
import fc from 'fast-check'
import { openDiskStore } from '../src/disk-store.ts'
import { asKilled, assertBytes, bytes, diskUsage, key, MB, meta, newFolder } from './helpers.ts'

const IDS = ['a', 'b', 'c', 'd', 'e']
const SLICE_BYTES = 1000

type Step =
  | { readonly do: 'write' | 'freshen' | 'discard' | 'read'; readonly id: number; readonly n: number }
  | { readonly do: 'writeSliced' | 'writeSlice'; readonly id: number; readonly n: number }
  | { readonly do: 'remove' | 'lookup'; readonly id: number; readonly n: number }
  | { readonly do: 'restart' | 'kill'; readonly id: number; readonly n: number }

const names = [
  'write',
  'write',
  'writeSliced',
  'writeSlice',
  'writeSlice',
  'freshen',
  'discard',
  'remove',
  'restart',
  'kill',
] as const
const steps = fc.array(
  fc.record({ do: fc.constantFrom(...names), id: fc.nat(IDS.length - 1), n: fc.nat(7) }) as fc.Arbitrary<Step>,
  { minLength: 1, maxLength: 40 },
)

interface Kept {
  meta: StoredMeta
  body: Uint8Array | undefined
}

/** What a store holds that has room for everything. */
class Model {
  readonly responses = new Map<string, Kept>()
  readonly slices = new Map<string, Map<number, Uint8Array>>()
  readonly departed = new Set<string>()

  write(stored: StoredMeta, body: Uint8Array | undefined): void {
    // An id that comes again under another key would be another response: nothing of it is kept.
    const before = this.responses.get(stored.id)
    if (before !== undefined && before.meta.key !== stored.key) this.leave(stored.id)
    for (const other of [...this.responses.values()])
      if (other.meta.id !== stored.id && other.meta.key === stored.key) this.leave(other.meta.id)
    this.responses.set(stored.id, { meta: stored, body })
    this.departed.delete(stored.id)
    const count = body === undefined ? stored.length / SLICE_BYTES : 0
    const slices = this.slices.get(stored.id)
    for (const slice of [...(slices?.keys() ?? [])]) if (slice >= count) slices?.delete(slice)
  }

  /** Slices are unwelcome afterwards, if there could have been any. */
  leave(id: string): void {
    if (this.responses.get(id)?.body === undefined) this.departed.add(id)
    this.responses.delete(id)
    this.slices.delete(id)
  }

  restart(): void {
    for (const [id, { size }] of [...this.slices]) if (size > 0 && !this.responses.has(id)) this.leave(id)
  }
}

async function compare(store: Store, model: Model): Promise<void> {
  assert.equal(store.stats().responses, model.responses.size)
  for (const id of IDS) {
    const kept = model.responses.get(id)
    assertBytes(await store.read(id), kept?.body)
    for (let slice = 0; slice < 8; slice++) {
      const expected = model.slices.get(id)?.get(slice)
      assert.equal(store.has(id, slice), expected !== undefined, `${id} ${slice}`)
      assertBytes(await store.read(id, { slice }), expected)
    }
  }
  for (const under of ['x', 'y', 'z']) {
    const expected = [...model.responses.values()].filter((kept) => kept.meta.key === key(under)).map((kept) => kept.meta)
    const peeked = store.peek?.(key(under))
    if (peeked !== undefined) assert.deepEqual(peeked.map((stored) => stored.meta).sort(byId), expected.sort(byId))
    const found = await store.lookup(key(under))
    assert.deepEqual(found.map((stored) => stored.meta).sort(byId), expected.sort(byId))
  }
}

const byId = (a: StoredMeta, b: StoredMeta): number => (a.id < b.id ? -1 : 1)

describe('the disk store', () => {
  test('does what a model of Maps does, whatever comes in which order', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), async (plan, hasCache) => {
        let folder = newFolder()
        // Tiny segments, so that many are filled; without kept metadata, everything is read from disk.
        const open = (): Promise<Store> =>
          openDiskStore({ folder, maxBytes: 4 * MB, metaCacheBytes: hasCache ? MB : 100 }, { segmentBytes: 8192 })
        let store = await open()
        const model = new Model()
        try {
          for (const [position, { do: what, id: number, n }] of plan.entries()) {
            const id = IDS[number] as string
            const under = 'xyz'[n % 3] as string
            if (what === 'write') {
              const body = bytes(`${position}`, n * 500)
              const stored = meta(id, { under, length: body.byteLength, receivedAt: position })
              assert.equal(await store.write(stored, body), true)
              model.write(stored, body)
            } else if (what === 'writeSliced') {
              const stored = meta(id, { under, length: (n + 1) * SLICE_BYTES, sliceBytes: SLICE_BYTES, receivedAt: position })
              assert.equal(await store.write(stored), true)
              model.write(stored, undefined)
            } else if (what === 'writeSlice') {
              const body = bytes(`${position}`, SLICE_BYTES)
              const kept = model.responses.get(id)
              const fits = kept === undefined || (kept.body === undefined && n < kept.meta.length / SLICE_BYTES)
              const taken = await store.writeSlice(id, n, body)
              assert.equal(taken, fits && !(kept === undefined && model.departed.has(id)), `slice ${n} of ${id}`)
              if (taken) model.slices.set(id, (model.slices.get(id) ?? new Map()).set(n, body))
            } else if (what === 'freshen') {
              const kept = model.responses.get(id)
              const fresher = kept && { ...kept.meta, receivedAt: 1000 + position }
              assert.equal(await store.freshen(fresher ?? meta(id)), kept !== undefined)
              if (kept !== undefined && fresher !== undefined) kept.meta = fresher
            } else if (what === 'discard') {
              await store.discard(id)
              model.leave(id)
              model.departed.add(id)
            } else if (what === 'remove') {
              const leaving = [...model.responses.values()].filter((kept) => kept.meta.key === key(under))
              assert.equal(await store.remove(key(under)), leaving.length)
              for (const { meta } of leaving) model.leave(meta.id)
            } else {
              const killed = what === 'kill' ? asKilled(folder) : folder
              await store.close()
              folder = killed
              store = await open()
              model.restart()
              // What has left is remembered for as long as the log tells of it: not worth a promise.
              for (const left of [...model.departed]) {
                model.departed.delete(left)
                await store.discard(left)
                model.departed.add(left)
              }
            }
            await compare(store, model)
            assert.equal(store.stats().damaged, 0)
          }
        } finally {
          await store.close()
        }
      }),
      { numRuns: 80 },
    )
  })

  test('gives nothing wrong back, and never grows over its bound, when there is no room for everything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(1_000_000)), async (numbers) => {
        const random = (below: number): number => (numbers.next().value as number) % below
        let folder = newFolder()
        const maxBytes = MB
        const open = (): Promise<Store> => openDiskStore({ folder, maxBytes, metaCacheBytes: 20_000 }, {})
        let store = await open()
        const latest = new Map<string, StoredMeta>()
        let next = 0
        let evicted = 0
        for (let round = 0; round < 150; round++) {
          const jobs = Array.from({ length: 1 + random(6) }, async () => {
            const under = `k${random(40)}`
            const known = latest.get(under)
            const what = random(20)
            if (what < 10) {
              const sliced = random(3) === 0
              const id = `id${next++}`
              const length = 1 + random(sliced ? 60_000 : 30_000)
              const stored = meta(id, { under, length, ...(sliced && { sliceBytes: 10_000 }) })
              const before = latest.get(under)
              latest.set(under, stored)
              const taken = await store.write(stored, sliced ? undefined : bytes(id, length))
              if (!taken && latest.get(under) === stored && before !== undefined) latest.set(under, before)
              for (let at = 0; sliced && at * 10_000 < length; at++)
                await store.writeSlice(id, at, bytes(`${id}#${at}`, Math.min(10_000, length - at * 10_000)))
            } else if (what < 12 && known !== undefined) {
              latest.delete(under)
              await store.remove(key(under))
            } else if (what < 14 && known !== undefined) {
              await store.freshen({ ...known, receivedAt: 5000 + round })
            } else if (known !== undefined) {
              await store.lookup(key(under))
              await store.read(known.id, known.sliceBytes === undefined ? {} : { slice: 0 })
            }
          })
          await Promise.all(jobs)
          assert.ok(diskUsage(folder) <= maxBytes, `${diskUsage(folder)} bytes`)
          if (random(30) === 0) {
            const killed = random(2) === 0 ? asKilled(folder) : folder
            evicted += store.stats().evicted
            await store.close()
            folder = killed
            store = await open()
          }
          for (let at = 0; at < 40; at++) {
            const found = await store.lookup(key(`k${at}`))
            const stored = latest.get(`k${at}`)
            assert.ok(found.length <= 1)
            if (found[0] === undefined) continue
            assert.equal(found[0].meta.id, stored?.id, 'what was removed or replaced is not there')
            const { id, length, sliceBytes } = found[0].meta
            const body = await store.read(id)
            if (sliceBytes === undefined && body !== undefined) assertBytes(body, bytes(id, length))
            for (let slice = 0; sliceBytes !== undefined && slice * sliceBytes < length; slice++) {
              const got = await store.read(id, { slice })
              if (got !== undefined) assertBytes(got, bytes(`${id}#${slice}`, Math.min(sliceBytes, length - slice * sliceBytes)))
            }
          }
          assert.equal(store.stats().damaged, 0)
        }
        assert.ok(evicted + store.stats().evicted > 0)
        await store.close()
      }),
      { numRuns: 3 },
    )
  })
})
