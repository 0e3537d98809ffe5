// The memory of slices that a store keeps as they came: it is used again, and never while somebody may still look at it.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fakeClock, settled } from '@simple-cdn/testing'
import { Assembly } from '../../src/engine/assembly.ts'
import { InFlight } from '../../src/engine/in-flight.ts'
import { memoryStoreOf } from '../../src/stores/memory.ts'
import { metaOf } from '../support/stored.ts'

const SLICE = 16 * 1024
const SLICES = 4

/** Memory that has been in a store, and what became of it. */
function handedIn() {
  const memory = new InFlight(64 * SLICE, fakeClock())
  const bytes = new Uint8Array(SLICE)
  return { reuse: memory.reuse, bytes, isUsedAgain: () => memory.block(SLICE) === bytes }
}

describe('memory that a store has let go', () => {
  it('is used again when whoever brought it and all readers are done with it, whatever comes first', () => {
    const steps = ['handOver', 'letGo', 'leave'] as const
    for (const first of steps)
      for (const second of steps)
        for (const third of steps) {
          if (new Set([first, second, third]).size < 3) continue
          const { reuse, bytes, isUsedAgain } = handedIn()
          reuse.read(bytes)
          for (const step of [first, second, third]) {
            assert.equal(isUsedAgain(), false, `before ${step} of ${first}, ${second}, ${third}`)
            reuse[step](bytes, true)
          }
          assert.equal(isUsedAgain(), true, `after ${first}, ${second}, ${third}`)
        }
  })

  it('is not used again when somebody has it for ever, or has left without having used it', () => {
    for (const lost of ['lose', 'leave'] as const) {
      const { reuse, bytes, isUsedAgain } = handedIn()
      reuse.read(bytes)
      reuse[lost](bytes, false)
      if (lost === 'lose') reuse.leave(bytes, true)
      reuse.handOver(bytes)
      reuse.letGo(bytes)
      assert.equal(isUsedAgain(), false, lost)
    }
  })

  it('has another life when it is used again', () => {
    const { reuse, bytes, isUsedAgain } = handedIn()
    reuse.handOver(bytes)
    reuse.letGo(bytes)
    assert.equal(isUsedAgain(), true)
    reuse.letGo(bytes)
    assert.equal(isUsedAgain(), false, 'it has not been handed over again')
  })

  it('lies there for the next within a sixteenth of what may be on its way, and what is of another size leaves for it', () => {
    const memory = new InFlight(64 * SLICE, fakeClock())
    const letGo = (bytes: number): void => {
      const slice = new Uint8Array(bytes)
      memory.reuse.handOver(slice)
      memory.reuse.letGo(slice)
    }
    for (let slice = 0; slice < 10; slice++) letGo(SLICE)
    assert.equal(memory.held, 4 * SLICE)
    assert.equal(memory.used, 0)
    for (let slice = 0; slice < 10; slice++) letGo(2 * SLICE)
    assert.equal(memory.held, 4 * SLICE)
    assert.equal(memory.block(2 * SLICE).byteLength, 2 * SLICE)
    assert.equal(memory.held, 2 * SLICE, 'it lay there')
    letGo(5 * SLICE)
    assert.equal(memory.held, 2 * SLICE)
  })

  it('is left to the collector where no room is for it', () => {
    const memory = new InFlight(64 * SLICE, fakeClock())
    memory.hold(64 * SLICE)
    const bytes = new Uint8Array(SLICE)
    memory.reuse.handOver(bytes)
    memory.reuse.letGo(bytes)
    assert.equal(memory.held, 64 * SLICE)
  })
})

/** A store in memory that has room for two bodies, with all that has been in it. */
function smallStore() {
  const memory = new InFlight(128 * SLICE, fakeClock())
  const seen = new Set<ArrayBufferLike>()
  const store = memoryStoreOf({ maxBytes: 2 * SLICES * (SLICE + 300) + 8192 }, memory.reuse)
  const { writeSlice } = store
  store.writeSlice = (id, slice, bytes) => {
    seen.add(bytes.buffer)
    return writeSlice(id, slice, bytes)
  }
  return { memory, store, seen }
}

const valueAt = (body: number, at: number): number => (body * 31 + Math.floor(at / 64)) % 256

function bodyOf(body: number): Uint8Array {
  return new Uint8Array(SLICES * SLICE).map((_, at) => valueAt(body, at))
}

