// The conformance runner itself: cases of our own, straight against its origin, so that without a cache each must go as the table says.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { type Case, type Exchange, type Kind, loadCases, withDependencies, written } from './cases.ts'
import { classify, type Verdict } from './classify.ts'
import { type Outcome, play } from './client.ts'
import { surprises } from './expected.ts'
import { type Deviation, judgeArrivals, judgeBody, judgeHead, overlooked, type Reply } from './judge.ts'
import { type Arrival, type Origin, startOrigin } from './origin.ts'

const aCase = (
  exchanges: readonly Exchange[],
  { id = 'a-case', kind = 'required' as Kind, dependsOn = [] as readonly string[] } = {},
): Case => ({
  id,
  suite: 'ours',
  kind,
  dependsOn,
  exchanges,
})

/** Where a server listens now. */
async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('without a cache between client and origin', () => {
  let origin: Origin
  before(async () => {
    origin = await startOrigin()
  })
  after(() => origin.close())

  const etag: Exchange = { response_headers: [['ETag', '"a"']] }
  const table: readonly [sentence: string, exchanges: readonly Exchange[], deviatesAt: 'setup' | 'behaviour' | 'nothing'][] = [
    ['a second request is not answered from the cache', [{}, { expected_type: 'cached' }], 'behaviour'],
    ['nor is one that only prepares', [{}, { expected_type: 'cached', setup: true }], 'setup'],
    ['nor is one whose source only prepares', [{}, { expected_type: 'cached', setup_tests: ['expected_type'] }], 'setup'],
    ['every request is answered by the origin', [{}, { expected_type: 'not_cached' }], 'nothing'],
    ['nobody makes a request conditional', [etag, { expected_type: 'etag_validated' }], 'behaviour'],
    [
      'a conditional request of the client is answered with 304',
      [etag, { expected_type: 'etag_validated', expected_status: 304, request_headers: [['If-None-Match', '"a"']] }],
      'nothing',
    ],
    [
      'a conditional request with another validator is not',
      [etag, { expected_type: 'etag_validated', request_headers: [['If-None-Match', '"b"']] }],
      'behaviour',
    ],
    [
      'a date counts from the reply before, where the case says so',
      [
        { response_headers: [['Last-Modified', -3600]] },
        {
          expected_type: 'lm_validated',
          expected_status: 304,
          request_headers: [['If-Modified-Since', -3600]],
          magic_ims: true,
        },
      ],
      'nothing',
    ],
    ['another status than the expected is seen', [{ expected_status: 404 }], 'behaviour'],
    ['the status that the origin was to send is seen', [{ response_status: [599, 'Odd'] }], 'nothing'],
    ['another body than the expected is seen', [{ response_body: 'a', expected_response_text: 'b' }], 'behaviour'],
    [
      'bytes behind the body do no harm',
      [{ response_headers: [['Content-Length', '2']], response_body: 'abc', check_body: false }],
      'nothing',
    ],
    ['a closed connection is seen', [{ disconnect: true }], 'behaviour'],
    ['a missing field is seen', [{ expected_response_headers: ['Age'] }], 'behaviour'],
    [
      'a field that should be missing is seen',
      [{ response_headers: [['A', '1']], expected_response_headers_missing: ['a'] }],
      'behaviour',
    ],
    [
      'a number that is too small is seen',
      [{ response_headers: [['Age', '2']], expected_response_headers: [['Age', '>', 2]] }],
      'behaviour',
    ],
    [
      'a number that is large enough is seen',
      [{ response_headers: [['Age', '3']], expected_response_headers: [['Age', '>', 2]] }],
      'nothing',
    ],
    [
      'two lines of a field are one value',
      [
        {
          response_headers: [
            ['A', '1'],
            ['A', '2'],
          ],
          expected_response_headers: [['A', '1, 2']],
        },
      ],
      'nothing',
    ],
    [
      'a date counts from the clock of the origin',
      [{ response_headers: [['Expires', 60]], expected_response_headers: [['Expires', 60]] }],
      'nothing',
    ],
    ['interim responses arrive', [{ interim_responses: [[102]], expected_interim_responses: [[102]] }], 'nothing'],
    ['an interim response too many is seen', [{ interim_responses: [[102]], expected_interim_responses: [] }], 'behaviour'],
    [
      'an interim response without its field is seen',
      [{ interim_responses: [[103, [['link', '</a>']]]], expected_interim_responses: [[103, [['x-other', 'a']]]] }],
      'behaviour',
    ],
    ['the fields of the request arrive', [{ request_headers: [['A', '1']], expected_request_headers: [['A', '1']] }], 'nothing'],
    [
      'two lines of the request are joined, as fetch joins them',
      [
        {
          request_headers: [['Cache-Control', 'no-cache']],
          expected_request_headers: [['Cache-Control', 'nothing-to-see-here, no-cache']],
        },
      ],
      'nothing',
    ],
    ['another method than the expected is seen', [{ request_method: 'HEAD', expected_method: 'GET' }], 'behaviour'],
  ]
  for (const [sentence, exchanges, deviatesAt] of table) {
    it(sentence, async () => {
      const { deviation } = await play(aCase(exchanges), `http://127.0.0.1:${origin.port}`, origin)
      assert.equal(deviation?.at ?? 'nothing', deviatesAt, deviation?.why)
    })
  }

  it('a body cut short is seen', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'Content-Length': 9 }).write('a', () => response.destroy())
    })
    const base = await listening(server)
    const { deviation } = await play(aCase([{ check_body: false }]), base, origin)
    server.close()
    assert.equal(deviation?.at, 'behaviour')
  })

  const asked: readonly [what: string, exchange: Exchange][] = [
    ['to get', {}],
    ['for another path and query', { filename: 'a', query_arg: 'b=c' }],
    ['to post', { request_method: 'POST', request_body: 'abc' }],
    [
      'to post something of a type of its own',
      { request_method: 'POST', request_body: 'abc', request_headers: [['Content-Type', 'text/plain']] },
    ],
    ['with a method of its own', { request_method: 'M-SEARCH', request_body: 'abc' }],
    ['for the head', { request_method: 'HEAD' }],
    ['for a part', { request_headers: [['Range', 'bytes=0-1']] }],
    [
      'with lines of one name',
      {
        request_headers: [
          ['A', '1'],
          ['a', '2'],
          ['pragma', 'no-cache'],
        ],
      },
    ],
    ['with spaces around a value', { request_headers: [['Accept-Language', ' en ,  de ']] }],
    ['with a value beyond ASCII', { request_headers: [['If-None-Match', '"ü"']] }],
  ]
  for (const [what, exchange] of asked) {
    it(`a client asks as fetch does: ${what}`, async () => {
      const requests: string[] = []
      const server = createServer(async (request, response) => {
        const { method, url, headers } = request
        // Each keeps its connections as it likes.
        const fields = Object.entries({ ...headers, connection: '' }).sort()
        requests.push(JSON.stringify([method, url?.split('/').slice(3), fields, await text(request)]))
        response.end()
      })
      const base = await listening(server)
      await play(aCase([{ check_body: false, ...exchange }]), base, origin)
      await fetch(`${base}/test/id/${exchange.filename ?? ''}?${exchange.query_arg ?? ''}`.replace(/\/?\?$/, ''), {
        method: exchange.request_method ?? 'GET',
        headers: [
          ['Pragma', 'foo'],
          ['Cache-Control', 'nothing-to-see-here'],
          ...(exchange.request_headers ?? []).map(([name, value]) => [name, `${value}`] as [string, string]),
          ['Test-ID', 'a-case'],
          ['Req-Num', '1'],
        ],
        body: exchange.request_body ?? null,
      })
      server.close()
      server.closeAllConnections()
      assert.equal(requests.length, 2)
      assert.equal(requests[0], requests[1])
    })
  }

  it('a forbidden value that the original suite does not notice is reported beside the verdict', async () => {
    const exchange: Exchange = { response_headers: [['TE', 'abc', false]], expected_response_headers_missing: [['TE', 'b']] }
    const { deviation, overlooked } = await play(aCase([exchange]), `http://127.0.0.1:${origin.port}`, origin)
    assert.deepEqual({ deviation, overlooked }, { deviation: undefined, overlooked: ['reply 1 has TE: b'] })
  })
})

