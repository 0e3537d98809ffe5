// How long a response is fresh, and how old it is on arrival (RFC 9111 §4.2).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decidingDirectives } from '../../src/http/cache-control.ts'
import { explicitLifetime, heuristicLifetime, initialAge, type Lifetime } from '../../src/http/freshness.ts'
import { formatHttpDate } from '../../src/http/time.ts'

const NOW = Date.UTC(2014, 5, 6)
const at = (seconds: number): string => formatHttpDate(NOW + seconds * 1000)
const shown = (lifetime: Lifetime | undefined): string =>
  lifetime === undefined ? 'none' : `${lifetime.seconds}s ${lifetime.from}`

/** [the rule, fields, the lifetime] */
const EXPLICIT: readonly (readonly [string, string[], string])[] = [
  ['nothing said', [], 'none'],
  ['max-age (RFC 9111 §5.2.2.1)', ['Cache-Control', 'max-age=60'], '60s max-age'],
  ['s-maxage outweighs max-age (§5.2.2.10)', ['Cache-Control', 'max-age=60, s-maxage=10'], '10s s-maxage'],
  ['max-age outweighs Expires (§5.3)', ['Cache-Control', 'max-age=60', 'Expires', at(5)], '60s max-age'],
  ['so it does when invalid (§4.2.1)', ['Cache-Control', 'max-age=x', 'Expires', at(5)], '0s max-age'],
  ['an invalid s-maxage is stale (§4.2.1)', ['Cache-Control', 'max-age=60, s-maxage=x'], '0s s-maxage'],
  ['Expires (§5.3)', ['Expires', at(60)], '60s expires'],
  ['Expires counts from Date (§4.2.1)', ['Expires', at(60), 'Date', at(10)], '50s expires'],
  ['also from one in the future', ['Expires', at(60), 'Date', at(3600)], '0s expires'],
  ['also from one in the past', ['Expires', at(60), 'Date', at(-3600)], '3660s expires'],
  ['an invalid Date is none', ['Expires', at(60), 'Date', 'today'], '60s expires'],
  ['two Dates are none', ['Expires', at(60), 'Date', at(10), 'Date', at(20)], '60s expires'],
  ['Expires before Date', ['Expires', at(-60)], '0s expires'],
  ['Expires: 0 has expired (§5.3)', ['Expires', '0'], '0s expires'],
  ['Expires: -1', ['Expires', '-1'], '0s expires'],
  ['an empty Expires', ['Expires', ''], '0s expires'],
  ['what is no HTTP-date has expired (§5.3)', ['Expires', new Date(NOW + 60_000).toISOString()], '0s expires'],
  ['two lines of Expires are none', ['Expires', at(60), 'Expires', at(60)], '0s expires'],
  ['Expires in the RFC 850 format', ['Expires', 'Friday, 06-Jun-14 00:01:00 GMT'], '60s expires'],
  ['a targeted max-age says where it is from', ['CDN-Cache-Control', 'max-age=60'], '60s cdn-cache-control: max-age'],
  ['who obeys a targeted field ignores Expires (RFC 9213 §2.2)', ['CDN-Cache-Control', 'public', 'Expires', at(60)], 'none'],
  ['and Cache-Control', ['CDN-Cache-Control', 'public', 'Cache-Control', 'max-age=60'], 'none'],
]

describe('explicitLifetime', () => {
  for (const [rule, fields, expected] of EXPLICIT) {
    it(`${rule}: ${expected}`, () => {
      assert.equal(shown(explicitLifetime(fields, decidingDirectives(fields, ['cdn-cache-control']), NOW)), expected)
    })
  }
})

