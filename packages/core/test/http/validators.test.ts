// Entity tags, and the request that validates a stored response (RFC 9110 §8.8, RFC 9111 §4.3.1).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  entityTag,
  hasValidator,
  lastModified,
  parseEntityTag,
  strongMatch,
  validationFields,
  weakMatch,
} from '../../src/http/validators.ts'
import { storedMeta } from '../stored-meta.ts'

/** [the rule, the text, its opaque part, or `undefined` when it is none; whether it is weak] (RFC 9110 §8.8.3) */
const TAGS: readonly (readonly [string, string, string | undefined, boolean?])[] = [
  ['strong', '"abc"', 'abc'],
  ['weak', 'W/"abc"', 'abc', true],
  ['empty', '""', ''],
  ['commas and spaces are not the same: a comma', '"a,b"', 'a,b'],
  ['no spaces', '"a b"', undefined],
  ['a backslash is a character', '"a\\"', 'a\\'],
  ['bytes above ASCII', '"caf\u00e9"', 'caf\u00e9'],
  ['no controls', '"a\u007f"', undefined],
  ['no quotes within', '"a"b"', undefined],
  ['quotes on both sides', '"abc', undefined],
  ['quotes at all', 'abc', undefined],
  ['weakness in upper case', 'w/"abc"', undefined],
  ['the slash', 'W"abc"', undefined],
  ['nothing between', 'W/ "abc"', undefined],
  ['one only', '"a", "b"', undefined],
  ['not *', '*', undefined],
]

describe('parseEntityTag', () => {
  for (const [rule, text, opaque, weak = false] of TAGS) {
    it(`${rule}: ${text}`, () => assert.deepEqual(parseEntityTag(text), opaque === undefined ? undefined : { weak, opaque }))
  }

  it('reads no tag from two lines of ETag', () => {
    assert.deepEqual(entityTag(['etag', '"a"']), { weak: false, opaque: 'a' })
    assert.equal(entityTag(['ETag', '"a"', 'ETag', '"a"']), undefined)
    assert.equal(entityTag([]), undefined)
  })
})

/** The table of RFC 9110 §8.8.3.2: [one, the other, whether they match strongly, weakly] */
const MATCHES: readonly (readonly [string, string, boolean, boolean])[] = [
  ['W/"1"', 'W/"1"', false, true],
  ['W/"1"', 'W/"2"', false, false],
  ['W/"1"', '"1"', false, true],
  ['"1"', 'W/"1"', false, true],
  ['"1"', '"1"', true, true],
  ['"a"', '"A"', false, false],
]

describe('entity tags', () => {
  for (const [one, other, strongly, weakly] of MATCHES) {
    it(`${one} and ${other} match ${strongly ? 'strongly' : weakly ? 'weakly' : 'not at all'} (RFC 9110 §8.8.3.2)`, () => {
      const [a, b] = [parseEntityTag(one), parseEntityTag(other)]
      assert.ok(a && b)
      assert.equal(strongMatch(a, b), strongly)
      assert.equal(weakMatch(a, b), weakly)
    })
  }
})

const LONG_AGO = 'Thu, 05 Jun 2014 00:00:00 GMT'

describe('a response', () => {
  it('has a validator when it has an entity tag or a date that is one', () => {
    assert.equal(hasValidator(['ETag', '"1"']), true)
    assert.equal(hasValidator(['Last-Modified', LONG_AGO]), true)
    assert.equal(hasValidator(['ETag', '1', 'Last-Modified', 'yesterday']), false)
    assert.equal(hasValidator([]), false)
  })
  it('keeps the spelling of Last-Modified', () => {
    assert.equal(lastModified(['Last-Modified', 'thu, 05 jun 2014 00:00:00 gmt']), 'thu, 05 jun 2014 00:00:00 gmt')
    assert.equal(lastModified(['Last-Modified', LONG_AGO, 'Last-Modified', LONG_AGO]), undefined)
  })
})

/** [the rule, the fields of what is stored, the conditions] (RFC 9111 §4.3.1) */
const VALIDATIONS: readonly (readonly [string, readonly string[][], string[]])[] = [
  ['nothing stored', [], []],
  ['no validator', [['Cache-Control', 'max-age=1']], []],
  ['an entity tag', [['ETag', '"1"']], ['If-None-Match', '"1"']],
  ['a weak one', [['ETag', 'W/"1"']], ['If-None-Match', 'W/"1"']],
  ['what is no entity tag is not sent', [['ETag', '1']], []],
  ['a date', [['Last-Modified', LONG_AGO]], ['If-Modified-Since', LONG_AGO]],
  ['both', [['ETag', '"1"', 'Last-Modified', LONG_AGO]], ['If-None-Match', '"1"', 'If-Modified-Since', LONG_AGO]],
  [
    'the tags of several, the selected one first',
    [
      ['ETag', '"1"'],
      ['ETag', '"2"'],
    ],
    ['If-None-Match', '"1", "2"'],
  ],
  [
    'each once',
    [
      ['ETag', '"1"'],
      ['ETag', '"1"'],
    ],
    ['If-None-Match', '"1"'],
  ],
  [
    'of several, no date: it would tell only one from what is new',
    [
      ['ETag', '"1"', 'Last-Modified', LONG_AGO],
      ['ETag', '"2"'],
    ],
    ['If-None-Match', '"1", "2"'],
  ],
]

describe('validationFields', () => {
  for (const [rule, stored, expected] of VALIDATIONS) {
    it(rule, () => assert.deepEqual(validationFields(stored.map((fields) => storedMeta({ fields }))), expected))
  }
})
