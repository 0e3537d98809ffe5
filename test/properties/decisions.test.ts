// What never happens, whatever a response says and whoever asks.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Fields } from '../../packages/core/src/http/fields.ts'
import { type CacheKey, currentAge, type StoredMeta, selectingOf, selects } from '../../packages/core/src/http/stored-response.ts'
import { admit } from '../../packages/core/src/policy/admit.ts'
import { decide, decideAfterFailure } from '../../packages/core/src/policy/decide.ts'
import { defaultPolicy, type Policy, rfcPolicy } from '../../packages/core/src/policy/policy.ts'
import { holds } from './holds.ts'
import { fields, method, pieces, status } from './texts.ts'

const T0 = Date.UTC(2014, 5, 6)
const KEY = 'http://cdn.test/' as CacheKey

const seconds = fc.oneof(fc.constantFrom(0, 1, 60), fc.double({ min: 0, max: 2 ** 31, noNaN: true }))
const now = fc
  .oneof(fc.constantFrom(0, 1, 999, 1000, 59_999, 60_000, 61_000), fc.integer({ min: -1e9, max: 1e12 }))
  .map((ms) => T0 + ms)

const policy: fc.Arbitrary<Policy> = fc
  .record({
    base: fc.constantFrom(defaultPolicy, rfcPolicy),
    honorRequestDirectives: fc.boolean(),
    defaultTtl: fc.constantFrom(undefined, 5),
    overrideTtl: fc.constantFrom(undefined, undefined, 600),
    staleIfError: fc.constantFrom(0, 86_400),
    staleWhileRevalidate: fc.constantFrom(0, 30),
    bypassCookies: fc.constantFrom([], ['a']),
    cache: fc.constantFrom(true, true, true, false),
  })
  .map(({ base, ...own }) => ({ ...base, ...own }))

const stored: fc.Arbitrary<StoredMeta> = fc
  .record({
    initialAge: seconds,
    freshness: fc.record({
      lifetime: seconds,
      from: fc.constant('max-age'),
      staleWhileRevalidate: seconds,
      staleIfError: seconds,
      validateAlways: fc.boolean(),
      forbidsStale: fc.boolean(),
    }),
  })
  .map(({ initialAge, freshness }) => {
    const what = { v: 1, id: '', key: KEY, status: 200, fields: [], withheld: [], selecting: [], surrogateKeys: [] } as const
    return Object.assign({ ...what, length: 0 }, { requestedAt: T0, receivedAt: T0, initialAge, freshness })
  })

const DIRECTIVES = [
  'no-cache',
  'no-store',
  'only-if-cached',
  'max-age=5',
  'max-age=x',
  'min-fresh=5',
  'max-stale',
  'max-stale=5',
  'Max-Stale="5"',
]
const request = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST'),
  fields: fc.subarray(DIRECTIVES).map((some) => (some.length === 0 ? [] : ['Cache-Control', some.join(', ')])),
})

describe('the age of a stored response', () => {
  it('never becomes less, and is never less than on arrival', () => {
    holds(
      fc.property(stored, now, now, (meta, a, b) => {
        const [earlier, later] = [Math.min(a, b), Math.max(a, b)]
        assert.ok(meta.initialAge <= currentAge(meta, earlier))
        assert.ok(currentAge(meta, earlier) <= currentAge(meta, later))
      }),
    )
  })
})

