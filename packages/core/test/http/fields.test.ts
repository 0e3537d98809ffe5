// Lines, combined values, list members, cookies, and what is for one connection only (RFC 9110 §5, §7.6.1).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  cookieValue,
  endToEndFields,
  fieldLines,
  fieldValue,
  hasCookies,
  hasField,
  isEndToEnd,
  isFieldName,
  listMembers,
  onlyFields,
  splitList,
  withField,
  withoutFields,
} from '../../src/http/fields.ts'

const FIELDS = ['Accept', 'a', 'accept', 'b', 'X-Accept', 'c', 'ACCEPT', 'd']

describe('fields of one name', () => {
  it('are found in any case (RFC 9110 §5.1), in order', () => {
    assert.deepEqual(fieldLines(FIELDS, 'accept'), ['a', 'b', 'd'])
    assert.deepEqual(fieldLines(FIELDS, 'x'), [])
  })
  it('combine to one value (RFC 9110 §5.3)', () => {
    assert.equal(fieldValue(FIELDS, 'accept'), 'a, b, d')
    assert.equal(fieldValue(FIELDS, 'x-accept'), 'c')
    assert.equal(fieldValue(FIELDS, 'x'), undefined)
    assert.equal(fieldValue(['A', ''], 'a'), '')
    assert.equal(fieldValue(['A', '', 'A', '1'], 'a'), ', 1')
  })
  it('are not mistaken for values', () => {
    assert.equal(hasField(['X', 'accept'], 'accept'), false)
    assert.equal(hasField(FIELDS, 'accept'), true)
  })
  it('are replaced where the first stood, or added at the end', () => {
    assert.deepEqual(withField(FIELDS, 'accept', 'z'), ['Accept', 'z', 'X-Accept', 'c'])
    assert.deepEqual(withField(['A', '1'], 'b', '2'), ['A', '1', 'b', '2'])
  })
  it('are left out, or left', () => {
    assert.deepEqual(withoutFields(FIELDS, new Set(['accept'])), ['X-Accept', 'c'])
    assert.deepEqual(onlyFields(FIELDS, new Set(['x-accept'])), ['X-Accept', 'c'])
  })
})

/** [the rule, the value, what stands between the commas] */
const LISTS: readonly (readonly [string, string, readonly string[]])[] = [
  ['white space around a member is not part of it (RFC 9110 §5.6.1)', 'a ,\tb,c \t', ['a', 'b', 'c']],
  ['one member', 'a', ['a']],
  ['white space within a member stays', 'a b, c', ['a b', 'c']],
  ['commas in quotes separate nothing (RFC 9110 §5.6.4)', 'a="1, 2", b', ['a="1, 2"', 'b']],
  ['a quoted member', '"a,b", c', ['"a,b"', 'c']],
  ['an escaped quote closes nothing (RFC 9110 §5.6.4)', 'a="1\\", 2", b', ['a="1\\", 2"', 'b']],
  ['an escaped backslash escapes no quote', 'a="1\\\\", b', ['a="1\\\\"', 'b']],
  ['a quote that is never closed is a character', 'a="1, b, c', ['a="1', 'b', 'c']],
  ['so it is when its closing is escaped', 'a="1, b\\", c', ['a="1', 'b\\"', 'c']],
  ['quotes after quotes', 'a="1,2"; b="3,4", c', ['a="1,2"; b="3,4"', 'c']],
  ['an empty quoted string', 'a="", b', ['a=""', 'b']],
  ['white space before a quoted string', 'a= "1, 2", b', ['a= "1, 2"', 'b']],
  ['a quote in the middle of a token opens nothing', 'a"1, b, c="2"', ['a"1', 'b', 'c="2"']],
  ['a quote in the middle of a member closes nothing', 'a="1, b="2", c', ['a="1', 'b="2"', 'c']],
  ['what is no space or tab belongs to the member (RFC 9110 §5.6.3)', '\u00a0a\u00a0, \u000bb', ['\u00a0a\u00a0', '\u000bb']],
]

describe('listMembers', () => {
  for (const [rule, value, expected] of LISTS) {
    it(`${rule}: ${value}`, () => {
      assert.deepEqual(listMembers(value), expected)
      assert.deepEqual(splitList(value), expected)
    })
  }

  it('ignores empty members (RFC 9110 §5.6.1.2); splitList keeps them', () => {
    for (const value of ['', ',', ' , ,\t']) assert.deepEqual(listMembers(value), [])
    assert.deepEqual(listMembers(',a,, b ,'), ['a', 'b'])
    assert.deepEqual(splitList(',a,, b ,'), ['', 'a', '', 'b', ''])
    assert.deepEqual(splitList(''), [''])
  })
})

