// The memory of a body on its way, and of who reads it: what is taken is given back once, whenever it ends.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore, type Store } from '@simple-cdn/core'
import { fakeClock, settled } from '@simple-cdn/testing'
import { Assembly } from '../../src/engine/assembly.ts'
import { Fill, type FillOptions } from '../../src/engine/fill.ts'
import { InFlight } from '../../src/engine/in-flight.ts'
import { metaOf } from '../support/stored.ts'

const SLICE = 1024

function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

/** Three slices of a body of five, or as many as there are to be. */
async function* body(slices = 3): AsyncGenerator<Uint8Array> {
  for (let slice = 0; slice < slices; slice++) yield new Uint8Array(SLICE).fill(slice + 1)
}

function filling(memory: InFlight, options: Partial<FillOptions> = {}): Fill {
  return new Fill({
    source: body(),
    sliceBytes: SLICE,
    first: 0,
    end: 5 * SLICE,
    keep: async () => true,
    isElsewhere: () => false,
    slowest: () => undefined,
    moved: () => undefined,
    memory,
    ...options,
  })
}

describe('the memory of a fill', () => {
  it('is given back when it was stopped while it waited for some', async () => {
    const memory = new InFlight(2 * SLICE, fakeClock())
    memory.hold(2 * SLICE)
    const fill = filling(memory)
    await settled()
    fill.stop()
    fill.release()
    memory.hold(-2 * SLICE)
    await fill.ended
    assert.equal(memory.held, 0)
  })

  it('is given back once when it was stopped while a slice was being kept', async () => {
    const memory = new InFlight(8 * SLICE, fakeClock())
    const { opened, open } = gate()
    const fill = filling(memory, { keep: () => opened.then(() => true) })
    await settled()
    assert.equal(memory.held, 2 * SLICE)
    fill.stop()
    fill.release()
    open()
    await fill.ended
    assert.equal(memory.held, 0)
  })

  it('is given back when it broke off, and when the store does not take it', async () => {
    for (const kept of [true, false]) {
      const memory = new InFlight(8 * SLICE, fakeClock())
      const fill = filling(memory, { keep: async () => kept, slowest: () => 5 * SLICE })
      await fill.ended
      assert.equal(fill.failure?.code, 'CDN_ORIGIN_BROKE_OFF')
      fill.release()
      assert.equal(memory.held, 0)
    }
  })
})

describe('what comes from the origin', () => {
  /** How far it has come when the store is busy with the first slice. */
  async function cameBeside(memory: InFlight): Promise<number> {
    const { opened, open } = gate()
    const kept: number[] = []
    const fill = filling(memory, {
      source: body(5),
      keep: async (slice) => {
        if (slice === 0) await opened
        kept.push(slice)
        return true
      },
    })
    await settled()
    const came = fill.at / SLICE
    open()
    await fill.ended
    assert.deepEqual(kept, [0, 1, 2, 3, 4])
    assert.equal(fill.isComplete, true)
    return came
  }

  it('comes by one slice while the store takes the one before', async () => {
    assert.equal(await cameBeside(new InFlight(8 * SLICE, fakeClock())), 2)
  })

  it('waits for the store where there is no memory for another slice', async () => {
    assert.equal(await cameBeside(new InFlight(SLICE, fakeClock())), 1)
  })

  it('is passed on from the slice on that the store did not take, though the next has come by then', async () => {
    let at = 0
    const fill: Fill = filling(new InFlight(8 * SLICE, fakeClock()), {
      source: body(5),
      keep: async (slice) => slice !== 1,
      slowest: () => at,
    })
    const got: number[] = []
    while (at < 5 * SLICE) {
      await settled()
      const piece = fill.piece(at, 5 * SLICE)
      // The first slice is the store's.
      if (piece === undefined) assert.equal(at, 0)
      got.push(...new Set(piece?.bytes ?? [1]))
      at += SLICE
      fill.readersMoved()
    }
    await fill.ended
    assert.deepEqual(got, [1, 2, 3, 4, 5])
  })
})

