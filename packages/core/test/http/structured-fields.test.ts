// Dictionaries as RFC 9651 has them, and as an attacker would write them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BareItem, parseDictionary } from '../../src/http/structured-fields.ts'

const int = (value: number): BareItem => ({ type: 'integer', value })
const TRUE: BareItem = { type: 'boolean', value: true }
const INNER_LIST: BareItem = { type: 'inner-list' }

/** [the rule, the text, its members, or `undefined` when it fails] */
const DICTIONARIES: readonly (readonly [string, string, Readonly<Record<string, BareItem>> | undefined])[] = [
  ['empty (§4.2)', '', {}],
  ['nothing but spaces (§4.2)', '   ', {}],
  ['spaces before and after (§4.2)', '  a=1  ', { a: int(1) }],

  // Examples of RFC 9651.
  [
    '§3.2, English and Danish',
    'en="Applepie", da=:w4ZibGV0w6ZydGU=:',
    { en: { type: 'string', value: 'Applepie' }, da: { type: 'binary', value: 'w4ZibGV0w6ZydGU=' } },
  ],
  ['§3.2, Booleans', 'a=?0, b, c; foo=bar', { a: { type: 'boolean', value: false }, b: TRUE, c: TRUE }],
  [
    '§3.2, a Dictionary of Tokens',
    'rating=1.5, feelings=(joy sadness)',
    { rating: { type: 'decimal', value: 1.5 }, feelings: INNER_LIST },
  ],
  [
    '§3.2, items and inner lists',
    'a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid',
    { a: INNER_LIST, b: int(3), c: int(4), d: INNER_LIST },
  ],
  [
    '§3.1.1, inner lists',
    'a=("foo" "bar"), b=("baz"), c=("bat" "one"), d=()',
    { a: INNER_LIST, b: INNER_LIST, c: INNER_LIST, d: INNER_LIST },
  ],
  ['§3.1.1, parameters of and in them', 'a=("foo"; a=1;b=2);lvl=5, b=("bar" "baz");lvl=1', { a: INNER_LIST, b: INNER_LIST }],
  ['§3.1.2, parameters', 'abc;a=1;b=2; cde_456, ghi=(jk);q="9";r=w', { abc: TRUE, ghi: INNER_LIST }],
  ['§3.3.1, Integers', 'a=42, b=-42, c=0, d=-0', { a: int(42), b: int(-42), c: int(0), d: int(-0) }],
  ['§3.3.2, Decimals', 'a=4.5, b=-0.001', { a: { type: 'decimal', value: 4.5 }, b: { type: 'decimal', value: -0.001 } }],
  ['§3.3.3, Strings', 'a="hello world"', { a: { type: 'string', value: 'hello world' } }],
  ['§3.3.4, Tokens', 'a=foo123/456, b=*x:y', { a: { type: 'token', value: 'foo123/456' }, b: { type: 'token', value: '*x:y' } }],
  [
    '§3.3.5, Byte Sequences',
    'a=:cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:, b=::',
    { a: { type: 'binary', value: 'cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==' }, b: { type: 'binary', value: '' } },
  ],
  ['§3.3.7, Dates', 'a=@1659578233, b=@-1', { a: { type: 'date', value: 1659578233 }, b: { type: 'date', value: -1 } }],
  [
    '§3.3.8, Display Strings',
    'a=%"This is intended for display to %c3%bcsers."',
    { a: { type: 'display-string', value: 'This is intended for display to üsers.' } },
  ],

  ['the last of a name counts (§4.2.2)', 'a=1, b=2, a=3', { b: int(2), a: int(3) }],
  ['tabs between members (§4.2.2)', 'a=1\t,\tb=2', { a: int(1), b: int(2) }],
  ['names may begin with * and hold - _ . * (§3.1.2)', '*a-b_c.d*', { '*a-b_c.d*': TRUE }],
  ['names like those of objects', 'constructor=1', { constructor: int(1) }],
  ['15 digits (§3.3.1)', 'a=999999999999999', { a: int(999999999999999) }],
  ['12 digits and 3 (§3.3.2)', 'a=123456789012.123', { a: { type: 'decimal', value: 123456789012.123 } }],
  ['escapes (§3.3.3)', 'a="\\"\\\\"', { a: { type: 'string', value: '"\\' } }],
  ['commas in Strings', 'a="1, b=2"', { a: { type: 'string', value: '1, b=2' } }],
  ['spaces in inner lists', 'a=(  1   2  )', { a: INNER_LIST }],

  ['a comma at the end (§4.2.2)', 'a=1,', undefined],
  ['a comma at the start', ',a=1', undefined],
  ['two commas', 'a=1,,b=2', undefined],
  ['no comma', 'a=1 b=2', undefined],
  ['semicolons between members', 'a=1; b=2 c=3', undefined],
  ['tabs before (§4.2)', '\ta=1', undefined],
  ['tabs after', 'a=1\t', { a: int(1) }],
  ['names in upper case (§3.1.2)', 'Max-Age=1', undefined],
  ['names that begin with a digit', '1a', undefined],
  ['no name', '=1', undefined],
  ['no value', 'a=', undefined],
  ['spaces around =', 'a =1', undefined],
  ['spaces after =', 'a= 1', undefined],
  ['16 digits (§4.2.4)', 'a=1234567890123456', undefined],
  ['13 digits before the point (§4.2.4)', 'a=1234567890123.1', undefined],
  ['4 digits behind it (§4.2.4)', 'a=1.1234', undefined],
  ['none behind it (§4.2.4)', 'a=1.', undefined],
  ['none before it', 'a=.1', undefined],
  ['a sign alone', 'a=-', undefined],
  ['two signs', 'a=--1', undefined],
  ['a plus', 'a=+1', undefined],
  ['letters behind a number', 'a=60s', undefined],
  ['Strings that do not end (§4.2.5)', 'a="b', undefined],
  ['other escapes (§4.2.5)', 'a="\\n"', undefined],
  ['an escape at the end', 'a="\\', undefined],
  ['controls in Strings', 'a="\n"', undefined],
  ['bytes above ASCII in Strings', 'a="\u00e9"', undefined],
  ['Booleans of another kind (§4.2.8)', 'a=?2', undefined],
  ['Booleans in letters', 'a=?true', undefined],
  ['Byte Sequences that do not end (§4.2.7)', 'a=:YQ==', undefined],
  ['what is no base64', 'a=:a b:', undefined],
  ['Dates with a fraction (§4.2.9)', 'a=@1.5', undefined],
  ['Display Strings in upper case (§4.2.10)', 'a=%"%C3%BC"', undefined],
  ['Display Strings that are no UTF-8 (§4.2.10)', 'a=%"%ff"', undefined],
  ['Display Strings that do not end', 'a=%"%c3', undefined],
  ['inner lists that do not end (§4.2.1.2)', 'a=(1 2', undefined],
  ['inner lists in inner lists', 'a=((1))', undefined],
  ['commas in inner lists', 'a=(1, 2)', undefined],
  ['no space in inner lists (§4.2.1.2)', 'a=("x"60', undefined],
  ['no space in inner lists, with an end', 'a=(1"x")', undefined],
  ['parameters without name (§4.2.3.2)', 'a=1;=2', undefined],
  ['parameters with half a value', 'a=1;b="c', undefined],
  ['a semicolon at the end', 'a=1;', undefined],
  ['a space before the semicolon', 'a=1 ;b', undefined],
]

