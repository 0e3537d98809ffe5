// Log entries in S3: each once, whatever fails; keys that tell what is in them; and the proof that nothing is missing.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '@simple-cdn/core'
import { mistakeLine } from '@simple-cdn/core/config'
import type { LedgerDay, LogBatch, LogSink } from '@simple-cdn/core/log'
import { logEntry, testSink } from '@simple-cdn/testing'
import { type S3SinkOptions, s3Batches, s3Sink } from '../src/index.ts'
import { keys } from '../src/key.ts'
import { type FakeS3, type Fault, fakeS3 } from './fake-s3.ts'

const KEYS = { bucket: 'logs', region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 's', timeoutMs: 300 }
const DAY = '2014-06-06'

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'simple-cdn-s3-'))
}

/** Sequences of the entries in all objects, in the order of keys. */
function sequences({ objects }: FakeS3): number[] {
  return [...objects]
    .filter(([key]) => key.endsWith('.log'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { body }]) => [...body.toString().matchAll(/"sequence":(\d+)/g)].map(([, number]) => Number(number)))
}

function batch(facts: Partial<LogBatch> = {}): LogBatch {
  const text = facts.text ?? Buffer.from('one\ntwo\n')
  return {
    machine: 'm-1',
    region: 'fra',
    boot: '20140606T000000-abcdef',
    date: DAY,
    openedAt: Date.UTC(2014, 5, 6, 10, 30),
    first: 0,
    last: 1,
    entries: 2,
    dropped: [],
    text,
    sha256: createHash('sha256').update(text).digest('hex'),
    ...facts,
  }
}

function day(facts: Partial<LedgerDay> = {}): LedgerDay {
  const { machine, region, boot } = batch()
  return {
    v: 1,
    machine,
    region,
    boot,
    date: DAY,
    first: 0,
    next: 2,
    dropped: [],
    landed: { objects: 1, entries: 2 },
    ended: true,
    at: 5,
    ...facts,
  }
}

const signal = (): AbortSignal => AbortSignal.timeout(5_000)

async function fake(t: TestContext): Promise<FakeS3> {
  const server = await fakeS3()
  t.after(() => server.close())
  return server
}

testSink({
  name: 's3',
  async create() {
    const server = await fakeS3()
    const spool = { folder: folder(), maxBytes: 100_000, maxMemoryBytes: 100_000, retryMs: [5, 20], maxFlushMs: 900 } as const
    return {
      sink: s3Sink({ ...KEYS, endpoint: server.url, spool }),
      arrived: () => sequences(server),
      down(isDown) {
        server.isDown = isDown
      },
      async end() {
        await server.close()
        rmSync(spool.folder, { recursive: true, force: true })
      },
    }
  },
})

