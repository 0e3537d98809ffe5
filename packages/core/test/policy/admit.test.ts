// admit() as a table: what a response says, what the request was, whether it is kept and for how long.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheKey } from '../../src/http/stored-response.ts'
import { admit } from '../../src/policy/admit.ts'
import { defaultPolicy, type Policy, rfcPolicy } from '../../src/policy/policy.ts'

const T0 = Date.UTC(2014, 5, 6)
const LONG_AGO = 'Thu, 05 Jun 2014 00:00:00 GMT'

interface Case {
  status?: number
  method?: string
  request?: string[]
  policy?: Partial<Policy>
}

/** [the response's fields, the case, "60s max-age" or why not] */
const RULES: readonly (readonly [string[], Case, string])[] = [
  [['Cache-Control', 'max-age=60'], {}, '60s max-age'],
  [['Cache-Control', 'max-age=60, s-maxage=10'], {}, '10s s-maxage'],
  [['Cache-Control', 'no-store'], {}, 'no-store'],
  [['Cache-Control', 'NO-STORE, max-age=60'], {}, 'no-store'],
  [['Cache-Control', 'Private, max-age=60'], {}, 'private'],
  [['Cache-Control', 'private="x", max-age=60'], {}, 'private'],
  [['Cache-Control', 'ext="a, max-age=3600"'], {}, 'no-lifetime'],
  [['Cache-Control', 'max-age=60', 'Vary', 'Accept, *'], {}, 'vary-star'],
  [['Cache-Control', 'max-age=60', 'Set-Cookie', 'a=b'], {}, 'set-cookie'],
  [['Cache-Control', 'public, max-age=60', 'Set-Cookie', 'a=b'], {}, '60s max-age'],
  [['Cache-Control', 'max-age=60', 'Set-Cookie', 'a=b'], { policy: rfcPolicy }, '60s max-age'],
  [['Cache-Control', 'max-age=60'], { request: ['Authorization', 'Basic eA=='] }, 'authorization'],
  [['Cache-Control', 'max-age=60, must-revalidate'], { request: ['Authorization', 'Basic eA=='] }, '60s max-age'],
  [['Cache-Control', 's-maxage=60'], { request: ['Authorization', 'Basic eA=='] }, '60s s-maxage'],
  [['Cache-Control', 'public, max-age=60'], { request: ['Authorization', 'Basic eA=='] }, '60s max-age'],
  [['Cache-Control', 'max-age=60'], { request: ['Cookie', 'a=b'] }, 'request-cookies'],
  [['Cache-Control', 'public, max-age=60'], { request: ['Cookie', 'a=b'] }, '60s max-age'],
  [['Cache-Control', 'max-age=60'], { request: ['Cookie', 'a=b'], policy: { defaultTtl: 5 } }, '60s max-age'],
  [[], {}, 'no-lifetime'],
  [['ETag', '"1"'], {}, '0s none'],
  [['Last-Modified', LONG_AGO], {}, '0s none'],
  [['ETag', '"1"'], { status: 302 }, 'no-lifetime'],
  [['ETag', '"1"', 'Cache-Control', 'public'], { status: 302 }, '0s none'],
  [['ETag', '"1"', 'Cache-Control', 'no-cache'], { status: 302 }, 'no-lifetime'],
  [['ETag', '"1"', 'Cache-Control', 'public'], { status: 503 }, 'no-lifetime'],
  [['Cache-Control', 'no-cache, max-age=60'], {}, 'no-lifetime'],
  [['Cache-Control', 'no-cache, max-age=60', 'ETag', '"1"'], {}, '60s max-age'],
  [['Cache-Control', 'max-age=0'], {}, '0s max-age'],
  [['Cache-Control', 'max-age=0'], { policy: { staleIfError: 0 } }, 'no-lifetime'],
  [['Cache-Control', 'max-age=0, must-revalidate'], {}, 'no-lifetime'],
  [['Cache-Control', 'max-age=0, stale-while-revalidate=60, stale-if-error=0'], {}, '0s max-age'],
  [['Last-Modified', LONG_AGO], { policy: rfcPolicy }, '8640s heuristic'],
  [[], { policy: { defaultTtl: 5 } }, '5s default'],
  [[], { policy: { defaultTtl: 5 }, status: 500 }, 'no-lifetime'],
  [['Cache-Control', 'max-age=60'], { policy: { defaultTtl: 5 } }, '60s max-age'],
  [['Cache-Control', 'max-age=60'], { policy: { overrideTtl: 5 } }, '5s override'],
  [['Cache-Control', 'no-store'], { policy: { overrideTtl: 5 } }, 'no-store'],
  [['Cache-Control', 'private'], { policy: { overrideTtl: 5 } }, 'private'],
  [['Cache-Control', 'no-store', 'CDN-Cache-Control', 'max-age=60'], {}, '60s cdn-cache-control: max-age'],
  [['Cache-Control', 'no-store', 'Surrogate-Control', 'max-age=60'], {}, '60s surrogate-control: max-age'],
  [['Cache-Control', 'max-age=60', 'CDN-Cache-Control', 'no-store'], {}, 'no-store'],
  [
    ['Cache-Control', 'max-age=60', 'CDN-Cache-Control', 'max-age=10', 'Surrogate-Control', 'max-age=5'],
    {},
    '10s cdn-cache-control: max-age',
  ],
  [['Cache-Control', 'max-age=60, no-store, must-understand'], {}, '60s max-age'],
  [['Cache-Control', 'max-age=60, no-store, must-understand'], { status: 599 }, 'no-store'],
  [['Cache-Control', 'max-age=60'], { status: 599 }, '60s max-age'],
  [['Cache-Control', 'max-age=60'], { status: 304 }, 'not-modified'],
  [['Cache-Control', 'max-age=60'], { status: 206 }, 'partial-mismatch'],
  [['Cache-Control', 'max-age=60', 'Content-Range', 'bytes 0-4/10'], { status: 206 }, 'partial-mismatch'],
  [
    ['Cache-Control', 'max-age=60', 'Content-Range', 'bytes 0-4/10'],
    { status: 206, request: ['Range', 'bytes=0-4'] },
    '60s max-age',
  ],
  [['Cache-Control', 'max-age=60'], { method: 'HEAD' }, 'head'],
  [['Cache-Control', 'max-age=60'], { method: 'POST' }, 'unsafe-method'],
  [['Cache-Control', 'max-age=60', 'Content-Location', '/page'], { method: 'POST' }, '60s max-age'],
  [['Cache-Control', 'max-age=60', 'Content-Location', '/other'], { method: 'POST' }, 'unsafe-method'],
  [['Content-Location', '/page', 'ETag', '"1"'], { method: 'POST' }, 'unsafe-method'],
  [['Cache-Control', 'max-age=60', 'Content-Length', '1001'], { policy: { maxBodyBytes: 1000 } }, 'too-large'],
]

