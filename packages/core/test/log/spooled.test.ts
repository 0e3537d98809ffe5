// The queue on disk before a sink that uploads: what it keeps, what it gives up, and what it says about it.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, type TestContext } from 'node:test'
import {
  type BatchSink,
  DeliveryError,
  jsonLine,
  type LedgerDay,
  type LogBatch,
  type SpoolOptions,
  spooled,
} from '@simple-cdn/core/log'
import { type FakeClock, fakeClock, logEntry, testSink } from '@simple-cdn/testing'
import { openSpoolFile, type SpoolFile } from '../../src/log/spool-file.ts'

function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'simple-cdn-spool-'))
}

/** A batch sink in memory, which fails when it is told to. */
function memorySink(format = jsonLine) {
  const batches: LogBatch[] = []
  const days = new Map<string, LedgerDay>()
  const state = { error: undefined as Error | undefined, attempts: 0, losesReplies: false }
  const sink: BatchSink = {
    name: 'memory',
    format,
    async deliver(batch) {
      state.attempts++
      if (state.error !== undefined) throw state.error
      if (!batches.some(({ boot, first }) => boot === batch.boot && first === batch.first)) batches.push(batch)
      if (state.losesReplies) throw new Error('the reply was lost')
      return `${batch.boot}-${batch.first}`
    },
    async publish(day) {
      if (state.error !== undefined) throw state.error
      days.set(`${day.date} ${day.boot}`, day)
    },
  }
  const sequences = (): number[] =>
    batches.flatMap(({ text }) => [...text.toString().matchAll(/"sequence":(\d+)/g)].map(([, number]) => Number(number)))
  return { sink, batches, days, state, sequences }
}

interface Spooled {
  readonly clock: FakeClock
  readonly messages: string[]
  readonly log: ReturnType<typeof spooled>
  write(from: number, to: number): void
  /** Lets work on disk come to its end, which no clock waits for. */
  until(condition: () => boolean): Promise<void>
}

function begin(t: TestContext, sink: BatchSink, options: Partial<SpoolOptions> & { folder: string }, start?: number): Spooled {
  const clock = fakeClock(start)
  const messages: string[] = []
  const log = spooled(sink, { maxFlushMs: 5_000, ...options })
  log.open?.({ clock, place: { machine: 'm1', region: 'fra' }, onMessage: (message) => messages.push(message) })
  t.after(async () => {
    const closed = log.close()
    let isClosed = false
    void closed.then(() => {
      isClosed = true
    })
    while (!isClosed) await clock.advance(1_000)
  })
  return {
    clock,
    messages,
    log,
    write(from, to) {
      for (let sequence = from; sequence < to; sequence++) log.write(logEntry({ sequence }))
    },
    async until(condition) {
      const deadline = performance.now() + 30_000
      for (let turn = 0; !condition(); turn++) {
        assert.ok(performance.now() < deadline, 'it does not come to that')
        // Small steps while something is about to happen, larger ones for what waits for a minute.
        await clock.advance(turn < 200 ? 10 : 200)
        await new Promise((resolve) => setTimeout(resolve, turn < 200 ? 0 : 2))
      }
    },
  }
}

const files = (folder: string, ending: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)
/** Removed when every sink of this file is closed. */
const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
const newFolder = (): string => {
  const folder = temporaryFolder()
  folders.push(folder)
  return folder
}