describe('objects in S3', () => {
  function begin(t: TestContext, server: FakeS3, options: Partial<S3SinkOptions> = {}): LogSink {
    const spool = { folder: folder(), retryMs: [5, 20] as const, deliverMs: 400, ...options.spool }
    const sink = s3Sink({ ...KEYS, endpoint: server.url, ...options, spool: { ...spool, rotateBytes: 20_000 } })
    sink.open?.({ clock: systemClock, place: { machine: 'm-1', region: 'fra' }, onMessage: () => {} })
    t.after(async () => {
      await sink.close()
      rmSync(spool.folder, { recursive: true, force: true })
    })
    return sink
  }
  const write = (sink: LogSink, from: number, to: number): void => {
    for (let sequence = from; sequence < to; sequence++) sink.write(logEntry({ sequence }))
  }
  const range = (to: number): number[] => Array.from({ length: to }, (_, at) => at)

  const faults: readonly (readonly Fault[])[] = [
    ['503', '503'],
    ['409'],
    ['lost-reply'],
    ['stall'],
    ['reset', 'lost-reply', 'lost-reply', '503'],
  ]
  for (const planned of faults) {
    it(`are written once each when the server answers with ${planned.join(', ')}`, async (t) => {
      const server = await fake(t)
      const sink = begin(t, server)
      server.faults.push(...planned)
      for (let at = 0; at < 10; at++) write(sink, at * 100, at * 100 + 100)
      await sink.flush()
      assert.deepEqual(sequences(server), range(1000))
      const written = server.writes.filter((key) => key.endsWith('.log'))
      assert.equal(new Set(written).size, written.length, 'no object was written over')
      const today = new Date(systemClock.now()).toISOString().slice(0, 10)
      await sink.close()
      for (const read of [false, true]) {
        const [found, ...others] = (await sink.verify?.(today, { read })) ?? []
        assert.deepEqual(others, [])
        assert.deepEqual(
          [found?.served, found?.landed, found?.dropped, found?.gaps, found?.twice, found?.damaged, found?.open],
          [1000, 1000, 0, [], [], [], false],
        )
      }
    })
  }

  it('say in key and metadata which numbers they hold', async (t) => {
    const server = await fake(t)
    const sink = s3Batches({ ...KEYS, endpoint: server.url })
    const key = await sink.deliver(batch(), signal())
    const { sha256 } = batch()
    assert.equal(key, `2014-06-06T10:30+0000-fra-m-1-20140606T000000-abcdef-000000000000-000000000001-${sha256.slice(0, 16)}.log`)
    const { headers, body } = server.objects.get(key) ?? {}
    assert.equal(body?.toString(), 'one\ntwo\n')
    assert.deepEqual(
      [headers?.['x-amz-meta-first'], headers?.['x-amz-meta-last'], headers?.['x-amz-meta-sha256']],
      ['0', '1', sha256],
    )
    await sink.close?.()
  })

  it('are taken for landed when they are there already, and not when something else is', async (t) => {
    const server = await fake(t)
    const sink = s3Batches({ ...KEYS, endpoint: server.url })
    const key = await sink.deliver(batch(), signal())
    assert.equal(await sink.deliver(batch(), signal()), key)
    server.put(key, 'another')
    await assert.rejects(sink.deliver(batch(), signal()), { name: 'DeliveryError', retry: false, message: /another content/ })
    await sink.close?.()
  })

  for (const compress of ['gzip', 'zstd'] as const) {
    it(`can be read again when compressed with ${compress}`, async (t) => {
      const server = await fake(t)
      const sink = s3Batches({ ...KEYS, endpoint: server.url, compress })
      await sink.deliver(batch({ text: Buffer.from('line\n'.repeat(2)) }), signal())
      await sink.publish?.(day(), signal())
      const texts: string[] = []
      for await (const text of sink.read?.(DAY) ?? []) texts.push(text)
      assert.deepEqual(texts, ['line\nline\n'])
      assert.deepEqual(
        (await sink.verify?.(DAY, { read: true }))?.map(({ damaged, landed }) => [damaged, landed]),
        [[[], 2]],
      )
      await sink.close?.()
    })
  }

  it('go in parts when they are large', async (t) => {
    const server = await fake(t)
    const sink = s3Batches({ ...KEYS, endpoint: server.url, partBytes: 5 * 1024 * 1024 })
    const text = Buffer.alloc(12 * 1024 * 1024, 'a line of a log\n')
    const key = await sink.deliver(batch({ text }), signal())
    assert.ok(server.objects.get(key)?.body.equals(text))
    await sink.close?.()
  })

  it('have keys that are unique and tell what is in them', () => {
    for (const template of [
      '{date}/{hour}/{region}/{machine}/{boot}-{first}-{last}-{checksum}',
      'a/{machine}-{boot}.{first}-{last}.{checksum}/{date}',
    ]) {
      const made = keys(template, '.gz')
      const key = made.of(batch())
      assert.deepEqual(
        [made.parse(key)?.machine, made.parse(key)?.boot, made.parse(key)?.first, made.parse(key)?.last],
        ['m-1', '20140606T000000-abcdef', 0, 1],
      )
      assert.ok(key.startsWith(made.prefixOf(DAY)))
    }
  })
})

