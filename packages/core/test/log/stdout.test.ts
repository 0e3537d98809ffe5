// The sink on standard output: batches, a bound, and readers that are slow, stuck or gone.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { type LogEntry, stdoutSink } from '@simple-cdn/core'
import { settled } from '@simple-cdn/testing'

function entry(sequence: number, url = 'http://site.test/'): LogEntry {
  return {
    at: 0,
    instance: 'a',
    sequence,
    machine: 'm1',
    region: 'fra',
    tier: 'edge',
    method: 'GET',
    url,
    httpVersion: '1.1',
    clientAddress: undefined,
    userAgent: 'a "b"\n\u2028\ud800',
    referer: undefined,
    range: undefined,
    route: '/*',
    status: 200,
    bytes: 5,
    contentType: undefined,
    complete: true,
    cache: { key: '', action: 'serve', reason: 'fresh', hit: true, stored: false, collapsed: false },
    timing: { lastByte: 1 },
  }
}

/** A stream that takes a write when it is told to, and keeps it. */
function stream({ stuck = false } = {}) {
  const writes: string[] = []
  let taken: (() => void) | undefined
  const writable = new Writable({
    write(chunk, _, callback) {
      writes.push(String(chunk))
      if (stuck) taken = callback
      else callback()
    },
  })
  return {
    writable,
    writes,
    go() {
      stuck = false
      taken?.()
    },
    sequences: () => [...writes.join('').matchAll(/"sequence":(\d+)/g)].map(([, number]) => Number(number)),
  }
}

const range = (length: number): number[] => Array.from({ length }, (_, index) => index)

describe('a sink on a stream', () => {
  it('writes each entry as JSON on a line of its own, whatever clients put into it', async () => {
    const { writable, writes } = stream()
    const sink = stdoutSink({ stream: writable })
    for (const sequence of range(3)) sink.write(entry(sequence))
    await sink.flush()
    const [first, second, third, rest] = writes.join('').split('\n')
    assert.equal(rest, '')
    for (const [sequence, line] of [first, second, third].entries())
      assert.deepEqual(JSON.parse(line ?? ''), JSON.parse(JSON.stringify(entry(sequence))))
  })

  it('writes what comes within a twentieth of a second at once', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { writable, writes, sequences } = stream()
    const sink = stdoutSink({ stream: writable })
    for (const sequence of range(20)) sink.write(entry(sequence))
    t.mock.timers.tick(49)
    assert.equal(writes.length, 0)
    t.mock.timers.tick(1)
    assert.equal(writes.length, 1)
    for (const sequence of range(5)) sink.write(entry(sequence + 20))
    t.mock.timers.tick(50)
    assert.equal(writes.length, 2)
    assert.deepEqual(sequences(), range(25))
  })

  it('does not wait when there is much to write', () => {
    const { writable, writes } = stream()
    const sink = stdoutSink({ stream: writable })
    for (const sequence of range(64)) sink.write(entry(sequence))
    assert.equal(writes.length, 1)
  })

  it('holds no more than its bound: it drops and counts the rest, and goes on when there is room', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { writable, sequences, go } = stream({ stuck: true })
    const sink = stdoutSink({ stream: writable, maxQueuedBytes: 100_000 })
    const url = `http://site.test/${'x'.repeat(10_000)}`
    for (const sequence of range(50)) {
      sink.write(entry(sequence, url))
      t.mock.timers.tick(50)
      await settled()
    }
    assert.ok(writable.writableLength < 100_000 + 2 * 10_500, String(writable.writableLength))
    assert.ok(sink.dropped >= 38 && sink.dropped <= 41, String(sink.dropped))
    go()
    await settled()
    sink.write(entry(50))
    await sink.flush()
    assert.equal(sequences().length + sink.dropped, 51)
    assert.equal(sequences().at(-1), 50)
  })

  it('is flushed when the stream has taken everything', async () => {
    const { writable, sequences, go } = stream({ stuck: true })
    const sink = stdoutSink({ stream: writable })
    for (const sequence of range(3)) sink.write(entry(sequence))
    let flushed = false
    const flush = sink.flush().then(() => {
      flushed = true
    })
    await settled()
    assert.equal(flushed, false)
    go()
    await flush
    assert.deepEqual(sequences(), range(3))
  })

  it('writes at close what it still has', async () => {
    const { writable, sequences } = stream()
    const sink = stdoutSink({ stream: writable })
    sink.write(entry(0))
    await sink.close()
    assert.deepEqual(sequences(), [0])
    assert.equal(writable.listenerCount('error'), 0)
  })

  it('does not keep a program from ending for a reader that is stuck', async () => {
    const { writable } = stream({ stuck: true })
    const sink = stdoutSink({ stream: writable, maxFlushMs: 30 })
    sink.write(entry(0))
    await sink.close()
  })

  it('counts what a broken stream did not take, and everything after it', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const writable = new Writable({ write: (_, __, callback) => callback(new Error('EPIPE')) })
    const sink = stdoutSink({ stream: writable })
    for (const sequence of range(3)) sink.write(entry(sequence))
    t.mock.timers.tick(50)
    await settled()
    assert.equal(sink.dropped, 3)
    sink.write(entry(3))
    await sink.close()
    assert.equal(sink.dropped, 4)
  })
})

describe('the sink on standard output', () => {
  it('does not end the program when nobody reads it any more', async () => {
    const program = `
      import { stdoutSink } from '@simple-cdn/core'
      import { setTimeout as pause } from 'node:timers/promises'
      const sink = stdoutSink()
      const entry = { cache: {}, timing: {} }
      sink.write(entry)
      for (let times = 0; sink.dropped < 5 && times < 500; times++) {
        await pause(2)
        sink.write(entry)
      }
      await sink.close()
      process.stderr.write(\`dropped \${sink.dropped >= 5 ? 'them' : sink.dropped}\`)`
    const child = spawn(process.execPath, ['--conditions=@simple-cdn/source', '--input-type=module', '-e', program], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const [code] = await once(child, 'close')
    assert.deepEqual([code, said], [0, 'dropped them'])
  })
})
