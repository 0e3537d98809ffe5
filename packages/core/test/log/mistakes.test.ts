// Mistakes in the options of sinks: all of them at once, told by whoever is given the sink.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createCdn, stdoutSink } from '@simple-cdn/core'
import { checkConfig, integer, mistakeLine, options } from '@simple-cdn/core/config'
import {
  type BatchSink,
  checkedSink,
  fileSink,
  jsonLine,
  type LogSink,
  located,
  only,
  queued,
  spooled,
  syslogSink,
} from '@simple-cdn/core/log'
import { logEntry } from '@simple-cdn/testing'

const MAX = Number.MAX_SAFE_INTEGER
const TIMER = 2 ** 31 - 1

/** What people write who have no types. */
function written<Made>(make: (...args: never[]) => Made): (...args: readonly unknown[]) => Made {
  return make as unknown as (...args: readonly unknown[]) => Made
}

const lines = ({ mistakes = [] }: LogSink): readonly string[] => mistakes.map(mistakeLine)
const batches: BatchSink = { name: 'batches', format: jsonLine, deliver: async () => '' }
const target = { name: 'lines', format: jsonLine, send: async () => {} }
const right = (): LogSink => ({ name: 'right', write() {}, flush: async () => {}, close: async () => {} })
const wrong = (): LogSink => written(fileSink)({ pth: 'access.log' })
const OF_WRONG = ['path: is missing; write the path of a file', 'pth: there is no such option; did you mean "path"?']

const rows: readonly (readonly [what: string, sink: LogSink, mistakes: readonly string[]])[] = [
  [
    'fileSink',
    written(fileSink)({ path: '', format: 'csv', rotateBytes: '1gb', rotateMs: 0, keep: -1, maxQueud: 1, retryMs: 0.5 }),
    [
      'path: is empty; write the path of a file',
      'format: is "csv"; write a format, such as jsonLine',
      `rotateBytes: is "1gb"; write a whole number from 1 to ${MAX}`,
      `rotateMs: is 0; write a whole number from 1 to ${MAX}`,
      `keep: is -1; write a whole number from 0 to ${MAX}`,
      'maxQueud: there is no such option; did you mean "maxQueued"?',
      `retryMs: is 0.5; write a whole number from 1 to ${TIMER}`,
    ],
  ],
  ['fileSink without options', written(fileSink)(), ['is undefined; write an object']],
  [
    'syslogSink',
    written(syslogSink)({ port: '514', transport: 'tcp6', app: '', priority: 192 }),
    [
      'host: is missing; write the name or the address of a syslog server',
      'port: is "514"; write a whole number from 1 to 65535',
      'transport: is "tcp6"; write one of "tcp", "tls", "udp"',
      'app: is empty; write the name of the program',
      'priority: is 192; write a whole number from 0 to 191',
    ],
  ],
  [
    'syslogSink with a URL for a host',
    syslogSink({ host: 'tcp://logs:514' }),
    ['host: "tcp://logs:514" is neither a name nor an address'],
  ],
  [
    'stdoutSink',
    written(stdoutSink)({ stream: {}, maxQueuedBytes: Number.POSITIVE_INFINITY, maxFlushMs: '5s' }),
    [
      'stream: is not a stream to write to, such as process.stderr: it has no write()',
      `maxQueuedBytes: is Infinity; write a whole number from 1 to ${MAX}`,
      `maxFlushMs: is "5s"; write a whole number from 0 to ${TIMER}`,
    ],
  ],
  ['queued', written(queued)(target, { maxQueued: '8mb' }), [`maxQueued: is "8mb"; write a whole number from 1 to ${MAX}`]],
  [
    'spooled',
    written(spooled)(batches, {
      maxBytes: '1gb',
      maxMemoryBytes: Number.NaN,
      writeMs: -1,
      fsyncMs: null,
      rotateBytes: 2 ** 31,
      rotateMs: 2 ** 31,
      deliverMs: 0,
      retryMs: [600, 50],
      maxFlushMs: true,
      openFile: 'open',
      foldr: 'log',
    }),
    [
      'folder: is missing; write the path of a folder that no other sink has',
      `maxBytes: is "1gb"; write a whole number from 1 to ${MAX}`,
      `maxMemoryBytes: is NaN; write a whole number from 1 to ${MAX}`,
      `writeMs: is -1; write a whole number from 0 to ${TIMER}`,
      `fsyncMs: is null; write a whole number from 0 to ${TIMER}`,
      'rotateBytes: is 2147483648; write a whole number from 1 to 1073741824',
      `rotateMs: is 2147483648; write a whole number from 1 to ${TIMER}`,
      `deliverMs: is 0; write a whole number from 1 to ${TIMER}`,
      'retryMs: has 600 as the shortest wait and 50 as the longest; write [50, 600]',
      `maxFlushMs: is true; write a whole number from 0 to ${TIMER}`,
      'openFile: is "open"; write a function that opens a file',
      'foldr: there is no such option; did you mean "folder"?',
    ],
  ],
  [
    'spooled with waits that are no pair',
    written(spooled)(batches, { folder: '', retryMs: 500 }),
    [
      'folder: is empty; write the path of a folder',
      'retryMs: is 500; write two waits, the shortest and the longest, such as [500, 60000]',
    ],
  ],
  [
    'spooled with waits that are none',
    written(spooled)(batches, { folder: 'log', retryMs: [0, '1s'] }),
    [`retryMs[0]: is 0; write a whole number from 1 to ${TIMER}`, `retryMs[1]: is "1s"; write a whole number from 1 to ${TIMER}`],
  ],
  [
    'only',
    written(only)(
      { paths: ['uploads/*'], methods: ['get'], status: [404, '2x', 99], tier: 'outer', sample: 0.5, random: 1, path: '/' },
      right(),
    ),
    [
      'paths[0]: "uploads/*" is not a path; write one such as "/uploads/*" or "*/feed"',
      'methods[0]: "get" is not a method; write one such as "GET"',
      'status[1]: is "2x"; write a status such as 404, or a hundred of them such as "5xx"',
      'status[2]: is 99; write a status such as 404, or a hundred of them such as "5xx"',
      'tier: is "outer"; write one of "edge", "inner"',
      'sample: is 0.5; write a number from 1 on, 10 being one of ten',
      'random: is 1; write a function, such as Math.random',
      'path: there is no such option; did you mean "paths"?',
    ],
  ],
  ['only of nothing', only({ paths: [] }, right()), ['paths: is empty; name one, or leave it out for all']],
  ['only without a sink', written(only)({}), ['sink: is undefined; write a log sink, such as stdoutSink()']],
  [
    'located without await',
    written(located)(Promise.resolve(), right()),
    ['source: is not a source of places, such as await geoDatabase({ file }): it has no lookup()'],
  ],
]