describe('options that are wrong', () => {
  const lines = (options: unknown): readonly string[] => (s3Sink(options as S3SinkOptions).mistakes ?? []).map(mistakeLine)
  const right = { bucket: 'logs', spool: { folder: 'log' } }

  it('are told, all of them, when the sink is used', () => {
    const options = {
      buckt: 'logs',
      endpoint: 'localhost:9000',
      region: 'eu central',
      accessKeyId: '',
      secretAccessKey: 5,
      sessionToken: '',
      timeoutMs: '30s',
      format: 'csv',
      key: '{date}-{first}',
      compress: 'br',
      ledgerPrefix: 1,
      partBytes: 1024,
      name: '',
      spool: { maxBytes: '1gb', retryMs: [500] },
    }
    const mistakes = [
      'bucket: is missing; write the name of a bucket',
      'buckt: there is no such option; did you mean "bucket"?',
      'endpoint: "localhost:9000" is not a URL, such as "https://ACCOUNT.r2.cloudflarestorage.com"',
      'region: "eu central" is not a region; write one such as "eu-central-1", or "auto"',
      'accessKeyId: is empty; write it, or leave it out for $AWS_ACCESS_KEY_ID',
      'secretAccessKey: is 5; write text in quotes',
      'sessionToken: is empty; write it, or leave it out for $AWS_SESSION_TOKEN',
      'timeoutMs: is "30s"; write a whole number from 1 to 2147483647',
      'format: is "csv"; write a format, such as jsonLine',
      'key: "{date}-{first}" lacks {machine}, {boot}, {last}, {checksum}; without them, objects would not be unique, or not provable',
      'compress: is "br"; write one of "none", "gzip", "zstd"',
      'ledgerPrefix: is 1; write text in quotes',
      'partBytes: is 1024; write a whole number from 5242880 to 5368709120',
      'name: is empty; write a name, or leave it out',
      'spool.folder: is missing; write the path of a folder that no other sink has',
      'spool.maxBytes: is "1gb"; write a whole number from 1 to 9007199254740991',
      'spool.retryMs: is a list; write two waits, the shortest and the longest, such as [500, 60000]',
    ]
    assert.deepEqual(lines(options), mistakes)
    const sink = s3Sink(options as unknown as S3SinkOptions)
    assert.throws(() => sink.write(logEntry()), { message: ['s3Sink has 17 mistakes:', ...mistakes].join('\n  ') })
  })
  it('are keys of objects with parts that there are not', () => {
    assert.match(
      lines({ ...right, key: '{day}/{date}-{y}' }).join(),
      /^key: "{day}\/{date}-{y}" has {day}, {y}; there are {date}, /,
    )
  })
  for (const bucket of ['lo', 'a'.repeat(256), 'my logs', 'logs/2014', 'logs?', 'lögs'])
    it(`are buckets that nobody can have, such as ${bucket}`, () => {
      assert.match(lines({ ...right, bucket }).join(), /^bucket: ".*" is not the name of a bucket; these have /)
    })
  it('are a queue that is missing, or nothing at all', () => {
    assert.deepEqual(lines({ bucket: 'logs' }), ['spool: is missing; write { folder } with the path of a folder'])
    assert.deepEqual(lines(undefined), ['is undefined; write an object'])
  })
  it('are none of these', () => {
    for (const options of [
      right,
      { ...right, endpoint: undefined, key: undefined },
      { ...right, bucket: 'logs.example.com' },
      { ...right, bucket: 'My_Logs' },
    ])
      assert.equal(s3Sink(options as S3SinkOptions).mistakes, undefined)
  })
  it('are refused at once where there is no queue to tell them', () => {
    assert.throws(
      () => s3Batches({ bucket: 'L', partBytes: 1 }),
      /^Error: s3Batches has 2 mistakes:\n {2}bucket: .*\n {2}partBytes: /,
    )
  })
})