function assembled({ memory, store }: Pick<ReturnType<typeof smallStore>, 'memory' | 'store'>, body: number): Assembly {
  const length = SLICES * SLICE
  return new Assembly({
    head: metaOf(`body-${body}`, length, { sliceBytes: SLICE }),
    length,
    sliceBytes: SLICE,
    store,
    askForPart: async ({ first, last }) => ({ first, end: last + 1, source: pieces(bodyOf(body).subarray(first, last + 1)) }),
    isStored: false,
    maxBytes: length,
    finishShare: 0,
    mayStore: () => true,
    storing: () => undefined,
    settled: () => undefined,
    over: () => undefined,
    memory,
  })
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 5_000) yield bytes.subarray(at, at + 5_000)
}

/** `begun`: told when it begins to come. */
async function fill(small: ReturnType<typeof smallStore>, body: number, begun?: (assembly: Assembly) => void): Promise<void> {
  const assembly = assembled(small, body)
  const release = assembly.claim()
  await assembly.announce()
  assembly.take({ first: 0, end: SLICES * SLICE, source: pieces(bodyOf(body)) })
  begun?.(assembly)
  await assembly.ended()
  release()
}

describe('a slice in memory', () => {
  async function held() {
    const memory = new InFlight(64 * SLICE, fakeClock())
    const store = memoryStoreOf({ maxBytes: 64 * SLICE }, memory.reuse)
    const bytes = new Uint8Array(SLICE)
    await store.writeSlice('a', 0, bytes)
    memory.reuse.handOver(bytes)
    return { store, bytes, isUsedAgain: () => memory.block(SLICE) === bytes }
  }

  it('is used again when it is removed', async () => {
    const { store, isUsedAgain } = await held()
    await store.discard('a')
    assert.equal(isUsedAgain(), true)
  })

  it('is not used again when it was handed out to one who does not say until when', async () => {
    const { store, isUsedAgain } = await held()
    assert.notEqual(store.readNow?.('a', { slice: 0 }), undefined)
    await store.discard('a')
    assert.equal(isUsedAgain(), false)
  })

  it('stays where it is when it is written again', async () => {
    const { store, bytes, isUsedAgain } = await held()
    assert.equal(await store.writeSlice('a', 0, bytes), true)
    assert.equal(isUsedAgain(), false)
    assert.equal(store.has('a', 0), true)
  })

  it('stays where it is when its response is written after it', async () => {
    const { store, isUsedAgain } = await held()
    await store.write(metaOf('a', 4 * SLICE, { sliceBytes: SLICE }))
    assert.equal(isUsedAgain(), false)
    assert.equal(store.has('a', 0), true)
  })
})

describe('a store in memory that is full', () => {
  it('takes bodies in the memory of those that leave', async () => {
    const small = smallStore()
    for (let body = 0; body < 50; body++) await fill(small, body)
    // The last slice of each body is not handed over.
    assert.ok(small.seen.size < 50 * SLICES * 0.5, `${small.seen.size} pieces of memory for ${50 * SLICES} slices`)
  })

  it('gives every reader its own bytes, however slow, and whatever has come since', async () => {
    const small = smallStore()
    let random = 1
    const next = (below: number): number => {
      random = Math.imul(random, 1_103_515_245) + 12_345
      return ((random >>> 16) & 0x7fff) % below
    }
    let checked = 0
    async function check(assembly: Assembly, body: number): Promise<void> {
      const first = next(3 * SLICE)
      let at = first
      for await (const piece of assembly.read({ first, last: SLICES * SLICE - 1 })) {
        // As a socket does that takes its time.
        for (let turn = next(8); turn > 0; turn--) await settled()
        piece.forEach((value, offset) => {
          if (value !== valueAt(body, at + offset)) assert.fail(`body ${body} at ${at + offset}: ${value}`)
        })
        at += piece.byteLength
        checked += piece.byteLength
        // Leaves in the middle, with a piece in hand.
        if (next(100) === 0) return
      }
    }
    const readers: Promise<void>[] = []
    for (let body = 0; body < 60; body++) {
      await fill(small, body, (assembly) => {
        for (let reader = next(3); reader > 0; reader--) readers.push(check(assembly, body))
      })
      for (let turn = 0; turn < 6; turn++) await settled()
    }
    await Promise.all(readers)
    assert.ok(checked > 30 * SLICE, `${checked} bytes`)
    assert.ok(small.seen.size < 60 * SLICES * 0.9, `${small.seen.size} pieces of memory`)
  })
})