/** A body of four slices that a store has. */
function stored(store: Store, memory: InFlight, sliceBytes: number): Assembly {
  return new Assembly({
    head: metaOf('a', 4 * sliceBytes, { sliceBytes }),
    length: 4 * sliceBytes,
    sliceBytes,
    store,
    askForPart: undefined,
    isStored: true,
    maxBytes: 4 * sliceBytes,
    finishShare: 1,
    mayStore: () => true,
    storing: () => undefined,
    settled: () => undefined,
    over: () => undefined,
    memory,
  })
}

/** A store on a disk that reads whole slices, to compare their sums, into what it is given. */
function diskOf(slice: (number: number) => Uint8Array): Store {
  return {
    ...memoryStore({ maxBytes: 65_536 }),
    has: () => true,
    async read(_, { slice: number = 0, range, into = (bytes: number) => new Uint8Array(bytes) } = {}) {
      const body = slice(number)
      const room = into(body.byteLength)
      await settled()
      room.set(body)
      return room.subarray(range?.first, range === undefined ? body.byteLength : range.last + 1)
    },
  }
}

describe('what a reader is given', () => {
  it('is near when the store has it, and not when it is still to come', async () => {
    const memory = new InFlight(64 * SLICE, fakeClock())
    const disk = diskOf(() => new Uint8Array(SLICE))
    const partly: Store = { ...disk, has: (_, slice) => slice === 0 }
    const assembly = stored(partly, memory, SLICE)
    const readers = [assembly.read(), assembly.read({ first: SLICE, last: 2 * SLICE })]
    assert.deepEqual(
      readers.map(({ isNear }) => isNear),
      [true, false],
    )
    for (const reader of readers) await reader.return?.()
  })

  it('is everything of a slice that came in the same turn, in one piece', async () => {
    const disk = { ...diskOf(() => new Uint8Array(SLICE)), has: () => false }
    const assembly = stored(disk, new InFlight(64 * SLICE, fakeClock()), SLICE)
    const source = (async function* () {
      yield new Uint8Array(SLICE / 8)
      await settled()
      for (let piece = 1; piece < 8; piece++) yield new Uint8Array(SLICE / 8).fill(piece)
    })()
    const reader = assembly.read({ first: 0, last: SLICE - 1 })
    const first = reader.next()
    assembly.take({ first: 0, end: SLICE, source })
    const pieces = [(await first).value?.byteLength, (await reader.next()).value?.byteLength]
    assert.deepEqual(pieces, [SLICE / 8, (SLICE * 7) / 8])
    await reader.return?.()
  })

  it('is right, whatever room the store wants beside what it was asked for', async () => {
    const body = Uint8Array.from({ length: 4 * SLICE }, (_, at) => (at * 31 + (at >> 8) * 17) & 255)
    const disk = diskOf((number) => body.slice(number * SLICE, (number + 1) * SLICE))
    const assembly = stored(disk, new InFlight(1024 * SLICE, fakeClock()), SLICE)
    for (const [first, last] of [
      [0, 4 * SLICE - 1],
      [1000, 1100],
      [10, 3 * SLICE],
    ] as const) {
      const got: Uint8Array[] = []
      for await (const piece of assembly.read({ first, last })) got.push(piece.slice())
      assert.deepEqual(Buffer.concat(got), Buffer.from(body.subarray(first, last + 1)), `${first}-${last}`)
    }
  })
})