describe('admit', () => {
  for (const [fields, { status = 200, method = 'GET', request = [], policy = {} }, expected] of RULES) {
    const about = [method !== 'GET' && method, request.join(': '), policy === rfcPolicy ? 'rfc' : JSON.stringify(policy)].filter(
      (part) => part && part !== '{}',
    )
    it(`${status} ${fields.join(' ')}${about.length ? ` (${about.join(', ')})` : ''}: ${expected}`, () => {
      const url = 'http://cdn.test/page'
      const response = { status, fields, requestedAt: T0, receivedAt: T0 }
      const admission = admit(
        url as CacheKey,
        { method, url, fields: request },
        response,
        { ...defaultPolicy, ...policy },
        () => 'id',
      )
      assert.equal(
        admission.store ? `${Math.round(admission.meta.freshness.lifetime)}s ${admission.meta.freshness.from}` : admission.reason,
        expected,
      )
    })
  }

  it('keeps what was meant for this cache, and does not deliver it', () => {
    const fields = [
      'Cache-Control',
      'no-store',
      'Surrogate-Control',
      'max-age=60',
      'Surrogate-Key',
      'a b',
      'Cache-Tag',
      'c,d',
      'Connection',
      'X-Hop',
      'X-Hop',
      '1',
      'Age',
      '5',
    ]
    const admission = admit(
      'k' as CacheKey,
      { method: 'GET', url: 'http://cdn.test/', fields: [] },
      { status: 200, fields, requestedAt: T0, receivedAt: T0 },
      defaultPolicy,
      () => 'id',
    )
    assert.ok(admission.store)
    assert.deepEqual(admission.meta.fields, ['Cache-Control', 'no-store', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'])
    assert.deepEqual(admission.meta.withheld, ['Surrogate-Control', 'max-age=60', 'Surrogate-Key', 'a b', 'Cache-Tag', 'c,d'])
    assert.deepEqual(admission.meta.surrogateKeys, ['a', 'b', 'c', 'd'])
    assert.equal(admission.meta.initialAge, 5)
  })
})