describe('the proof that nothing is missing', () => {
  const text = (from: number, to: number): Buffer =>
    Buffer.from(Array.from({ length: to - from + 1 }, (_, at) => `${from + at}\n`).join(''))
  const part = (first: number, last: number, facts: Partial<LogBatch> = {}): LogBatch => {
    const lines = facts.text ?? text(first, last)
    return batch({
      first,
      last,
      entries: last - first + 1,
      ...facts,
      text: lines,
      sha256: createHash('sha256').update(lines).digest('hex'),
    })
  }
  const rows: readonly (readonly [
    what: string,
    batches: readonly LogBatch[],
    facts: Partial<LedgerDay> | undefined,
    expected: object,
  ])[] = [
    [
      'agrees when all is there',
      [part(0, 9), part(10, 19)],
      { next: 20 },
      { served: 20, landed: 20, gaps: [], twice: [], open: false },
    ],
    ['names a gap in the middle', [part(0, 9), part(15, 19)], { next: 20 }, { served: 20, landed: 15, gaps: [[10, 14]] }],
    [
      'names a gap at the end',
      [part(0, 9)],
      { next: 20, ended: false },
      { served: 20, landed: 10, gaps: [[10, 19]], open: true },
    ],
    ['names a gap at the beginning', [part(10, 19)], { next: 20 }, { gaps: [[0, 9]] }],
    ['names a gap of everything', [], { next: 20 }, { served: 20, landed: 0, gaps: [[0, 19]] }],
    [
      'tells what was given up from what is missing',
      [part(0, 9)],
      { next: 20, dropped: [[12, 15, 4]] },
      {
        dropped: 4,
        gaps: [
          [10, 11],
          [16, 19],
        ],
      },
    ],
    [
      'counts what was given up within an object',
      [part(0, 9, { entries: 7, text: text(0, 6) })],
      { next: 10, dropped: [[3, 5, 3]] },
      { served: 10, landed: 7, dropped: 3, gaps: [], damaged: [] },
    ],
    ['names what landed twice', [part(0, 9), part(5, 19)], { next: 20 }, { landed: 20, twice: [[5, 9]], gaps: [] }],
    ['takes objects without a ledger for what they are', [part(0, 9)], undefined, { served: undefined, landed: 10, open: true }],
  ]
  for (const [what, batches, facts, expected] of rows) {
    it(what, async (t) => {
      const server = await fake(t)
      const sink = s3Batches({ ...KEYS, endpoint: server.url })
      for (const each of batches) await sink.deliver(each, signal())
      if (facts !== undefined) await sink.publish?.(day(facts), signal())
      // Another day, and what somebody else keeps there, do not matter.
      await sink.deliver(batch({ date: '2014-06-07', first: 100, last: 101 }), signal())
      server.put('2014-06-06-other.txt', 'x')
      const [found, ...others] = (await sink.verify?.(DAY, { read: true })) ?? []
      assert.deepEqual(others, [])
      assert.deepEqual(
        Object.fromEntries(Object.keys(expected).map((name) => [name, found?.[name as keyof typeof found]])),
        expected,
      )
      await sink.close?.()
    })
  }

  it('names objects that are not what they say', async (t) => {
    const server = await fake(t)
    const sink = s3Batches({ ...KEYS, endpoint: server.url })
    const key = await sink.deliver(part(0, 9), signal())
    await sink.publish?.(day({ next: 10 }), signal())
    server.put(key, '0\n1\n')
    assert.deepEqual(
      (await sink.verify?.(DAY, { read: true }))?.map(({ damaged }) => damaged),
      [[key]],
    )
    assert.deepEqual(
      (await sink.verify?.(DAY))?.map(({ damaged }) => damaged),
      [[]],
      'not read, not known',
    )
    await sink.close?.()
  })
})
