// Log entries into pino: the contract, as far as it is the sink's to keep, and levels.
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { it } from 'node:test'
import { logEntry, testSink } from '@simple-cdn/testing'
import { pino } from 'pino'
import { pinoSink } from '../src/index.ts'

function kept() {
  let text = ''
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk)
      done()
    },
  })
  return {
    stream,
    lines: () =>
      text
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
  }
}

const BOUND = 'what waits is held by the destination of the logger, which has a bound of its own'

testSink({
  name: 'pino',
  create() {
    const { stream, lines } = kept()
    return { sink: pinoSink({ logger: pino(stream), maxFlushMs: 900 }), arrived: () => lines().map(({ sequence }) => sequence) }
  },
  except: {
    'takes entries and returns while the other side is down, holds no more than its bound, and counts what it gives up': BOUND,
    'goes on when the other side is back': BOUND,
  },
})

it('logs failures as errors, and what broke off as warnings', () => {
  const { stream, lines } = kept()
  const sink = pinoSink({ logger: pino(stream) })
  for (const facts of [{}, { status: 502 }, { complete: false }]) sink.write(logEntry(facts))
  assert.deepEqual(
    lines().map(({ level, msg, cacheHit }) => [level, msg, cacheHit]),
    [
      [30, 'request', true],
      [50, 'request', true],
      [40, 'request', true],
    ],
  )
})