/** [the rule, what there is, what goes on] */
const HOPS: readonly (readonly [string, string[], string[]])[] = [
  ['everything goes on without Connection', ['A', '1', 'B', '2'], ['A', '1', 'B', '2']],
  ['Connection stays here (RFC 9110 §7.6.1)', ['Connection', 'keep-alive', 'A', '1'], ['A', '1']],
  ['so does what it names', ['Connection', 'X-Hop', 'X-Hop', '1', 'A', '1'], ['A', '1']],
  ['in any case', ['connection', 'x-HOP', 'X-hop', '1', 'A', '1'], ['A', '1']],
  [
    'on any line and in any place',
    ['Connection', 'close, X-A', 'Connection', 'X-B', 'X-A', '1', 'X-B', '2', 'C', '3'],
    ['C', '3'],
  ],
  ['every line of it', ['Connection', 'X-A', 'X-A', '1', 'X-A', '2'], []],
  [
    'Keep-Alive, Upgrade, TE, Transfer-Encoding, named or not',
    ['Keep-Alive', 'x', 'Upgrade', 'x', 'TE', 'x', 'Transfer-Encoding', 'x'],
    [],
  ],
  ['Proxy-Connection', ['Proxy-Connection', 'keep-alive'], []],
  ['Trailer, for trailers are not passed on', ['Trailer', 'X-Sum'], []],
  [
    'credentials for a proxy (RFC 9111 §3.1)',
    ['Proxy-Authorization', 'x', 'Proxy-Authenticate', 'x', 'Proxy-Authentication-Info', 'x'],
    [],
  ],
  ['HTTP2-Settings (RFC 9113 §3.1)', ['HTTP2-Settings', 'x'], []],
  [
    'what is for everybody is no option (RFC 9110 §7.6.1)',
    [
      'Connection',
      'Cache-Control, Authorization, Cookie, Vary, CDN-Loop',
      'Cache-Control',
      'private',
      'Cookie',
      'a',
      'Vary',
      'b',
    ],
    ['Cache-Control', 'private', 'Cookie', 'a', 'Vary', 'b'],
  ],
]

describe('endToEndFields', () => {
  for (const [rule, fields, expected] of HOPS) {
    it(rule, () => {
      assert.deepEqual(endToEndFields(fields), expected)
      for (let at = 0; at < fields.length; at += 2) {
        const name = String(fields[at])
        assert.equal(isEndToEnd(fields, name.toLowerCase()), expected.includes(name), name)
      }
    })
  }
})

describe('isFieldName', () => {
  const NAMES: readonly (readonly [string, boolean])[] = [
    ['accept', true],
    ['X-9', true],
    ["!#$%&'*+-.^_`|~", true],
    ['', false],
    ['a b', false],
    ['a:', false],
    ['a\n', false],
    ['caf\u00e9', false],
    ['"a"', false],
  ]
  for (const [name, expected] of NAMES) {
    it(`${JSON.stringify(name)} is ${expected ? 'a' : 'no'} token (RFC 9110 §5.6.2)`, () =>
      assert.equal(isFieldName(name), expected))
  }
})

/** [the rule, lines of Cookie, name, value] */
const COOKIES: readonly (readonly [string, readonly string[], string, string | undefined])[] = [
  ['one of several (RFC 6265 §4.2.1)', ['a=1; b=2'], 'b', '2'],
  ['none', ['a=1; b=2'], 'c', undefined],
  ['not a part of a name', ['xa=1; ax=2'], 'a', undefined],
  ['not a part of a value', ['b=a=1'], 'a', undefined],
  ['a value with = in it', ['a=b=c'], 'a', 'b=c'],
  ['an empty value', ['a=; b=2'], 'a', ''],
  ['no value at all is no cookie', ['a; b=2'], 'a', undefined],
  ['names have case (RFC 6265 §5.3)', ['A=1'], 'a', undefined],
  ['quotes belong to the value', ['a="1"'], 'a', '"1"'],
  ['white space around does not', [' a\t= 1 ;b=2'], 'a', '1'],
  ['semicolons without space', ['a=1;b=2'], 'b', '2'],
  ['on several lines (RFC 9113 §8.2.3)', ['a=1', 'b=2'], 'b', '2'],
  ['several of the name (RFC 6265 §4.2.2)', ['a=1; b=2; a=3'], 'a', '1; 3'],
  ['several of the name on several lines', ['a=1', 'a=1'], 'a', '1; 1'],
]

describe('cookieValue', () => {
  for (const [rule, lines, name, expected] of COOKIES) {
    it(`${rule}: ${name} of ${lines.join(' | ')}`, () => {
      const fields = ['Accept', 'a=0', ...lines.flatMap((line) => ['Cookie', line])]
      assert.equal(cookieValue(fields, name), expected)
      assert.equal(hasCookies(fields), true)
    })
  }
})
