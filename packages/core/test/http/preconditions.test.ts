// The client's conditions against a response that is about to be sent (RFC 9110 §13).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluatePreconditions } from '../../src/http/preconditions.ts'

const NOW = Date.UTC(2014, 5, 6)
const BEFORE = 'Wed, 04 Jun 2014 00:00:00 GMT'
const THEN = 'Thu, 05 Jun 2014 00:00:00 GMT'
const AFTER = 'Fri, 06 Jun 2014 00:00:00 GMT'

const STRONG = ['ETag', '"1"']
const WEAK = ['ETag', 'W/"1"']
const DATED = ['Last-Modified', THEN]
const BOTH = [...STRONG, ...DATED]

/** [the rule, the response's fields, the request's, what becomes of it] */
const RULES: readonly (readonly [string, string[], string[], 'pass' | 'not-modified' | 'failed'])[] = [
  ['no condition', BOTH, [], 'pass'],

  ['If-Match: the same (§13.1.1)', STRONG, ['If-Match', '"1"'], 'pass'],
  ['If-Match: another', STRONG, ['If-Match', '"2"'], 'failed'],
  ['If-Match: one of a list', STRONG, ['If-Match', '"0", "1"'], 'pass'],
  ['If-Match: one of several lines', STRONG, ['If-Match', '"0"', 'If-Match', '"1"'], 'pass'],
  ['If-Match: none of a list', STRONG, ['If-Match', '"0","2"'], 'failed'],
  ['If-Match: * matches any representation', STRONG, ['If-Match', '*'], 'pass'],
  ['If-Match: * matches one without tag', [], ['If-Match', '*'], 'pass'],
  ['If-Match: nothing matches a response without tag', [], ['If-Match', '"1"'], 'failed'],
  ['If-Match compares strongly: a weak tag in the list', STRONG, ['If-Match', 'W/"1"'], 'failed'],
  ['If-Match compares strongly: a weak tag in the response', WEAK, ['If-Match', '"1"'], 'failed'],
  ['If-Match compares strongly: two weak ones', WEAK, ['If-Match', 'W/"1"'], 'failed'],
  ['If-Match: nothing that is a tag', STRONG, ['If-Match', '1'], 'failed'],

  ['If-Unmodified-Since: not since then (§13.1.4)', DATED, ['If-Unmodified-Since', THEN], 'pass'],
  ['If-Unmodified-Since: changed since', DATED, ['If-Unmodified-Since', BEFORE], 'failed'],
  ['If-Unmodified-Since: an invalid date is ignored', DATED, ['If-Unmodified-Since', 'yesterday'], 'pass'],
  ['If-Unmodified-Since: two dates are ignored', DATED, ['If-Unmodified-Since', BEFORE, 'If-Unmodified-Since', BEFORE], 'pass'],
  ['If-Unmodified-Since: ignored without Last-Modified', ['Date', AFTER], ['If-Unmodified-Since', BEFORE], 'pass'],

  ['If-None-Match: the same (§13.1.2)', STRONG, ['If-None-Match', '"1"'], 'not-modified'],
  ['If-None-Match: another', STRONG, ['If-None-Match', '"2"'], 'pass'],
  ['If-None-Match: one of a list', STRONG, ['If-None-Match', '"0" , W/"1"'], 'not-modified'],
  ['If-None-Match: the last of a list', STRONG, ['If-None-Match', '"0", "2", "1"'], 'not-modified'],
  ['If-None-Match: empty members', STRONG, ['If-None-Match', ', "1",'], 'not-modified'],
  ['If-None-Match: *', [], ['If-None-Match', '*'], 'not-modified'],
  ['If-None-Match compares weakly: a weak tag in the list', STRONG, ['If-None-Match', 'W/"1"'], 'not-modified'],
  ['If-None-Match compares weakly: a weak tag in the response', WEAK, ['If-None-Match', '"1"'], 'not-modified'],
  ['If-None-Match: a comma in a tag', ['ETag', '"a,b"'], ['If-None-Match', '"a,b"'], 'not-modified'],
  ['If-None-Match: a part of such a tag', ['ETag', '"b"'], ['If-None-Match', '"a,b"'], 'pass'],
  ['If-None-Match: a backslash in a tag escapes nothing', ['ETag', '"b"'], ['If-None-Match', '"a\\", "b"'], 'not-modified'],
  ['If-None-Match: bytes above ASCII', ['ETag', '"caf\u00e9"'], ['If-None-Match', '"caf\u00e9"'], 'not-modified'],
  ['If-None-Match: no quotes', STRONG, ['If-None-Match', '1'], 'pass'],
  ['If-None-Match: nothing matches a response without tag', DATED, ['If-None-Match', '"1"'], 'pass'],
  ['If-None-Match: nor one with an invalid tag', ['ETag', '1'], ['If-None-Match', '"1"'], 'pass'],

  ['If-Modified-Since: not since then (§13.1.3)', DATED, ['If-Modified-Since', THEN], 'not-modified'],
  ['If-Modified-Since: not since later', DATED, ['If-Modified-Since', AFTER], 'not-modified'],
  ['If-Modified-Since: changed since', DATED, ['If-Modified-Since', BEFORE], 'pass'],
  ['If-Modified-Since: in RFC 850', DATED, ['If-Modified-Since', 'Thursday, 05-Jun-14 00:00:00 GMT'], 'not-modified'],
  ['If-Modified-Since: an invalid date is ignored', DATED, ['If-Modified-Since', '0'], 'pass'],
  ['If-Modified-Since: two dates are ignored', DATED, ['If-Modified-Since', THEN, 'If-Modified-Since', THEN], 'pass'],
  [
    'If-Modified-Since: by Date without Last-Modified (RFC 9111 §4.3.2)',
    ['Date', THEN],
    ['If-Modified-Since', THEN],
    'not-modified',
  ],
  ['If-Modified-Since: before that Date', ['Date', THEN], ['If-Modified-Since', BEFORE], 'pass'],
  ['If-Modified-Since: without any date', [], ['If-Modified-Since', AFTER], 'pass'],

  // The order (§13.2.2).
  ['1. If-Match outweighs If-Unmodified-Since: holds', BOTH, ['If-Match', '"1"', 'If-Unmodified-Since', BEFORE], 'pass'],
  ['1. If-Match outweighs If-Unmodified-Since: fails', BOTH, ['If-Match', '"2"', 'If-Unmodified-Since', THEN], 'failed'],
  ['1. If-Match comes before If-None-Match', BOTH, ['If-None-Match', '"1"', 'If-Match', '"2"'], 'failed'],
  ['2. If-Unmodified-Since comes before If-None-Match', BOTH, ['If-None-Match', '"1"', 'If-Unmodified-Since', BEFORE], 'failed'],
  ['3. after If-Match holds, If-None-Match is asked', BOTH, ['If-Match', '"1"', 'If-None-Match', '"1"'], 'not-modified'],
  [
    '3. If-None-Match outweighs If-Modified-Since: the same tag',
    BOTH,
    ['If-None-Match', '"1"', 'If-Modified-Since', BEFORE],
    'not-modified',
  ],
  [
    '3. If-None-Match outweighs If-Modified-Since: another tag',
    BOTH,
    ['If-None-Match', '"2"', 'If-Modified-Since', AFTER],
    'pass',
  ],
  ['4. after If-Match holds, If-Modified-Since is asked', BOTH, ['If-Match', '"1"', 'If-Modified-Since', THEN], 'not-modified'],
]