describe('decide()', () => {
  const decided = fc.tuple(request, stored, policy, now)

  it('never serves what has to be validated first', () => {
    holds(
      fc.property(decided, ([asked, meta, wanted, at]) => {
        if (decide(asked, { stored: meta }, wanted, at).action === 'serve') assert.equal(meta.freshness.validateAlways, false)
      }),
    )
  })
  it('never serves stale what must not be', () => {
    holds(
      fc.property(decided, ([asked, meta, wanted, at]) => {
        const decision = decide(asked, { stored: meta }, wanted, at)
        if (decision.action === 'serve' && meta.freshness.forbidsStale) assert.ok(currentAge(meta, at) < meta.freshness.lifetime)
      }),
    )
  })
  it('serves stale within a window, or because the client wants it; and validates only what is in the window', () => {
    holds(
      fc.property(decided, ([asked, meta, wanted, at]) => {
        const decision = decide(asked, { stored: meta }, wanted, at)
        if (decision.action !== 'serve') return
        const staleFor = currentAge(meta, at) - meta.freshness.lifetime
        const accepts = wanted.honorRequestDirectives && /max-stale/i.test(asked.fields[1] ?? '')
        assert.ok(staleFor < 0 || staleFor < meta.freshness.staleWhileRevalidate || accepts)
        if (decision.revalidateAfter) assert.ok(staleFor >= 0 && staleFor < meta.freshness.staleWhileRevalidate)
      }),
    )
  })
  it('refuses only those who want nothing from the origin, and asks the origin for none of those', () => {
    holds(
      fc.property(decided, fc.constantFrom('uri-miss', 'vary-miss', undefined), ([asked, meta, wanted, at], miss) => {
        const { action } = decide(asked, miss === undefined ? { stored: meta } : { miss }, wanted, at)
        const unwilling = wanted.honorRequestDirectives && /only-if-cached/.test(asked.fields[1] ?? '')
        const reads = wanted.cache && asked.method !== 'POST'
        assert.equal(action === 'refuse', unwilling && reads && action !== 'serve')
      }),
    )
  })
  it('hears nothing of what clients want, unless it is told to', () => {
    holds(
      fc.property(decided, ([asked, meta, wanted, at]) => {
        const deaf = { ...wanted, honorRequestDirectives: false }
        const plain = { ...asked, fields: [] }
        assert.deepEqual(decide(asked, { stored: meta }, deaf, at), decide(plain, { stored: meta }, deaf, at))
      }),
    )
  })
  it('keeps a stored response from nobody sooner for being validated later', () => {
    // As time goes by, what was not served any more is not served again.
    holds(
      fc.property(stored, policy, now, now, (meta, wanted, a, b) => {
        const plain = { method: 'GET', fields: [] }
        const earlier = decide(plain, { stored: meta }, wanted, Math.min(a, b))
        const later = decide(plain, { stored: meta }, wanted, Math.max(a, b))
        if (later.action === 'serve') assert.equal(earlier.action, 'serve')
      }),
    )
  })
})

describe('decideAfterFailure()', () => {
  it('serves nothing that has to be validated, nothing stale that must not be, and nothing beyond the window', () => {
    holds(
      fc.property(stored, now, (meta, at) => {
        if (decideAfterFailure(meta, at) === undefined) return
        const { freshness } = meta
        const staleFor = currentAge(meta, at) - freshness.lifetime
        assert.equal(freshness.validateAlways, false)
        assert.ok(staleFor < 0 || (!freshness.forbidsStale && staleFor < freshness.staleIfError))
      }),
    )
  })
})

/** `No-Store`, `NO-STORE`, `nO-stOre` … */
const inAnyCase = (directive: string) =>
  fc
    .array(fc.boolean(), { minLength: directive.length, maxLength: directive.length })
    .map((upper) => [...directive].map((letter, at) => (upper[at] ? letter.toUpperCase() : letter)).join(''))
const forbidding = fc
  .tuple(
    fc.constantFrom('no-store', 'private').chain(inAnyCase),
    fc.constantFrom('', '', '', '=', '=x', '="x"', '="a, b"', ' =x', '= x', '="', '=0', '=?0', ' '),
  )
  .map((parts) => parts.join(''))
const other = fc.constantFrom(
  ...[
    'max-age=60',
    's-maxage=60',
    'public',
    'max-age="60"',
    'ext="a, b"',
    'ext="\\"", x',
    'a"b',
    '"',
    '""',
    '',
    ' ',
    '\t',
    'must-revalidate',
    '=',
    '\\',
  ],
)