describe('the origin', () => {
  let origin: Origin
  before(async () => {
    origin = await startOrigin()
  })
  after(() => origin.close())
  const ask = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${origin.port}/test/${path}`, { headers, redirect: 'manual' })

  it('answers the request that the client says it is, or else the next', async () => {
    origin.open(
      'numbers',
      ['a', 'b', 'c'].map((body) => ({ response_body: body })),
    )
    const bodies = [await ask('numbers', { 'Req-Num': '2' }), await ask('numbers'), await ask('numbers', { 'Req-Num': '1' })]
    assert.deepEqual(await Promise.all(bodies.map((reply) => reply.text())), ['b', 'b', 'a'])
    assert.equal((await ask('numbers')).status, 409)
  })
  it('puts locations under the URL that it was asked for, where the case says so', async () => {
    const fields: Exchange['response_headers'] = [
      ['Location', 'a'],
      ['Content-Location', ''],
    ]
    origin.open('places', [{ response_headers: fields, magic_locations: true }, { response_headers: fields }])
    const places = async () => {
      const { headers } = await ask('places/b?c')
      return [headers.get('location'), headers.get('content-location')]
    }
    assert.deepEqual(await places(), ['/test/places/b?c/a', '/test/places/b?c'])
    assert.deepEqual(await places(), ['a', ''])
  })
  it('promises the client what it sends, but no date, nor what the case takes out', async () => {
    origin.open('promises', [
      {
        response_headers: [
          ['Date', 0],
          ['A', '1'],
          ['a', '2'],
          ['B', '3', false],
          ['C', '4', true],
        ],
      },
    ])
    await ask('promises')
    const [arrival] = origin.arrivals('promises')
    assert.deepEqual(Object.fromEntries(arrival?.promised ?? []), { A: '1, 2', a: '1, 2', C: '4' })
  })
  it('takes the time that the case says', async () => {
    origin.open('time', [{ response_pause: 0.05 }])
    const begun = performance.now()
    await ask('time')
    assert.ok(performance.now() - begun >= 49)
  })
})

describe('with a cache between client and origin', () => {
  const reply = (fields: Record<string, string>, status = 200) => ({
    status,
    fields: new Map(Object.entries(fields)),
    interim: [],
  })
  const arrival = (number: number) => ({ number, method: 'GET', fields: {}, promised: new Map([['A', '1']]) })

  it('a reply made for an earlier request is from the cache', () => {
    assert.equal(judgeHead({ expected_type: 'cached' }, 2, reply({ 'server-request-count': '1' })), undefined)
  })
  it('a reply made for an earlier request is not from the origin', () => {
    assert.equal(judgeHead({ expected_type: 'not_cached' }, 2, reply({ 'server-request-count': '1' }))?.at, 'behaviour')
  })
  it('a 304 that does not say for which request it was made is from the cache', () => {
    assert.equal(judgeHead({ expected_type: 'cached', expected_status: 304 }, 2, reply({}, 304)), undefined)
  })
  it('a request that came to the origin twice makes the case meaningless', () => {
    assert.equal(judgeHead({}, 2, reply({ 'request-numbers': '1 2 2' }))?.at, 'retry')
    assert.equal(judgeHead({}, 2, reply({ 'request-numbers': '1, 1' }))?.at, 'retry', 'the field came twice')
  })
  it('a request answered from the cache is not looked for at the origin', () => {
    assert.equal(judgeArrivals([{ expected_type: 'cached' }, {}], [reply({}), reply({ a: '1' })], [arrival(2)]), undefined)
  })

  type At = Deviation['at'] | 'nothing'
  const sentAtZero = { 'server-now': '0', expires: 'Thu, 01 Jan 1970 00:01:00 GMT' }
  const heads: readonly [sentence: string, exchange: Exchange, reply: Reply, deviatesAt: At][] = [
    ['a status that nobody asked for breaks the preparation', {}, reply({}, 500), 'setup'],
    ['as does another than the origin sent', { response_status: [404, 'Gone'] }, reply({}), 'setup'],
    ['any status is right where the case says so', { expected_status: null }, reply({}, 500), 'nothing'],
    ['another value is seen', { expected_response_headers: [['A', '1']] }, reply({ a: '2' }), 'behaviour'],
    ['the value is seen', { expected_response_headers: [['A', '1']] }, reply({ a: '1' }), 'nothing'],
    ['another date is seen', { expected_response_headers: [['Expires', 61]] }, reply(sentAtZero), 'behaviour'],
    ['the date is seen', { expected_response_headers: [['Expires', 60]] }, reply(sentAtZero), 'nothing'],
    ['fields that differ are seen', { expected_response_headers: [['A', '=', 'B']] }, reply({ a: '1', b: '2' }), 'behaviour'],
    ['fields that are equal are seen', { expected_response_headers: [['A', '=', 'B']] }, reply({ a: '1', b: '1' }), 'nothing'],
  ]
  for (const [sentence, exchange, seen, deviatesAt] of heads) {
    it(sentence, () => assert.equal(judgeHead(exchange, 1, seen)?.at ?? 'nothing', deviatesAt))
  }

  const bodies: readonly [sentence: string, exchange: Exchange, status: number, body: string, deviatesAt: At][] = [
    ['a body that the origin did not send breaks the preparation', {}, 200, 'a', 'setup'],
    ['as does no body', {}, 200, '', 'setup'],
    ['as does another than the case has the origin send', { response_body: 'a' }, 200, 'id', 'setup'],
    ['a 304 needs no body', {}, 304, '', 'nothing'],
    ['nor does the answer to HEAD', { request_method: 'HEAD' }, 200, '', 'nothing'],
    ['another text than the expected is seen', { response_body: 'a', expected_response_text: 'b' }, 200, 'a', 'behaviour'],
    ['any text is right where the case says so', { expected_response_text: null }, 200, 'a', 'nothing'],
    ['or does not look at it', { check_body: false }, 200, 'a', 'nothing'],
  ]
  for (const [sentence, exchange, status, body, deviatesAt] of bodies) {
    it(sentence, () => assert.equal(judgeBody(exchange, 1, status, body, 'id')?.at ?? 'nothing', deviatesAt))
  }

  const came = (...names: readonly string[]): Arrival => ({
    number: 1,
    method: 'GET',
    fields: Object.fromEntries(names.map((name) => [name, 'x'])),
    promised: new Map(),
  })
  const arrivals: readonly [sentence: string, exchange: Exchange, arrival: Arrival | undefined, deviatesAt: At][] = [
    [
      'an entity tag that the origin is asked about is seen',
      { expected_type: 'etag_validated' },
      came('if-none-match'),
      'nothing',
    ],
    ['a date is none', { expected_type: 'etag_validated' }, came('if-modified-since'), 'behaviour'],
    ['a date that the origin is asked about is seen', { expected_type: 'lm_validated' }, came('if-modified-since'), 'nothing'],
    ['an entity tag is none', { expected_type: 'lm_validated' }, came('if-none-match'), 'behaviour'],
    ['a field that did not come is seen', { expected_request_headers: [['A', 'x']] }, came('b'), 'behaviour'],
    ['a field that came otherwise is seen', { expected_request_headers: [['A', 'y']] }, came('a'), 'behaviour'],
    ['a field cannot come without its request', { expected_request_headers: [['A', 'x']] }, undefined, 'behaviour'],
    ['nor can a method', { expected_method: 'GET', setup: true }, undefined, 'behaviour'],
    ['nor a reply from the origin', { expected_type: 'not_cached', setup: true }, undefined, 'behaviour'],
    ['a request of which nothing is expected need not come', {}, undefined, 'nothing'],
    ['a request in place of another is seen', { expected_type: 'not_cached' }, { ...came(), number: 2 }, 'behaviour'],
  ]
  for (const [sentence, exchange, arrival, deviatesAt] of arrivals) {
    it(sentence, () => {
      const found = judgeArrivals([exchange], [reply({})], arrival === undefined ? [] : [arrival])
      assert.equal(found?.at ?? 'nothing', deviatesAt)
    })
  }

  it('an interim response whose field has another value is reported beside the verdict', () => {
    const exchange: Exchange = { expected_interim_responses: [[103, [['link', '</a>']]]] }
    const seen: Reply = { ...reply({}), interim: [[103, [['link', '</b>']]]] }
    assert.equal(judgeHead(exchange, 1, seen), undefined)
    assert.equal(overlooked(exchange, 1, seen).length, 1)
  })
  it('a field that the origin promised and the client did not get breaks the preparation', () => {
    assert.equal(judgeArrivals([{}], [reply({ a: '2' })], [arrival(1)])?.at, 'setup')
  })
  it('a validation that never reached the origin is seen', () => {
    assert.equal(judgeArrivals([{ expected_type: 'etag_validated' }], [reply({})], [])?.at, 'behaviour')
  })
})

describe('the file of the cases', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simple-cdn-cases-'))
  })
  after(() => rm(folder, { recursive: true }))
  const load = async (...tests: readonly object[]) => {
    const path = join(folder, 'cases.json')
    await writeFile(path, JSON.stringify([{ id: 'ours', tests }]))
    return loadCases(path)
  }

  it('gives each case what it leaves out', async () => {
    assert.deepEqual(await load({ id: 'a', requests: [{}] }), [aCase([{}], { id: 'a' })])
  })
  it('has cases for browsers, which are left out whatever they say, and cases for proxies, which are not', async () => {
    const cases = await load(
      { id: 'browser', browser_only: true, requests: [{ cache: 'no-cache' }] },
      { id: 'proxy', cdn_only: true, browser_skip: true, requests: [] },
    )
    assert.deepEqual(
      cases.map(({ id }) => id),
      ['proxy'],
    )
  })

  it('has dates, and names the fields that have them in the obsolete format', () => {
    const dates = (exchange: Exchange) => [written(-1, 'Expires', 0, exchange), written('0', 'Expires', 0, exchange)]
    assert.deepEqual(dates({}), ['Wed, 31 Dec 1969 23:59:59 GMT', '0'])
    assert.deepEqual(dates({ rfc850date: ['expires'] }), ['Wednesday, 31-Dec-69 23:59:59 GMT', '0'])
    assert.deepEqual(dates({ rfc850date: ['date'] }), dates({}))
  })

  const unknown: readonly [what: string, test: object, named: RegExp][] = [
    ['member of a case', { requests: [], proxy_only: true }, /"proxy_only"/],
    ['member of an exchange', { requests: [{}, { expected_trailers: [] }] }, /"expected_trailers"/],
    ['kind', { requests: [], kind: 'vital' }, /"vital"/],
    ['source of a reply', { requests: [{ expected_type: 'collapsed' }] }, /"collapsed"/],
  ]
  for (const [what, test, named] of unknown) {
    it(`is refused with a ${what} that the runner does not know`, async () => {
      await assert.rejects(load({ id: 'a', ...test }), named)
    })
  }
})

describe('a verdict', () => {
  const ok: Outcome = { overlooked: [] }
  const off = (at: 'setup' | 'behaviour' | 'retry' | 'timeout'): Outcome => ({ deviation: { at, why: '' }, overlooked: [] })
  const table: readonly [
    sentence: string,
    kind: Kind,
    before: Outcome | undefined,
    outcome: Outcome | undefined,
    verdict: Verdict,
  ][] = [
    ['is "pass" for a required case that went right', 'required', ok, ok, 'pass'],
    ['is "fail" for a required case that went wrong', 'required', ok, off('behaviour'), 'fail'],
    ['is "not-optimal" for an optimal case that went wrong', 'optimal', ok, off('behaviour'), 'not-optimal'],
    ['is "yes" for a question answered so', 'check', ok, ok, 'yes'],
    ['is "no" for a question answered so', 'check', ok, off('behaviour'), 'no'],
    ['tells a broken preparation', 'required', ok, off('setup'), 'setup'],
    ['tells a retry', 'required', ok, off('retry'), 'retry'],
    ['tells a reply that never came', 'required', ok, off('timeout'), 'harness'],
    ['depends on the case before, even when all went right', 'required', off('behaviour'), ok, 'dependency'],
    ['depends on a case that was not played', 'required', undefined, ok, 'dependency'],
    ['is none for a case that was not played', 'required', off('behaviour'), undefined, 'untested'],
  ]
  for (const [sentence, kind, first, second, verdict] of table) {
    it(sentence, () => {
      const cases = [aCase([], { id: 'second', kind, dependsOn: ['first'] }), aCase([], { id: 'first', kind: 'check' })]
      const outcomes = new Map(Object.entries({ first, second }).flatMap(([id, outcome]) => (outcome ? [[id, outcome]] : [])))
      assert.equal(classify(cases, outcomes).get('second'), verdict)
    })
  }

  it('asked for one case brings those that it depends on', () => {
    const cases = ['a', 'b', 'c', 'd'].map((id) => aCase([], { id, dependsOn: { c: ['a'], d: ['c'] }[id] ?? [] }))
    assert.deepEqual(
      withDependencies(cases, ['d']).map(({ id }) => id),
      ['a', 'c', 'd'],
    )
  })
})

describe('the list of what may fail', () => {
  const listed = 'conditional-lm-fresh-no-lm'
  // What is said of one case; the others of the list are not among the cases, which is said of each.
  const saidOf = (id: string, kind: Kind, verdict: Verdict, outcome: Outcome = { overlooked: [] }) =>
    surprises(
      [aCase([], { id, kind })],
      { verdicts: new Map([[id, verdict]]), outcomes: new Map([[id, outcome]]), seconds: 0 },
      'strict-rfc',
    ).filter((sentence) => !sentence.endsWith('there is no such case'))

  const table: readonly [sentence: string, id: string, kind: Kind, verdict: Verdict, said: readonly RegExp[]][] = [
    ['is silent about a case that is passed', 'a', 'required', 'pass', []],
    ['tells of a case that fails and is not listed', 'a', 'required', 'fail', [/^a \(required\): fail/]],
    ['tells of a case that never showed what it is for', 'a', 'optimal', 'dependency', [/^a \(optimal\): dependency/]],
    ['is silent about a question, whatever the answer', 'a', 'check', 'no', []],
    ['is silent about a listed case that fails', listed, 'optimal', 'not-optimal', []],
    ['tells of a listed case that is passed', listed, 'optimal', 'pass', [/is passed, and expected.json says it is not/]],
  ]
  for (const [sentence, id, kind, verdict, said] of table) {
    it(sentence, () => {
      const found = saidOf(id, kind, verdict)
      assert.equal(found.length, said.length, found.join('; '))
      for (const [at, each] of said.entries()) assert.match(found[at] ?? '', each)
    })
  }

  it('tells of what a verdict does not cover', () => {
    assert.deepEqual(saidOf('a', 'check', 'yes', { overlooked: ['reply 1 has TE: b'] }), [
      'a: reply 1 has TE: b, which its verdict does not cover',
    ])
  })
  it('has no case that does not exist', () => {
    const said = surprises([], { verdicts: new Map(), outcomes: new Map(), seconds: 0 }, 'strict-rfc')
    assert.ok(said.includes(`${listed} is in expected.json, and there is no such case`), said.join('; '))
  })
})