describe('a sink whose options have mistakes', () => {
  for (const [what, sink, mistakes] of rows) {
    it(`tells all of them: ${what}`, () => assert.deepEqual(lines(sink), mistakes))
  }

  it('is made, and refuses entries with an error that lists them', async () => {
    const sink = wrong()
    assert.throws(() => sink.write(logEntry()), new Error(['fileSink has 2 mistakes:', ...OF_WRONG].join('\n  ')))
    assert.throws(() => only({ paths: [] }, right()).write(logEntry()), /^Error: only has a mistake:\n {2}paths: is empty/)
    await sink.flush()
    await sink.close()
  })

  it('is told of by the sinks that pass entries on to it, with mistakes of their own', () => {
    assert.deepEqual(lines(located({ lookup: () => undefined }, wrong())), OF_WRONG)
    assert.deepEqual(lines(only({ sample: 0 }, only({ tier: 'edge' }, wrong()))), [
      'sample: is 0; write a number from 1 on, 10 being one of ten',
      ...OF_WRONG,
    ])
    // Of entries that are not chosen, too.
    assert.throws(() => only({ methods: ['PUT'] }, wrong()).write(logEntry()), /has 2 mistakes/)
  })

  it('is refused by createCdn, with everything else that is wrong', () => {
    const config = {
      origins: {},
      routes: [{ match: '*', respond: { status: 204 } }],
      log: [right(), only({ sample: 0 }, wrong()), syslogSink({ host: '' })],
    }
    const found = checkConfig(config).map(mistakeLine)
    assert.match(found[0] ?? '', /^routes\[0\]\.match: /)
    assert.deepEqual(found.slice(1), [
      'log[1].sample: is 0; write a number from 1 on, 10 being one of ten',
      ...OF_WRONG.map((each) => `log[1].${each}`),
      'log[2].host: "" is neither a name nor an address',
    ])
    assert.throws(() => createCdn(config), { code: 'CDN_CONFIG_INVALID', mistakes: checkConfig(config) })
  })

  it('may be somebody’s own', () => {
    const rowsSink = (settings: { rows: number }) =>
      checkedSink('rowsSink', options({ rows: integer(1, 9) }), settings, () => ({ ...right(), dropped: 0 }))
    const found = (log: readonly unknown[]) =>
      checkConfig({ origins: {}, routes: [{ match: '/*', respond: { status: 204 } }], log }).map(mistakeLine)
    assert.deepEqual(found([rowsSink({ rows: 10 })]), ['log[0].rows: is 10; write a whole number from 1 to 9'])
    assert.deepEqual(found([rowsSink({ rows: 9 }), { ...right(), mistakes: 3 }, { ...right(), mistakes: [null] }]), [])
    assert.deepEqual(found([{ ...right(), mistakes: [{ path: '', message: 'is made of wood' }] }]), ['log[0]: is made of wood'])
  })
})

describe('a sink whose options are right', () => {
  const none = undefined
  const sinks: readonly LogSink[] = [
    written(fileSink)({ path: 'access.log', keep: 0, rotateMs: 31 * 86_400_000, format: none }),
    written(syslogSink)({ host: '::1', port: none, priority: 0 }),
    written(stdoutSink)({ stream: none, maxFlushMs: 0 }),
    stdoutSink({ stream: process.stderr }),
    spooled(batches, { folder: 'log', retryMs: [5, 5] }),
    written(spooled)(batches, { folder: 'log', maxBytes: none, retryMs: none }),
    located({ lookup: () => undefined }, right()),
    written(only)({ paths: none, status: [404, '5xx'], methods: ['GET'], tier: 'inner', sample: 1.5 }, right()),
  ]
  it('has no mistakes; an option that is undefined counts as left out', () => {
    for (const sink of sinks) assert.equal(sink.mistakes, undefined, sink.name)
  })
  it('does with an option that is undefined what it does without', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-mistakes-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const taken: string[] = []
    const sink = written(spooled)(
      { ...batches, deliver: async ({ text }: { text: Buffer }) => String(taken.push(text.toString())) },
      { folder, maxBytes: undefined, maxMemoryBytes: undefined, writeMs: undefined, rotateMs: undefined },
    )
    sink.write(logEntry())
    await sink.close()
    assert.equal(taken.length, 1)
  })
})