describe('the memory of a reader', () => {
  it('leaves room for what is on its way, though a hundred are slow', async () => {
    const memory = new InFlight(32 * 1024 ** 2, fakeClock())
    const { sliceBytes } = memory
    const assembly = stored(
      diskOf(() => new Uint8Array(sliceBytes)),
      memory,
      sliceBytes,
    )
    const readers = Array.from({ length: 100 }, () => assembly.read())
    for (const reader of readers) await reader.next()
    assert.equal(memory.take(sliceBytes), undefined)
    for (const reader of readers) await reader.return?.()
  })

  it('is given back when the reader has left before the store asked for it', async () => {
    const memory = new InFlight(8 * SLICE, fakeClock())
    const { opened, open } = gate()
    const store: Store = {
      ...memoryStore({ maxBytes: 65_536 }),
      has: () => true,
      read: async (_, { into = (bytes: number) => new Uint8Array(bytes) } = {}) => {
        await opened
        return into(SLICE)
      },
    }
    const reading = stored(store, memory, SLICE).read()
    const next = reading.next()
    await settled()
    await reading.return?.()
    open()
    assert.equal((await next).done, true)
    assert.equal(memory.held, 0)
  })

  it('is used again for the slice after the next where the store has made a copy', async () => {
    const memory = new InFlight(8 * SLICE, fakeClock())
    const seen = new Set<ArrayBufferLike>()
    const fill = filling(memory, {
      source: body(5),
      isCopied: true,
      keep: async (_slice, bytes) => {
        seen.add(bytes.buffer)
        return true
      },
    })
    await fill.ended
    assert.equal(seen.size, 2)
  })

  type Reader = AsyncIterableIterator<Uint8Array>
  const manners: Readonly<Record<string, (reader: Reader) => Promise<unknown>>> = {
    'asks on': (reader) => reader.next(),
    'leaves again': async (reader) => reader.return?.(),
  }
  for (const [who, goesOn] of Object.entries(manners))
    it(`is not used again while one client reads it and another has left and ${who}`, async () => {
      const memory = new InFlight(64 * SLICE, fakeClock())
      const { opened, open } = gate()
      const store: Store = {
        ...memoryStore({ maxBytes: 65_536 }),
        copies: true,
        writeSlice: async () => {
          await opened
          return true
        },
      }
      const assembly = stored(store, memory, SLICE)
      assembly.take({ first: 0, end: 4 * SLICE, source: body(4) })
      const [stays, leaves] = [assembly.read(), assembly.read()]
      const piece = await stays.next()
      await leaves.next()
      await leaves.return?.()
      await goesOn(leaves)
      open()
      await settled()
      assert.deepEqual(new Set(piece.value), new Set([1]))
    })

  it('is not used again when a client has left in the middle of it, though the store has made a copy since', async () => {
    const memory = new InFlight(64 * SLICE, fakeClock())
    const { opened, open } = gate()
    const fill = filling(memory, {
      end: 3 * SLICE,
      isCopied: true,
      keep: async () => {
        await opened
        return true
      },
    })
    await settled()
    const piece = fill.piece(0, SLICE)
    piece?.block.read()
    piece?.block.leave(false)
    open()
    await fill.ended
    assert.deepEqual(new Set(piece?.bytes), new Set([1]))
  })

  it('is not used again while a client reads it', async () => {
    const memory = new InFlight(8 * SLICE, fakeClock())
    const { promise: first, resolve: goOn } = Promise.withResolvers<void>()
    const seen = new Set<ArrayBufferLike>()
    const fill: Fill = filling(memory, {
      source: body(5),
      isCopied: true,
      keep: async (slice, bytes) => {
        seen.add(bytes.buffer)
        if (slice === 0) await first
        return true
      },
    })
    await settled()
    const piece = fill.piece(0, SLICE)
    piece?.block.read()
    goOn()
    await fill.ended
    assert.equal(seen.size, 3, 'slices 1 to 4 share two others')
    piece?.block.leave(true)
    fill.release()
    assert.equal(memory.held, 2 * SLICE, 'what is left is there for the next one')
    assert.equal(memory.block(SLICE).buffer, piece?.bytes.buffer)
  })

  it('goes with a client that left without saying that it has used it', async () => {
    const memory = new InFlight(8 * SLICE, fakeClock())
    const fill = filling(memory, { end: 3 * SLICE, isCopied: true })
    await settled()
    const piece = fill.piece(2 * SLICE, 3 * SLICE)
    piece?.block.read()
    await fill.ended
    piece?.block.leave(false)
    fill.release()
    assert.equal(memory.held, SLICE, 'the other one is there for the next')
    assert.notEqual(memory.block(SLICE).buffer, piece?.bytes.buffer)
  })
})
