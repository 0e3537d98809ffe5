// Log entries over HTTP: the contract, and what each service is sent.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { systemClock } from '@simple-cdn/core'
import { mistakeLine } from '@simple-cdn/core/config'
import { logEntry, testSink } from '@simple-cdn/testing'
import { axiom, betterStack, clickHouse, type HttpSinkOptions, type HttpTarget, honeycomb, httpSink, loki } from '../src/index.ts'

interface Received {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function receiver() {
  const received: Received[] = []
  const state = { status: 200, answer: '' }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (state.status === 200)
      received.push({ url: request.url ?? '', headers: request.headers, body: gunzipSync(Buffer.concat(chunks)).toString() })
    response.writeHead(state.status).end(state.answer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-http-'))
  return {
    received,
    state,
    folder,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async end() {
      server.close()
      server.closeAllConnections()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

testSink({
  name: 'http',
  async create() {
    const { url, folder, state, received, end } = await receiver()
    return {
      sink: httpSink({
        target: betterStack({ token: 't', host: url }),
        spool: { folder, maxBytes: 100_000, maxMemoryBytes: 100_000, retryMs: [5, 20], maxFlushMs: 900 },
      }),
      arrived: () =>
        received.flatMap(({ body }) =>
          body
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line).sequence),
        ),
      down(isDown) {
        state.status = isDown ? 503 : 200
      },
      end,
    }
  },
})

describe('entries over HTTP', () => {
  async function sent(make: (url: string) => HttpTarget, answer = ''): Promise<Received> {
    const { url, folder, state, received, end } = await receiver()
    state.answer = answer
    const sink = httpSink({ target: make(url), spool: { folder } })
    sink.open?.({ clock: systemClock, place: { machine: 'm1', region: 'fra' }, onMessage: (message) => assert.fail(message) })
    for (const sequence of [0, 1]) sink.write(logEntry({ sequence, sampleRate: 10 }))
    await sink.close()
    await end()
    assert.equal(received.length, 1)
    return received[0] as Received
  }

  it('are events with a rate of sampling for Honeycomb', async () => {
    const { url, headers, body } = await sent(
      (host) => honeycomb({ key: 'k', dataset: 'd', host }),
      '[{"status":202},{"status":202}]',
    )
    assert.deepEqual([url, headers['x-honeycomb-team']], ['/1/batch/d', 'k'])
    const [first, second] = JSON.parse(body)
    assert.deepEqual(
      [first.time, first.samplerate, first.data.sequence, second.data.sequence],
      ['2014-06-06T00:00:00.000Z', 10, 0, 1],
    )
  })
  it('are lines with _time for Axiom, with dt for Better Stack', async () => {
    const toAxiom = await sent((host) => axiom({ token: 't', dataset: 'd', host }))
    assert.deepEqual([toAxiom.url, toAxiom.headers.authorization], ['/v1/datasets/d/ingest', 'Bearer t'])
    assert.equal(JSON.parse(toAxiom.body.split('\n')[1] ?? '')._time, '2014-06-06T00:00:00.000Z')
    const toBetterStack = await sent((host) => betterStack({ token: 't', host }))
    assert.equal(JSON.parse(toBetterStack.body.split('\n')[0] ?? '').dt, '2014-06-06T00:00:00.000Z')
  })
  it('are values of a stream for Loki', async () => {
    const { url, body } = await sent((host) => loki({ url: host, labels: { job: 'cdn' } }))
    assert.equal(url, '/loki/api/v1/push')
    const { streams } = JSON.parse(body)
    assert.deepEqual(streams[0].stream, { app: 'simple-cdn', machine: 'm1', region: 'fra', job: 'cdn' })
    assert.deepEqual(
      streams[0].values.map(([at, line]: [string, string]) => [at, JSON.parse(line).sequence]),
      [
        ['1402012800000000000', 0],
        ['1402012800000000000', 1],
      ],
    )
  })
  it('are rows for ClickHouse, with a token that makes a second attempt the same', async () => {
    const { url, headers, body } = await sent((host) => clickHouse({ url: host, table: 'logs', user: 'u', password: 'p' }))
    const { searchParams } = new URL(url, 'http://x')
    assert.equal(searchParams.get('query'), 'INSERT INTO logs FORMAT JSONEachRow')
    assert.match(searchParams.get('insert_deduplication_token') ?? '', /^m1-\d{8}T\d{6}-[0-9a-f]{6}-0$/)
    assert.deepEqual(
      [headers['x-clickhouse-user'], headers['x-clickhouse-key'], body.trimEnd().split('\n').length],
      ['u', 'p', 2],
    )
  })
  it('are set aside when they are refused for good', async () => {
    const { url, folder, state, end } = await receiver()
    state.status = 422
    const messages: string[] = []
    const sink = httpSink({ target: axiom({ token: 't', dataset: 'd', host: url }), spool: { folder } })
    sink.open?.({ clock: systemClock, place: { machine: 'm1', region: 'fra' }, onMessage: (message) => messages.push(message) })
    sink.write(logEntry())
    await sink.flush()
    assert.equal(existsSync(join(folder, 'set-aside')) && readdirSync(join(folder, 'set-aside')).length, 1)
    assert.match(messages.join('\n'), /axiom:d.*did not take 1 entries: 422/)
    await sink.close()
    await end()
  })
})

describe('options that are wrong', () => {
  const lines = (options: unknown): readonly string[] => (httpSink(options as HttpSinkOptions).mistakes ?? []).map(mistakeLine)
  const right = axiom({ token: 't', dataset: 'd' })
  const spool = { folder: 'log' }

  it('are told, all of them, when the sink is used', () => {
    const target = {
      ...right,
      url: 'logs.example.com',
      headers: { 'X Key': 'a', Authorization: undefined, 'X-Team': 'a\nb' },
      format: undefined,
      body: 'lines',
      complant: () => undefined,
    }
    const options = { target, compress: 'zstd', timeoutMs: 0, spool: { folder: 1, maxByte: 1 }, retries: 3 }
    const mistakes = [
      'target.format: is missing; write a format, such as jsonLine',
      'target.url: "logs.example.com" is not a URL, such as "https://logs.example.com/ingest"',
      'target.headers: has a name that is no field name; these have letters, digits and "-"',
      'target.headers.Authorization: is not text; write text in quotes',
      'target.headers["X-Team"]: contains characters that a field cannot',
      'target.body: is "lines"; write a function that makes a body of a batch',
      'target.complant: there is no such option; did you mean "complaint"?',
      'compress: is "zstd"; write one of "none", "gzip"',
      'timeoutMs: is 0; write a whole number from 1 to 2147483647',
      'spool.folder: is 1; write text in quotes',
      'spool.maxByte: there is no such option; did you mean "maxBytes"?',
      'retries: there is no such option',
    ]
    assert.deepEqual(lines(options), mistakes)
    const sink = httpSink(options as unknown as HttpSinkOptions)
    assert.throws(() => sink.write(logEntry()), { message: ['httpSink has 12 mistakes:', ...mistakes].join('\n  ') })
  })
  it('are a target and a queue that are missing', () => {
    assert.deepEqual(lines({}), [
      'target: is missing; write a target, such as axiom({ token, dataset })',
      'spool: is missing; write { folder } with the path of a folder',
    ])
  })

  const services: readonly (readonly [
    name: string,
    make: (options: never) => HttpTarget,
    options: object,
    mistakes: string[],
  ])[] = [
    [
      'honeycomb',
      honeycomb,
      { key: undefined, dataset: '', host: 'api.eu1.honeycomb.io' },
      [
        'target.key: is missing; write the key of an environment',
        'target.dataset: is empty; write the name of a dataset',
        'target.host: "api.eu1.honeycomb.io" is not a URL, such as "https://api.eu1.honeycomb.io"',
      ],
    ],
    [
      'axiom',
      axiom,
      { tokn: 't' },
      [
        'target.token: is missing; write an API token',
        'target.dataset: is missing; write the name of a dataset',
        'target.tokn: there is no such option; did you mean "token"?',
      ],
    ],
    ['betterStack', betterStack, { token: 5 }, ['target.token: is not text; write text in quotes']],
    [
      'loki',
      loki,
      { url: undefined, labels: { env: 1 }, headers: [] },
      [
        'target.url: is missing; write the URL of the server',
        'target.labels.env: is 1; write text in quotes',
        "target.headers: is not an object; write fields by name, such as { Authorization: 'Bearer …' }",
      ],
    ],
    [
      'clickHouse',
      clickHouse,
      { url: 'ftp://db', user: '' },
      [
        'target.table: is missing; write the name of a table',
        'target.url: "ftp://db" is not a URL, such as "https://clickhouse.example.com:8443"',
        'target.user: is empty; write a name, or leave it out',
      ],
    ],
  ]
  for (const [name, make, options, mistakes] of services) {
    it(`of ${name} are those of its target`, () => {
      assert.deepEqual(lines({ target: make(options as never), spool }), mistakes)
      assert.deepEqual(lines({ target: make(options as never), spool: {} }), [
        ...mistakes,
        'spool.folder: is missing; write the path of a folder that no other sink has',
      ])
    })
  }
  it('do not show what may be a secret, wherever somebody has put it', () => {
    const secret = 'xaat-known-to-few'
    const targets = [
      secret,
      axiom(secret as never),
      axiom({ token: `${secret}\n`, dataset: 'd' }),
      honeycomb({ key: { secret }, dataset: 'd' } as never),
      loki({ url: 'https://loki.example', headers: `Authorization: Bearer ${secret}` as never }),
      loki({ url: 'https://loki.example', headers: { [`Authorization: Bearer ${secret}`]: '' } }),
      clickHouse({ url: `clickhouse://me:${secret}@db.example`, table: 't' }),
    ]
    for (const target of targets) {
      const said = lines({ target, spool }).join('\n')
      assert.match(said, /^target/)
      assert.ok(!said.includes(secret), said)
    }
  })
  it('are none of these', () => {
    for (const target of [
      right,
      { ...right, url: () => 'http://a/' },
      honeycomb({ key: 'k', dataset: 'd' }),
      betterStack({ token: 't' }),
      loki({ url: 'http://loki:3100', labels: { env: 'test' } }),
      clickHouse({ url: 'http://db:8123/', table: 't', user: 'u', password: '' }),
    ])
      assert.deepEqual(lines({ target, spool, name: undefined }), [], target.name)
  })
})
