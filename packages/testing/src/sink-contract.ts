// What every log sink promises. One call runs it: testSink({ name, create }).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type LogSink, systemClock } from '@simple-cdn/core'
import { logEntry } from './log-entry.ts'

/** A sink with the other side of it. */
export interface SinkUnderTest {
  readonly sink: LogSink
  /** The `sequence` of each entry that has arrived on the other side, in the order of arrival. */
  arrived(): Promise<readonly number[]> | readonly number[]
  /** Nothing arrives any more, until it is called with `false`. */
  down?(isDown: boolean): Promise<void> | void
  /** Called when the test is over and the sink closed. */
  end?(): Promise<void> | void
}

export interface SinkContract {
  readonly name: string
  /** A new sink that holds little: some 100 KB of entries at most, wherever it holds them. `flush` and `close` give up within a second. */
  readonly create: () => SinkUnderTest | Promise<SinkUnderTest>
  /** Promises that this sink does not keep, by name, each with the reason. A name that is no promise fails the run. */
  readonly except?: Readonly<Record<string, string>>
}

type Promise_ = (under: SinkUnderTest) => Promise<void>

/** Enough to fill any sink under test several times. */
const MANY = 20_000
const PATIENCE_MS = 20_000

const PROMISES: Readonly<Record<string, Promise_>> = {
  'delivers what it has taken when it is flushed, in order, each once': async ({ sink, arrived }) => {
    write(sink, 0, 100)
    await sink.flush()
    assert.deepEqual(await arrived(), range(0, 100))
    write(sink, 100, 150)
    await sink.flush()
    assert.deepEqual(await arrived(), range(0, 150))
    assert.equal(sink.dropped ?? 0, 0)
  },
  'delivers at close what it still has': async ({ sink, arrived }) => {
    write(sink, 0, 20)
    await sink.close()
    assert.deepEqual(await arrived(), range(0, 20))
  },
  'delivers an entry whose texts are hostile as one': async ({ sink, arrived }) => {
    sink.write(logEntry({ sequence: 0, userAgent: 'a"b\\\n\r\0\u2028\ud800,\'', url: 'http://a/"\n' }))
    sink.write(logEntry({ sequence: 1 }))
    await sink.flush()
    assert.deepEqual(await arrived(), [0, 1])
  },
  'takes entries and returns while the other side is down, holds no more than its bound, and counts what it gives up': async (
    under,
  ) => {
    const { sink, arrived } = under
    await under.down?.(true)
    for (let at = 0; at < MANY; at += 1000) {
      write(sink, at, at + 1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const dropped = sink.dropped ?? 0
    assert.ok(dropped > MANY / 2, `${dropped} of ${MANY} were dropped: that is no bound`)
    await under.down?.(false)
    await sink.flush()
    await sink.close()
    const got = await arrived()
    assert.equal(got.length + (sink.dropped ?? 0), MANY, 'what has not arrived is counted')
    assert.equal(new Set(got).size, got.length, 'nothing arrives twice')
  },
  'goes on when the other side is back': async (under) => {
    const { sink, arrived } = under
    await under.down?.(true)
    write(sink, 0, 10)
    await sink.flush()
    await under.down?.(false)
    write(sink, 10, 20)
    const deadline = systemClock.now() + PATIENCE_MS
    while ((await arrived()).length + (sink.dropped ?? 0) < 20 && systemClock.now() < deadline) await sink.flush()
    const got = await arrived()
    assert.deepEqual(got.slice(-10), range(10, 20))
    assert.equal(got.length + (sink.dropped ?? 0), 20)
  },
  'can be closed while the other side is down': async (under) => {
    await under.down?.(true)
    write(under.sink, 0, 10)
    await under.sink.close()
  },
  'can be closed twice, and written to after that: then it counts': async ({ sink, arrived }) => {
    write(sink, 0, 10)
    await sink.close()
    await sink.close()
    write(sink, 10, 15)
    assert.deepEqual(await arrived(), range(0, 10))
    assert.equal(sink.dropped, 5)
  },
  'can be closed without ever having been used': async ({ sink, arrived }) => {
    await sink.close()
    assert.deepEqual(await arrived(), [])
  },
}

/** Runs the contract under node:test. Time is real: sinks talk to sockets and disks. */
export function testSink({ name, create, except = {} }: SinkContract): void {
  describe(`the log sink "${name}"`, () => {
    it('makes exceptions only from promises there are', () => {
      for (const promise of Object.keys(except)) assert.ok(promise in PROMISES, `"${promise}" is no promise`)
    })
    for (const [promise, keep] of Object.entries(PROMISES)) {
      it(promise, { skip: except[promise] ?? false }, async () => {
        const under = await create()
        try {
          under.sink.open?.({ clock: systemClock, place: { machine: 'm1', region: 'fra' }, onMessage: () => {} })
          await keep(under)
        } finally {
          await under.down?.(false)
          await under.sink.close()
          await under.end?.()
        }
      })
    }
  })
}

function write(sink: LogSink, from: number, to: number): void {
  for (let sequence = from; sequence < to; sequence++) sink.write(logEntry({ sequence }))
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at)
}