describe('evaluatePreconditions', () => {
  for (const [rule, fields, request, expected] of RULES) {
    it(`${rule}: ${expected}`, () => {
      for (const method of ['GET', 'HEAD'])
        assert.equal(evaluatePreconditions(method, request, { status: 200, fields }, NOW), expected, method)
    })
  }

  it('asks nothing of a response that is no 200 (§13.2.1)', () => {
    for (const status of [204, 206, 301, 404, 500])
      assert.equal(
        evaluatePreconditions('GET', ['If-None-Match', '"1"', 'If-Match', '"2"'], { status, fields: STRONG }, NOW),
        'pass',
      )
  })

  it('reads field names in any case', () => {
    assert.equal(
      evaluatePreconditions('GET', ['IF-none-MATCH', '"1"'], { status: 200, fields: ['etag', '"1"'] }, NOW),
      'not-modified',
    )
  })

  it('leaves the conditions of other methods to the origin, which has the answer already (RFC 9111 §4.3.2)', () => {
    for (const request of [
      ['If-Match', '"0"'],
      ['If-None-Match', '*'],
      ['If-Unmodified-Since', BEFORE],
      ['If-Modified-Since', AFTER],
    ])
      assert.equal(evaluatePreconditions('POST', request, { status: 200, fields: BOTH }, NOW), 'pass', request.join(': '))
  })

  it('takes a tag whose weakness is spelled wrong for no tag', () => {
    assert.equal(evaluatePreconditions('GET', ['If-Match', 'w/"1"'], { status: 200, fields: STRONG }, NOW), 'failed')
  })
})
