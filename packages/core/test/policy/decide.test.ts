// decide() as a table: what a stored response says, how old it is, what the client asks, what becomes of it.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheKey } from '../../src/http/stored-response.ts'
import { admit } from '../../src/policy/admit.ts'
import { decide, decideAfterFailure } from '../../src/policy/decide.ts'
import { defaultPolicy, type Policy } from '../../src/policy/policy.ts'

const T0 = Date.UTC(2014, 5, 6)
const KEY = 'http://cdn.test/' as CacheKey
const HONORING: Policy = { ...defaultPolicy, honorRequestDirectives: true }

/** [the response's Cache-Control, its age in seconds, the request's Cache-Control, what is decided and why] */
const RULES: readonly (readonly [string, number, string, string])[] = [
  ['max-age=60', 0, '', 'serve fresh'],
  ['max-age=60', 59, '', 'serve fresh'],
  ['max-age=60', 60, '', 'revalidate stale'],
  ['max-age=60', 61, '', 'revalidate stale'],
  ['max-age=60, must-revalidate', 59, '', 'serve fresh'],
  ['max-age=60, must-revalidate', 61, '', 'revalidate stale'],
  ['max-age=60, no-cache', 0, '', 'revalidate response-no-cache'],
  ['no-cache', 0, '', 'revalidate response-no-cache'],
  ['max-age=60, s-maxage=10', 11, '', 'revalidate stale'],
  ['max-age=10, s-maxage=60', 11, '', 'serve fresh'],
  ['max-age=60, stale-while-revalidate=30', 61, '', 'serve stale-while-revalidate'],
  ['max-age=60, stale-while-revalidate=30', 89, '', 'serve stale-while-revalidate'],
  ['max-age=60, stale-while-revalidate=30', 90, '', 'revalidate stale'],
  ['max-age=60, stale-while-revalidate=30, must-revalidate', 61, '', 'revalidate stale'],
  ['max-age=60, stale-while-revalidate=30, proxy-revalidate', 61, '', 'revalidate stale'],
  ['s-maxage=60, stale-while-revalidate=30', 61, '', 'serve stale-while-revalidate'],
  ['max-age=60, stale-while-revalidate=30, no-cache', 61, '', 'revalidate response-no-cache'],
  ['max-age=60', 10, 'no-cache', 'revalidate request-no-cache'],
  ['max-age=60', 10, 'max-age=5', 'revalidate request-max-age'],
  ['max-age=60', 10, 'max-age=10', 'serve fresh'],
  ['max-age=60', 10, 'min-fresh=50', 'serve fresh'],
  ['max-age=60', 10, 'min-fresh=51', 'revalidate request-min-fresh'],
  ['max-age=60', 70, 'max-stale', 'serve client-max-stale'],
  ['max-age=60', 70, 'max-stale=10', 'serve client-max-stale'],
  ['max-age=60', 71, 'max-stale=10', 'revalidate stale'],
  ['max-age=60, must-revalidate', 70, 'max-stale', 'revalidate stale'],
  ['max-age=60', 70, 'only-if-cached', 'refuse only-if-cached'],
  ['max-age=60', 10, 'only-if-cached', 'serve fresh'],
  ['max-age=60', 10, 'no-store', 'serve fresh'],
  ['max-age=60', 70, 'no-store', 'fetch stale'],
  ['max-age=60', 10, 'no-store, no-cache', 'fetch request-no-cache'],
  ['max-age=60', 70, 'no-store, only-if-cached', 'refuse only-if-cached'],
]

function stored(cacheControl: string) {
  const response = { status: 200, fields: ['Cache-Control', cacheControl, 'ETag', '"1"'], requestedAt: T0, receivedAt: T0 }
  const admission = admit(KEY, { method: 'GET', url: KEY, fields: [] }, response, defaultPolicy, () => 'id')
  assert.ok(admission.store, `${cacheControl} is stored`)
  return admission.meta
}

describe('decide', () => {
  for (const [response, age, request, expected] of RULES) {
    it(`${response} at ${age} s${request && `, asked with ${request}`}: ${expected}`, () => {
      const fields = request === '' ? [] : ['Cache-Control', request]
      const { action, reason } = decide({ method: 'GET', fields }, { stored: stored(response) }, HONORING, T0 + age * 1000)
      assert.equal(`${action} ${reason}`, expected)
    })
  }

  it("does not obey a client's Cache-Control unless told to", () => {
    const decision = decide(
      { method: 'GET', fields: ['Cache-Control', 'no-cache'] },
      { stored: stored('max-age=60') },
      defaultPolicy,
      T0,
    )
    assert.equal(decision.reason, 'fresh')
  })

  const BEFORE: readonly (readonly [string, Partial<Policy>, { method?: string; fields?: string[]; body?: unknown }, string])[] =
    [
      ['a route that does not cache', { cache: false }, {}, 'route-bypasses bypass, not stored'],
      ['a POST', {}, { method: 'POST' }, 'method method, may be stored'],
      [
        'a POST whose answer is not to be stored',
        { honorRequestDirectives: true },
        { method: 'POST', fields: ['Cache-Control', 'no-store'] },
        'method method, not stored',
      ],
      ['a PURGE nobody knows', {}, { method: 'PURGE' }, 'method method, not stored'],
      ['a GET with a body', {}, { body: 'x' }, 'request-body bypass, not stored'],
      ['a login cookie', { bypassCookies: ['session'] }, { fields: ['Cookie', 'a=b; session=1'] }, 'cookie bypass, not stored'],
      [
        'another cookie',
        { bypassCookies: ['session'] },
        { fields: ['Cookie', 'obsession=1'] },
        'uri-miss uri-miss, may be stored',
      ],
      [
        'no-store asked for',
        { honorRequestDirectives: true },
        { fields: ['Cache-Control', 'no-store'] },
        'uri-miss uri-miss, not stored',
      ],
    ]
  for (const [what, policy, request, expected] of BEFORE) {
    it(`${what}: ${expected}`, () => {
      const decision = decide(
        { method: 'GET', fields: [], ...request },
        { miss: 'uri-miss' },
        { ...defaultPolicy, ...policy },
        T0,
      )
      assert.equal(decision.action, 'fetch')
      assert.equal(`${decision.reason} ${decision.fwd}, ${decision.mayStore ? 'may be stored' : 'not stored'}`, expected)
    })
  }
})

describe('decideAfterFailure', () => {
  const RULES: readonly (readonly [string, number, boolean])[] = [
    ['max-age=60, stale-if-error=30', 89, true],
    ['max-age=60, stale-if-error=30', 90, false],
    ['max-age=60, stale-if-error=0', 61, false],
    ['max-age=60, must-revalidate, stale-if-error=30', 61, false],
    ['max-age=60, proxy-revalidate, stale-if-error=30', 61, false],
    ['max-age=60, no-cache, stale-if-error=30', 61, false],
    ['s-maxage=60', 61, false],
    ['s-maxage=60', 60, false],
    ['s-maxage=60', 59, true],
    ['max-age=60, must-revalidate', 59, true],
    ['max-age=60, no-cache', 59, false],
    ['s-maxage=60, stale-if-error=30', 61, true],
    ['max-age=60', 60 + 86_399, true],
    ['max-age=60', 60 + 86_400, false],
  ]
  for (const [cacheControl, age, serves] of RULES) {
    it(`${cacheControl} at ${age} s: ${serves ? 'serves it' : 'does not serve it'}`, () => {
      assert.equal(decideAfterFailure(stored(cacheControl), T0 + age * 1000)?.reason, serves ? 'stale-if-error' : undefined)
    })
  }
})