describe('parseDictionary', () => {
  for (const [rule, text, expected] of DICTIONARIES) {
    it(`${rule}: ${text}`, () => {
      const members = parseDictionary(text)
      assert.deepEqual(members && [...members], expected && Object.entries(expected))
    })
  }

  /** [what there is much of, the text], each some 64 KiB: the most that a head can have. */
  const MUCH = 64 * 1024
  const HOSTILE: readonly (readonly [string, string])[] = [
    ['spaces at the end of nothing', `${' '.repeat(MUCH)}\u0001`],
    ['spaces in an inner list', `a=(${' '.repeat(MUCH)}`],
    ['spaces between members', `a${' '.repeat(MUCH)}b`],
    ['spaces after a semicolon', `a;${' '.repeat(MUCH)}`],
    ['a String that does not end', `a="${'b'.repeat(MUCH)}`],
    ['escapes that do not end', `a="${'\\"'.repeat(MUCH / 2)}`],
    ['digits', `a=${'1'.repeat(MUCH)}`],
    ['a Byte Sequence that does not end', `a=:${'A'.repeat(MUCH)}`],
    ['a Display String that does not end', `a=%"${'%61'.repeat(MUCH / 3)}`],
    ['opening brackets', `a=${'('.repeat(MUCH)}`],
    ['commas', ','.repeat(MUCH)],
    ['members', `${'a,'.repeat(MUCH / 2)}`],
    ['parameters', `a${';b'.repeat(MUCH / 2)};`],
  ]
  for (const [what, text] of HOSTILE) {
    it(`gives up on ${what} in the time it takes to read them`, () => {
      const started = performance.now()
      assert.equal(parseDictionary(text), undefined)
      // Reading each character once takes some 3 ms; going back for each of them, 6 s.
      assert.ok(performance.now() - started < 1000)
    })
  }
})