describe('admit()', () => {
  const times = { requestedAt: T0, receivedAt: T0 }
  const ask = (asked: string, requestFields: Fields, code: number, response: Fields, wanted: Policy) =>
    admit(KEY, { method: asked, url: KEY, fields: requestFields }, { status: code, fields: response, ...times }, wanted, () => '')

  it('never stores what says no-store or private, however that is written', () => {
    const value = fc.tuple(fc.array(other, { maxLength: 3 }), forbidding, fc.array(other, { maxLength: 3 }))
    const line = fc.tuple(value, fc.constantFrom(', ', ',', ' ,\t'), fc.boolean())
    holds(
      fc.property(
        line,
        method,
        fields,
        status,
        policy,
        ([[before, directive, after], comma, twoLines], asked, requestFields, code, wanted) => {
          // One quote too many may close another; with both, there is no telling what was meant.
          const quotes = [...before, directive, ...after].filter((member) => (member.match(/(?<!\\)"/g) ?? []).length % 2 === 1)
          fc.pre(quotes.length <= 1)
          const response = twoLines
            ? ['Cache-Control', before.join(comma), 'ETag', '"1"', 'cache-control', [directive, ...after].join(comma)]
            : ['CACHE-CONTROL', [...before, directive, ...after].join(comma), 'ETag', '"1"']
          assert.equal(ask(asked, requestFields, code, response, wanted).store, false)
        },
      ),
    )
  })
  it('never stores what somebody with credentials got, unless it is said to be for all', () => {
    holds(
      fc.property(fields, status, fields, policy, (requestFields, code, response, wanted) => {
        const own = response.filter((_, at) => !/cache-control|surrogate-control/i.test(response[at - (at % 2)] ?? ''))
        const authorized = ['Authorization', 'Basic eA==', ...requestFields]
        assert.equal(ask('GET', authorized, code, ['Cache-Control', 'max-age=60', ...own], wanted).store, false)
      }),
    )
  })
  it('never stores anything under other fields than those it selects by', () => {
    holds(
      fc.property(fields, status, fields, policy, (requestFields, code, response, wanted) => {
        const admission = ask('GET', requestFields, code, ['Cache-Control', 'public, max-age=60', ...response], wanted)
        if (admission.store) assert.ok(selects(Object.assign({ length: 0 }, admission.meta), requestFields, wanted.normalise))
      }),
    )
  })
  it('never stores what concerns a connection, or is meant for this cache alone, where it would be delivered', () => {
    holds(
      fc.property(fields, status, fields, policy, (requestFields, code, response, wanted) => {
        const all = [
          ...response,
          'Connection',
          'X-Hop',
          'X-Hop',
          '1',
          'Surrogate-Key',
          'a',
          'Cache-Control',
          'public, max-age=60',
        ]
        const admission = ask('GET', requestFields, code, all, wanted)
        if (!admission.store) return
        const names = admission.meta.fields.filter((_, at) => at % 2 === 0).map((each) => each.toLowerCase())
        for (const gone of ['connection', 'x-hop', 'age', 'content-length', 'surrogate-control', 'surrogate-key', 'cache-tag'])
          assert.ok(!names.includes(gone), gone)
        assert.ok(names.includes('date'))
      }),
    )
  })
})

describe('what selects a response', () => {
  const weight = fc.constantFrom('', ';q=0', ';q=0.0', ';q=0.5', ';q=1', ' ; q=0.001')
  const coding = fc.constantFrom('gzip', 'GZIP', 'br', 'deflate', 'identity', '*')
  const codings = fc
    .array(
      fc.tuple(coding, weight).map((parts) => parts.join('')),
      { maxLength: 4 },
    )
    .map((all) => all.join(', '))

  /** RFC 9110 §12.5.3, as it says it; of a coding named twice, one that accepts it is enough. */
  function accepts(value: string, asked: string): boolean {
    const members = value.toLowerCase().split(', ').filter(Boolean)
    const weights = (of: string) =>
      members.filter((member) => member.replace(/\s*;.*/, '') === of).map((member) => Number(/q=(.*)/.exec(member)?.[1] ?? 1))
    const own = weights(asked)
    if (own.length > 0) return own.some((each) => each > 0)
    const any = weights('*')
    return any.length > 0 ? any.some((each) => each > 0) : asked === 'identity'
  }

  it('is the same only for clients who accept the same codings', () => {
    holds(
      fc.property(codings, codings, (one, two) => {
        const [[, a] = [], [, b] = []] = [one, two].flatMap((value) =>
          selectingOf(['accept-encoding'], ['Accept-Encoding', value], { languages: false }),
        )
        if (a !== b) return
        for (const each of ['gzip', 'br', 'deflate', 'identity', 'zstd'])
          assert.equal(accepts(one, each), accepts(two, each), `${each} of "${one}" and "${two}"`)
      }),
    )
  })
  it('is the same for a request, whatever stands around commas and in whichever order its other fields come', () => {
    holds(
      fc.property(
        fc.array(
          pieces.filter((piece) => !/[",]/.test(piece)),
          { maxLength: 4 },
        ),
        fields,
        fc.constantFrom(',', ' ,', ',\t '),
        (members, others, comma) => {
          const rest = others.filter((_, at) => !/^(?:x-lang|connection)$/i.test(others[at - (at % 2)] ?? ''))
          const plain = selectingOf(['x-lang'], ['X-Lang', members.join(', ')], { languages: false })
          assert.deepEqual(selectingOf(['x-lang'], [...rest, 'x-LANG', members.join(comma)], { languages: false }), plain)
        },
      ),
    )
  })
})
