// Log entries into pino: the contract, as far as it is the sink's to keep, and levels.
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { it } from 'node:test'
import { mistakeLine } from '@simple-cdn/core/config'
import { logEntry, testSink } from '@simple-cdn/testing'
import { pino } from 'pino'
import { type PinoSinkOptions, pinoSink } from '../src/index.ts'

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

it('tells all mistakes of its options when it is used', () => {
  const options = { logger: { info() {}, warn() {} }, maxFlushMs: '5s', columns: ['statu', 'agent', 3], timeNam: 'at' }
  const sink = pinoSink(options as unknown as PinoSinkOptions)
  const [logger, flush, near, far, number, name, ...others] = (sink.mistakes ?? []).map(mistakeLine)
  assert.deepEqual(
    [logger, flush, near, name, others],
    [
      'logger: is not a logger, such as pino(): it has no error()',
      'maxFlushMs: is "5s"; write a whole number from 0 to 2147483647',
      'columns[0]: there is no column "statu"; did you mean "status"?',
      'timeNam: there is no such option; did you mean "timeName"?',
      [],
    ],
  )
  assert.match(far ?? '', /^columns\[1\]: there is no column "agent"; there are time, .*userAgent/)
  assert.match(number ?? '', /^columns\[2\]: there is no column 3; there are time, /)
  assert.throws(() => sink.write(logEntry()), /^Error: pinoSink has 6 mistakes:\n {2}logger: /)
  assert.equal(pinoSink({ logger: pino(kept().stream), columns: ['status'] }).mistakes, undefined)
})