testSink({
  name: 'spooled',
  create() {
    const folder = temporaryFolder()
    const { sink, state, sequences } = memorySink()
    return {
      sink: spooled(sink, { folder, maxBytes: 100_000, maxMemoryBytes: 100_000, retryMs: [5, 20], maxFlushMs: 900 }),
      arrived: sequences,
      down(isDown) {
        state.error = isDown ? new Error('down') : undefined
      },
      end: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
})

describe('a queue on disk', () => {
  it('delivers by size and by age, with numbers, checksum and day, and leaves nothing behind', async (t) => {
    const folder = newFolder()
    const { sink, batches, sequences } = memorySink()
    const { write, until, clock } = begin(t, sink, { folder, rotateBytes: 200_000, rotateMs: 60_000 })
    write(0, 1000)
    await until(() => batches.length > 0)
    write(1000, 1010)
    await until(() => files(folder, '.segment').length > 0)
    await clock.advance(60_000)
    await until(() => sequences().length === 1010 && files(folder, '.segment').length === 0)
    assert.deepEqual(sequences(), range(0, 1010))
    for (const [at, batch] of batches.entries()) {
      assert.equal(batch.first, at === 0 ? 0 : (batches[at - 1] as LogBatch).last + 1)
      assert.deepEqual(
        [batch.entries, batch.machine, batch.region, batch.date],
        [batch.last - batch.first + 1, 'm1', 'fra', '2014-06-06'],
      )
      assert.match(batch.sha256, /^[0-9a-f]{64}$/)
    }
  })

  it('does not keep the memory of a file that was written under other options', async (t) => {
    const { sink, state, batches } = memorySink()
    const folder = newFolder()
    state.error = new Error('down')
    const before = begin(t, sink, { folder, maxFlushMs: 0 })
    before.write(0, 500)
    await before.clock.advance(0)
    const closed = before.log.close()
    await before.until(() => files(folder, '.segment').length === 1)
    for (let turn = 0; turn < 20; turn++) await before.clock.advance(1_000)
    await closed
    state.error = undefined
    const sizes: number[] = []
    const copying: BatchSink = {
      ...sink,
      copies: true,
      async deliver(batch, signal) {
        sizes.push(batch.text.buffer.byteLength)
        return sink.deliver(batch, signal)
      },
    }
    const { write, until } = begin(t, copying, { folder, rotateBytes: 4_096, rotateMs: 1_000 })
    await until(() => batches.length === 1)
    write(500, 502)
    await until(() => batches.length === 2)
    const [large = 0, small = 0] = sizes
    assert.ok(large > 100_000 && small <= 2 * 4_096, `${large}, ${small}`)
  })

  it('keeps days apart', async (t) => {
    const folder = newFolder()
    const { sink, batches } = memorySink()
    const { write, until, clock } = begin(t, sink, { folder }, Date.UTC(2014, 5, 6, 23, 59, 59))
    write(0, 10)
    await until(() => files(folder, '.segment').length > 0)
    await clock.advance(2_000)
    write(10, 20)
    await until(() => batches.length === 1)
    await clock.advance(60_000)
    await until(() => batches.length === 2)
    assert.deepEqual(
      batches.map(({ date, first, last }) => [date, first, last]),
      [
        ['2014-06-06', 0, 9],
        ['2014-06-07', 10, 19],
      ],
    )
  })

  it('gives up nothing for want of memory that a quick disk would take', async (t) => {
    const { sink, sequences } = memorySink()
    const { log, write, until } = begin(t, sink, { folder: newFolder(), maxMemoryBytes: 128 * 1024, rotateMs: 1_000 })
    for (let from = 0; from < 1_000; from += 25) {
      write(from, from + 25)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await until(() => sequences().length === 1_000)
    assert.equal(log.dropped, 0)
  })

  it('gives a sink that copies the next batch in the memory of the one before, and with its own checksum', async (t) => {
    const { sink } = memorySink()
    const memory = new Set<ArrayBufferLike>()
    const texts: string[] = []
    const copying: BatchSink = {
      ...sink,
      copies: true,
      async deliver({ text, sha256 }) {
        assert.equal(createHash('sha256').update(text).digest('hex'), sha256)
        texts.push(text.toString())
        memory.add(text.buffer)
        return ''
      },
    }
    const { write, until } = begin(t, copying, { folder: newFolder(), rotateMs: 1_000 })
    for (const [batch, from] of [200, 100, 0].entries()) {
      write(from, from + 100 - batch)
      await until(() => texts.length === batch + 1)
    }
    assert.deepEqual(
      texts.map((text) => text.split('\n').length - 1),
      [100, 99, 98],
    )
    assert.equal(memory.size, 1)
  })

  it('asks a sink that fails again and again, less and less often, and loses nothing', async (t) => {
    const folder = newFolder()
    const { sink, state, sequences } = memorySink()
    const { write, until, clock, messages } = begin(t, sink, { folder, rotateMs: 1_000 })
    state.error = new Error('down')
    write(0, 10)
    const asked: number[] = []
    for (let turn = 0; asked.length < 15; turn++) {
      assert.ok(turn < 100_000, `asked ${asked.length} times only`)
      if (state.attempts > asked.length) {
        asked.push(clock.now())
        write(asked.length * 10, asked.length * 10 + 10)
      }
      await clock.advance(1_000)
    }
    const waits = asked.slice(-4).map((at, index) => at - (asked[asked.length - 5 + index] as number))
    assert.ok(Math.min(...waits) >= 29_000, `${waits} ms`)
    assert.equal(messages.filter((message) => message.includes('did not take')).length, 1, 'it says so once')
    state.error = undefined
    await until(() => sequences().length === 160)
    assert.deepEqual(sequences(), range(0, 160))
  })

  it('delivers once what it has to deliver twice, the reply having been lost', async (t) => {
    const { sink, state, sequences, batches } = memorySink()
    const { write, until } = begin(t, sink, { folder: newFolder(), rotateMs: 100 })
    state.losesReplies = true
    write(0, 10)
    await until(() => state.attempts >= 3)
    state.losesReplies = false
    await until(() => state.attempts >= 4)
    assert.deepEqual([sequences(), batches.length], [range(0, 10), 1])
  })

  it('sets aside what is refused for good, and goes on', async (t) => {
    const folder = newFolder()
    const { sink, state, sequences } = memorySink()
    const { write, until, log } = begin(t, sink, { folder, rotateMs: 100 })
    state.error = new DeliveryError('too large', { retry: false })
    write(0, 10)
    await until(
      () =>
        state.attempts > 0 && existsSync(join(folder, 'set-aside')) && files(join(folder, 'set-aside'), '.segment').length === 1,
    )
    state.error = undefined
    write(10, 20)
    await until(() => sequences().length === 10)
    assert.equal(log.stats?.().setAside, 1)
  })

  it('counts what does not fit, number by number, and says so in the ledger', async (t) => {
    const folder = newFolder()
    const { sink, state, sequences, days } = memorySink()
    const { write, until, log } = begin(t, sink, { folder, maxBytes: 40_000, rotateMs: 100 })
    state.error = new Error('down')
    write(0, 500)
    await until(() => state.attempts > 0)
    assert.ok(log.dropped > 100)
    state.error = undefined
    await until(() => files(folder, '.segment').length === 0)
    write(500, 510)
    await until(() => sequences().length + log.dropped === 510)
    await log.close()
    const [day] = days.values()
    assert.ok(day?.ended)
    assert.deepEqual([day.first, day.next, day.landed.entries], [0, 510, 510 - log.dropped])
    assert.equal(
      day.dropped.reduce((sum, [, , count]) => sum + count, 0),
      log.dropped,
    )
  })

  it('goes on writing while the disk takes its time to sync, and delivers only what is synced', async (t) => {
    const { sink, sequences } = memorySink()
    const { promise: slow, resolve: synced } = Promise.withResolvers<void>()
    let writes = 0
    let syncs = 0
    const openFile = async (path: string): Promise<SpoolFile> => {
      const file = await openSpoolFile(path)
      return {
        ...file,
        async write(bytes, at) {
          await file.write(bytes, at)
          writes++
        },
        async sync() {
          syncs++
          await slow
          await file.sync()
        },
      }
    }
    const { write, until, clock } = begin(t, sink, { folder: newFolder(), fsyncMs: 1_000, rotateMs: 10_000, openFile })
    write(0, 10)
    await until(() => syncs === 1)
    const before = writes
    write(10, 20)
    await until(() => writes > before)
    await clock.advance(20_000)
    assert.deepEqual(sequences(), [])
    synced()
    await until(() => sequences().length === 20)
  })

  it('outlives a full disk: what it holds in memory is written when there is room, the rest is counted', async (t) => {
    const folder = newFolder()
    const { sink, sequences, days } = memorySink()
    let isFull = false
    const openFile = async (path: string): Promise<SpoolFile> => {
      const file = await openSpoolFile(path)
      return {
        ...file,
        async write(bytes, at) {
          // As disks do: a part of it is written.
          if (isFull) await file.write(bytes.subarray(0, 100), at)
          if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
          await file.write(bytes, at)
        },
      }
    }
    const { write, until, clock, log, messages } = begin(t, sink, { folder, maxMemoryBytes: 60_000, rotateMs: 1_000, openFile })
    write(0, 50)
    await until(() => files(folder, '.segment').length > 0)
    isFull = true
    write(50, 1000)
    await until(() => messages.some((message) => message.includes('ENOSPC')))
    await clock.advance(30_000)
    assert.ok(log.dropped > 500 && log.dropped < 950, `${log.dropped}`)
    assert.ok(Number(log.stats?.().memoryBytes) < 130_000)
    isFull = false
    await until(() => sequences().length + log.dropped === 1000)
    write(1000, 1010)
    await until(() => sequences().length + log.dropped === 1010)
    assert.deepEqual(sequences(), [...range(0, 1000 - log.dropped), ...range(1000, 1010)])
    await log.close()
    assert.deepEqual(
      [...days.values()].map(({ dropped }) => dropped),
      [[[1000 - log.dropped, 999, log.dropped]]],
    )
  })

  it('delivers what an earlier process left, but for a torn end, and ends its ledger', async (t) => {
    const folder = newFolder()
    const down = memorySink()
    down.state.error = new Error('down')
    const first = begin(t, down.sink, { folder, rotateMs: 1_000, maxFlushMs: 100 })
    first.write(0, 10)
    await first.until(() => files(folder, '.segment').length > 0)
    const closed = first.log.close()
    await first.until(() => !existsSync(join(folder, 'lock')))
    await closed
    const [left = ''] = files(folder, '.segment')
    const bytes = readFileSync(join(folder, left))
    writeFileSync(join(folder, left), Buffer.concat([bytes, bytes.subarray(-100)]))
    const { sink, sequences, days, batches } = memorySink()
    const second = begin(t, sink, { folder })
    await second.until(() => days.size > 0)
    assert.deepEqual(sequences(), range(0, 10))
    const [day] = days.values()
    assert.deepEqual([day?.boot, day?.ended, day?.next], [batches[0]?.boot, true, 10])
    assert.ok(second.messages.some((message) => message.includes('100 bytes')))
  })

  it('says that an earlier process has ended until that is known, whatever ends the one that says it', async (t) => {
    const folder = newFolder()
    const { sink, days, sequences } = memorySink()
    const silent: BatchSink = {
      ...sink,
      async publish() {
        throw new Error('nobody hears')
      },
    }
    const first = begin(t, silent, { folder, rotateMs: 100, maxFlushMs: 100 })
    first.write(0, 10)
    await first.until(() => sequences().length === 10)
    await first.until(() => first.messages.some((message) => message.includes('could not be published')))
    await first.log.close()
    const second = begin(t, silent, { folder })
    second.write(10, 11)
    await second.until(() => second.messages.some((message) => message.includes('could not be published')))
    await second.log.close()
    const third = begin(t, sink, { folder })
    await third.until(() => days.size === 2)
    assert.deepEqual([...days.values()].map(({ first, next, ended }) => `${first} ${next} ${ended}`).sort(), [
      '0 1 true',
      '0 10 true',
    ])
    assert.equal(sequences().length, 11)
  })

  it('sets aside a file without a beginning', async (t) => {
    const folder = newFolder()
    const name = '20140101T000000-abcdef-000000000000.segment'
    writeFileSync(join(folder, name), 'x')
    truncateSync(join(folder, name), 0)
    const { sink } = memorySink()
    const { until } = begin(t, sink, { folder })
    await until(() => existsSync(join(folder, 'set-aside', name)))
  })

  it('waits for a folder that another holds, and takes entries meanwhile', async (t) => {
    const folder = newFolder()
    const { sink, sequences } = memorySink()
    const first = begin(t, sink, { folder, rotateMs: 100 })
    first.write(0, 1)
    await first.until(() => sequences().length === 1)
    const second = begin(t, sink, { folder, rotateMs: 100 })
    second.write(1, 2)
    await second.until(() => second.messages.some((message) => message.includes('in use by this process already')))
    await first.log.close()
    await second.until(() => sequences().length === 2)
  })
})