/** [the rule, status, fields, the lifetime] */
const HEURISTIC: readonly (readonly [string, number, readonly string[], string])[] = [
  ['a tenth of the time since the last change (RFC 9111 §4.2.2)', 200, ['Last-Modified', at(-600)], '60s heuristic'],
  ['counted from Date', 200, ['Last-Modified', at(-600), 'Date', at(-100)], '50s heuristic'],
  ['a day at most', 200, ['Last-Modified', at(-100 * 86_400)], '86400s heuristic'],
  ['changed this second', 200, ['Last-Modified', at(0)], '0s heuristic'],
  ['changed in the future', 200, ['Last-Modified', at(1)], 'none'],
  ['no Last-Modified', 200, [], 'none'],
  ['an invalid one', 200, ['Last-Modified', 'yesterday'], 'none'],
  ['two lines of it', 200, ['Last-Modified', at(-600), 'Last-Modified', at(-600)], 'none'],
  ['a status that is not heuristically cacheable (RFC 9110 §15.1)', 302, ['Last-Modified', at(-600)], 'none'],
  ['unless it says public (RFC 9111 §4.2.2)', 302, ['Last-Modified', at(-600), 'Cache-Control', 'public'], '60s heuristic'],
  ...[200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].map(
    (status) => [`${status} is (RFC 9110 §15.1)`, status, ['Last-Modified', at(-600)], '60s heuristic'] as const,
  ),
  ...[201, 202, 302, 303, 307, 400, 403, 421, 500, 502, 503, 504, 599].map(
    (status) => [`${status} is not (RFC 9110 §15.1)`, status, ['Last-Modified', at(-600)], 'none'] as const,
  ),
]

describe('heuristicLifetime', () => {
  for (const [rule, status, fields, expected] of HEURISTIC) {
    it(`${rule}: ${expected}`, () => {
      assert.equal(shown(heuristicLifetime(status, fields, decidingDirectives(fields, []), NOW)), expected)
    })
  }
})

/** [the rule, fields, how long the response took in ms, the age in seconds] */
const AGES: readonly (readonly [string, string[], number, number])[] = [
  ['nothing said', [], 0, 0],
  ['Age (RFC 9111 §5.1)', ['Age', '10'], 0, 10],
  ['the time it took counts (§4.2.3)', ['Age', '10'], 2500, 12.5],
  ['also without Age', [], 2500, 2.5],
  ['by Date', ['Date', at(-10)], 0, 10],
  ['the larger of both', ['Age', '5', 'Date', at(-10)], 0, 10],
  ['the larger of both', ['Age', '15', 'Date', at(-10)], 0, 15],
  ['a Date in the future makes nothing younger (§4.2.3)', ['Date', at(3600)], 0, 0],
  ['nor takes it from Age', ['Age', '5', 'Date', at(3600)], 0, 5],
  ['an invalid Date is none', ['Date', 'now', 'Age', '5'], 0, 5],
  ['two Dates are none', ['Date', at(-10), 'Date', at(-20)], 0, 0],
  // What is no number is ignored (§5.1).
  ['negative', ['Age', '-10'], 0, 0],
  ['a fraction', ['Age', '7200.0'], 0, 0],
  ['letters', ['Age', 'abc'], 0, 0],
  ['letters behind', ['Age', '7200a'], 0, 0],
  ['in quotes', ['Age', '"7200"'], 0, 0],
  ['with a parameter', ['Age', '7200;x=1'], 0, 0],
  ['empty', ['Age', ''], 0, 0],
  ['huge (§1.2.2)', ['Age', '2147483649'], 0, 2 ** 31],
  ['beyond any number', ['Age', '9'.repeat(400)], 0, 2 ** 31],
  // Of several the first counts (§5.1).
  ['a list', ['Age', '10, 20'], 0, 10],
  ['a list that begins badly', ['Age', 'x, 20'], 0, 0],
  ['a list that ends badly', ['Age', '10, x'], 0, 10],
  ['two lines', ['Age', '10', 'Age', '20'], 0, 10],
  ['two lines, the first one bad', ['Age', 'x', 'Age', '20'], 0, 0],
]

describe('initialAge', () => {
  for (const [rule, fields, took, expected] of AGES) {
    it(`${rule}: ${fields.join(' ').slice(0, 60)} is ${expected} s`, () =>
      assert.equal(initialAge(fields, NOW - took, NOW), expected))
  }

  it('takes a part of a second for nothing where Date is concerned, for Date has none', () => {
    assert.equal(initialAge(['Date', at(0)], NOW + 999, NOW + 999), 0)
    assert.equal(initialAge(['Date', at(0)], NOW + 1000, NOW + 1000), 1)
  })

  it('does not become negative when the clock was set back during the request', () => {
    assert.equal(initialAge([], NOW + 5000, NOW), 0)
  })
})
