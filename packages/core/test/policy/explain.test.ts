// A decision in sentences: what it holds, and nothing that it does not.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Decision } from '../../src/policy/decide.ts'
import { explainAbsence, explainDecision } from '../../src/policy/explain.ts'
import { REASONS } from '../../src/policy/reasons.ts'
import { storedMeta } from '../stored-meta.ts'

/** [what is decided, the sentences] */
const DECISIONS: readonly (readonly [Decision, readonly string[]])[] = [
  [
    { action: 'serve', reason: 'fresh', stored: storedMeta({ initialAge: 5 }), age: 15.7, revalidateAfter: false },
    [
      'serve: the stored response is fresh',
      'lifetime 60s, from max-age',
      'age 15s = 5s on arrival + 10s here',
      'fresh for another 44s',
      'stale-while-revalidate 0s, stale-if-error 0s',
    ],
  ],
  [
    {
      action: 'revalidate',
      reason: 'stale',
      fwd: 'stale',
      age: 137,
      stored: storedMeta({
        initialAge: 5,
        freshness: { from: 's-maxage', staleWhileRevalidate: 30, staleIfError: 3600 },
        selecting: [
          ['accept-encoding', 'gzip'],
          ['cookie:theme', null],
        ],
      }),
    },
    [
      'revalidate: the stored response is stale',
      'lifetime 60s, from s-maxage',
      'age 137s = 5s on arrival + 132s here',
      'stale for 77s',
      'stale-while-revalidate 30s, stale-if-error 3600s',
      'selected by accept-encoding: gzip; cookie:theme: (absent)',
    ],
  ],
  [
    {
      action: 'revalidate',
      reason: 'response-no-cache',
      fwd: 'stale',
      age: 60,
      stored: storedMeta({ freshness: { lifetime: 0, from: 'none', validateAlways: true, forbidsStale: true, staleIfError: 5 } }),
    },
    [
      'revalidate: the origin wants the stored response validated before every reuse',
      'lifetime 0s, from nothing: the response names none',
      'age 60s = 0s on arrival + 60s here',
      'stale for 60s',
      'never served stale: the origin forbids it',
      'validated before every reuse',
    ],
  ],
  [
    { action: 'fetch', reason: 'uri-miss', fwd: 'uri-miss', mayStore: true },
    ['fetch: nothing is stored under this key', 'the response may be stored'],
  ],
  [
    { action: 'fetch', reason: 'route-bypasses', fwd: 'bypass', mayStore: false },
    ['fetch: the route does not cache', 'the response will not be stored'],
  ],
  [
    { action: 'refuse', reason: 'only-if-cached', status: 504 },
    ['refuse: the client wants no answer from the origin, and none is stored', 'answered with 504'],
  ],
]

describe('explainDecision', () => {
  for (const [decision, lines] of DECISIONS) {
    it(`${decision.action} ${decision.reason}`, () => assert.deepEqual(explainDecision(decision), lines))
  }
})

describe('explainAbsence', () => {
  it('says what is remembered, and when', () => {
    assert.deepEqual(explainAbsence({ reason: 'evicted', secondsAgo: 12.9 }), ['12s ago: it was evicted to make room'])
    assert.deepEqual(explainAbsence(undefined), ['no response for it is remembered'])
  })
})

describe('every reason', () => {
  it('has a sentence that begins in the middle of one and does not end', () => {
    for (const sentence of Object.values(REASONS)) assert.match(sentence, /^(?!A )[a-zGH].*[^.]$/)
  })
  it('is a token, as Cache-Status needs it (RFC 9211 §2.8)', () => {
    for (const reason of Object.keys(REASONS)) assert.match(reason, /^[a-z]+(-[a-z]+)*$/)
  })
})
