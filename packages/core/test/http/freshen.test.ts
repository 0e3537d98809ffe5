// What a 304 changes in a stored response, and in which (RFC 9111 §3.2, §4.3.4).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { identifies, mergedFields } from '../../src/http/freshen.ts'
import { storedMeta } from '../stored-meta.ts'

/** [the rule, the stored fields, those of the 304, the result] */
const MERGES: readonly (readonly [string, string[], string[], string[]])[] = [
  ['what the 304 does not mention stays', ['A', '1', 'B', '2'], ['C', '3'], ['A', '1', 'B', '2', 'C', '3']],
  ['what it mentions is replaced (§3.2)', ['A', '1', 'B', '2'], ['a', '3'], ['B', '2', 'a', '3']],
  ['all lines by all lines', ['A', '1', 'A', '2'], ['A', '3', 'A', '4'], ['A', '3', 'A', '4']],
  [
    'validators and freshness are replaced',
    ['ETag', '"1"', 'Cache-Control', 'x'],
    ['ETag', 'W/"1"', 'Cache-Control', 'y'],
    ['ETag', 'W/"1"', 'Cache-Control', 'y'],
  ],
  [
    'the length of a 304 is not that of the content (§3.2)',
    ['Content-Length', '5'],
    ['Content-Length', '0'],
    ['Content-Length', '5'],
  ],
  ['the coding stays, for the bytes do', ['Content-Encoding', 'gzip'], ['Content-Encoding', 'br'], ['Content-Encoding', 'gzip']],
  [
    'the range stays, for the bytes do',
    ['Content-Range', 'bytes 0-1/2'],
    ['Content-Range', 'bytes 1-1/2'],
    ['Content-Range', 'bytes 0-1/2'],
  ],
  ['a coding that was not there does not come', ['A', '1'], ['Content-Encoding', 'br'], ['A', '1']],
  ['the type may change', ['Content-Type', 'a/a'], ['Content-Type', 'b/b'], ['Content-Type', 'b/b']],
  ['Date and Age are of the message (RFC 9110 §6.6.1)', ['Date', 'then', 'Age', '5'], ['Date', 'now'], ['Date', 'now']],
  ['also when the 304 has none', ['Date', 'then', 'Age', '5', 'A', '1'], [], ['A', '1']],
  ['what was for the connection is not stored (§3.1)', ['A', '1'], ['Connection', 'X', 'X', '1', 'Keep-Alive', 'x'], ['A', '1']],
]

describe('mergedFields', () => {
  for (const [rule, stored, update, expected] of MERGES) {
    it(rule, () => assert.deepEqual(mergedFields(stored, update), expected))
  }
})

const THEN = 'Thu, 05 Jun 2014 00:00:00 GMT'
const NOW = 'Fri, 06 Jun 2014 00:00:00 GMT'

/** [the rule, the 304's fields, the stored ones, whether it is about that] (§4.3.4) */
const ABOUT: readonly (readonly [string, string[], string[], boolean])[] = [
  ['the same strong tag', ['ETag', '"1"'], ['ETag', '"1"'], true],
  ['another tag', ['ETag', '"2"'], ['ETag', '"1"'], false],
  [
    'another tag, though the date is the same',
    ['ETag', '"2"', 'Last-Modified', THEN],
    ['ETag', '"1"', 'Last-Modified', THEN],
    false,
  ],
  [
    'the same tag, though the date is another',
    ['ETag', '"1"', 'Last-Modified', NOW],
    ['ETag', '"1"', 'Last-Modified', THEN],
    true,
  ],
  ['a strong tag does not name what has a weak one', ['ETag', '"1"'], ['ETag', 'W/"1"'], false],
  ['a weak tag names what has the same', ['ETag', 'W/"1"'], ['ETag', 'W/"1"'], true],
  ['a weak tag names what has a strong one', ['ETag', 'W/"1"'], ['ETag', '"1"'], true],
  ['the same date', ['Last-Modified', THEN], ['Last-Modified', THEN], true],
  ['the same date in another format', ['Last-Modified', 'Thursday, 05-Jun-14 00:00:00 GMT'], ['Last-Modified', THEN], true],
  ['another date', ['Last-Modified', NOW], ['Last-Modified', THEN], false],
  ['a date for what has none', ['Last-Modified', THEN], ['ETag', '"1"'], false],
  ['a tag for what has none', ['ETag', '"1"'], ['Last-Modified', THEN], false],
  ['a tag for what has none, with the same date', ['ETag', '"1"', 'Last-Modified', THEN], ['Last-Modified', THEN], true],
  ['no validator: there was only one to validate', [], ['ETag', '"1"'], true],
  ['an invalid validator is none', ['ETag', '1', 'Last-Modified', 'x'], ['Last-Modified', THEN], true],
]

describe('identifies', () => {
  for (const [rule, notModified, fields, expected] of ABOUT) {
    it(`${rule}: ${expected ? 'yes' : 'no'}`, () => assert.equal(identifies(notModified, storedMeta({ fields })), expected))
  }
})
