// Cache-Control and the fields that speak to some caches only (RFC 9111 §5.2, RFC 9213).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decidingDirectives, directiveSeconds, parseDirectives } from '../../src/http/cache-control.ts'

/** [the rule, the value, its directives] */
const VALUES: readonly (readonly [string, string | undefined, Readonly<Record<string, string | true>>])[] = [
  ['no field', undefined, {}],
  ['an empty one', '', {}],
  ['a directive without argument (RFC 9111 §5.2)', 'no-store', { 'no-store': true }],
  ['one with', 'max-age=60', { 'max-age': '60' }],
  ['several', 'public, max-age=60,immutable', { public: true, 'max-age': '60', immutable: true }],
  ['empty members (RFC 9110 §5.6.1.2)', ',, no-store ,', { 'no-store': true }],
  ['names in any case (RFC 9111 §5.2)', 'No-Store, MAX-AGE=60', { 'no-store': true, 'max-age': '60' }],
  ['arguments keep theirs', 'ext=Ab', { ext: 'Ab' }],
  ['an argument in quotes is the same (RFC 9111 §5.2)', 'max-age="60"', { 'max-age': '60' }],
  ['escapes in quotes (RFC 9110 §5.6.4)', 'ext="a\\"\\b"', { ext: 'a"b' }],
  ['single quotes are characters', "max-age='60'", { 'max-age': "'60'" }],
  ['a list in quotes is one argument (RFC 9111 §5.2.2.4)', 'no-cache="a, b", public', { 'no-cache': 'a, b', public: true }],
  ['what is in quotes is no directive', 'ext="a, max-age=3600"', { ext: 'a, max-age=3600' }],
  ['a quote that is never closed hides nothing', 'ext="a, no-store', { ext: '"a', 'no-store': true }],
  ['a quote too few hides nothing', 'max-age="60, private="a"', { 'max-age': '"60', private: 'a' }],
  ['a quote too much hides nothing', 'max-age=60", no-store, ext="a"', { 'max-age': '60"', 'no-store': true, ext: 'a' }],
  ['an argument that should not be there changes nothing', 'no-store=0', { 'no-store': '0' }],
  ['an argument that is missing', 'max-age=', { 'max-age': '' }],
  ['white space before = voids the argument, not the directive (RFC 9111 §5.2)', 'max-age =60', { 'max-age': '' }],
  ['white space after =', 'max-age= 60', { 'max-age': '' }],
  ['so private stays private', 'private ="a"', { private: '' }],
  ['of several, the first counts (RFC 9111 §4.2.1)', 'max-age=60, max-age=3600', { 'max-age': '60' }],
  ['of several, the one without argument counts: it says more', 'private="a", private', { private: true }],
  ['in any order', 'no-cache, no-cache="a"', { 'no-cache': true }],
  ['names like those of objects', 'constructor=1, tostring=2', { constructor: '1', tostring: '2' }],
  ['no name', '=60', { '': '60' }],
]

describe('parseDirectives', () => {
  for (const [rule, value, expected] of VALUES) {
    it(`${rule}: ${value}`, () => assert.deepEqual([...parseDirectives(value)], Object.entries(expected)))
  }
})

describe('parseDirectives, asked by somebody who means harm,', () => {
  /** Each some 64 KiB: the most that a head can have. */
  const MUCH = 64 * 1024
  const HOSTILE = ['"', '="', '="\\"', '"\\",', ' "', '" ,', '=" ', ',', 'a=', '\\', ' ', 'a =']
  for (const piece of HOSTILE) {
    it(`reads ${JSON.stringify(piece)} again and again in the time it takes to read it once`, () => {
      const started = performance.now()
      parseDirectives(piece.repeat(MUCH / piece.length))
      parseDirectives(`a="${piece.repeat(MUCH / piece.length)}`)
      // Some 10 ms; going back for each character takes seconds.
      assert.ok(performance.now() - started < 1000)
    })
  }
})

/** [the rule, the value, seconds of max-age] */
const SECONDS: readonly (readonly [string, string, number | undefined])[] = [
  ['absent', 'public', undefined],
  ['a number (RFC 9111 §1.2.2)', 'max-age=60', 60],
  ['zero', 'max-age=0', 0],
  ['leading zeros', 'max-age=0060', 60],
  ['in quotes', 'max-age="60"', 60],
  ['as many as can be counted', 'max-age=2147483648', 2 ** 31],
  ['more is taken for that (RFC 9111 §1.2.2)', 'max-age=2147483649', 2 ** 31],
  ['beyond 64 bits', 'max-age=18446744073709551616', 2 ** 31],
  ['beyond what a float holds', `max-age=${'9'.repeat(400)}`, 2 ** 31],
  // What is invalid counts as stale (RFC 9111 §4.2.1).
  ['no argument', 'max-age', 0],
  ['an empty argument', 'max-age=', 0],
  ['negative', 'max-age=-1', 0],
  ['signed', 'max-age=+60', 0],
  ['a fraction', 'max-age=60.0', 0],
  ['exponents', 'max-age=1e3', 0],
  ['hexadecimal', 'max-age=0x3c', 0],
  ['with letters', 'max-age=60a', 0],
  ['a list', 'max-age="60, 61"', 0],
  ['white space in quotes', 'max-age=" 60"', 0],
  ['single quotes', "max-age='60'", 0],
  ['digits that are not ASCII', 'max-age=٦٠', 0],
]

describe('directiveSeconds', () => {
  for (const [rule, value, expected] of SECONDS) {
    it(`${rule}: ${value.slice(0, 40)} is ${expected}`, () =>
      assert.equal(directiveSeconds(parseDirectives(value), 'max-age'), expected))
  }
})

const CDN = ['cdn-cache-control', 'surrogate-control']

/** [the rule, fields, the field that decides, its directives] */
const TARGETED: readonly (readonly [string, string[], string, Readonly<Record<string, string | true>>])[] = [
  ['no field: Cache-Control decides, and says nothing', [], 'cache-control', {}],
  ['Cache-Control alone', ['Cache-Control', 'max-age=1'], 'cache-control', { 'max-age': '1' }],
  [
    'a targeted field outweighs it (RFC 9213 §2.2)',
    ['Cache-Control', 'no-store', 'CDN-Cache-Control', 'max-age=1'],
    'cdn-cache-control',
    { 'max-age': '1' },
  ],
  [
    'the first of the target list decides (RFC 9213 §2.2)',
    ['Surrogate-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age=1'],
    'cdn-cache-control',
    { 'max-age': '1' },
  ],
  [
    'in any case, on several lines',
    ['cdn-cache-CONTROL', 'max-age=1', 'CDN-Cache-Control', 'no-cache'],
    'cdn-cache-control',
    { 'max-age': '1', 'no-cache': true },
  ],
  [
    'an empty field is ignored (RFC 9213 §2.1)',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', ''],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'what is no Dictionary is ignored (RFC 9213 §2.1)',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age=1,'],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'a Dictionary has names in lower case (RFC 9651 §3.1.2)',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'Max-Age=1'],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'a lifetime that is no Integer makes it ignored: a String',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age="1"'],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'a lifetime that is no Integer: a Decimal',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age=1.0'],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'a lifetime that is no Integer: none',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age'],
    'cache-control',
    { 'max-age': '2' },
  ],
  [
    'the next of the target list is asked then',
    ['Surrogate-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age=?1'],
    'surrogate-control',
    { 'max-age': '2' },
  ],
  [
    'the last of a name counts (RFC 9651 §4.2.2)',
    ['CDN-Cache-Control', 'max-age=1, max-age=2'],
    'cdn-cache-control',
    { 'max-age': '2' },
  ],
  ['a negative Integer is one, and is stale', ['CDN-Cache-Control', 'max-age=-1'], 'cdn-cache-control', { 'max-age': '-1' }],
  [
    'parameters say nothing (RFC 9213 §2.1)',
    ['CDN-Cache-Control', 'max-age=1;x=2, private;y'],
    'cdn-cache-control',
    { 'max-age': '1', private: true },
  ],
  ['a false Boolean is none', ['CDN-Cache-Control', 'no-store=?0, max-age=1'], 'cdn-cache-control', { 'max-age': '1' }],
  [
    'nothing but false Booleans is an empty field',
    ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'no-store=?0'],
    'cache-control',
    { 'max-age': '2' },
  ],
  ['a String or Token is an argument', ['CDN-Cache-Control', 'private="a", x=b'], 'cdn-cache-control', { private: 'a', x: 'b' }],
  ['an inner list is an argument', ['CDN-Cache-Control', 'no-cache=("a" "b")'], 'cdn-cache-control', { 'no-cache': '' }],
  ['directives nobody knows', ['CDN-Cache-Control', 'max-age=1, foo=@1'], 'cdn-cache-control', { 'max-age': '1', foo: '1' }],

  // Surrogate-Control: Edge Architecture 1.0 §2.2.
  [
    'Surrogate-Control',
    ['Cache-Control', 'no-store', 'Surrogate-Control', 'max-age=60'],
    'surrogate-control',
    { 'max-age': '60' },
  ],
  ['it is no Dictionary', ['Surrogate-Control', 'Max-Age="60"'], 'surrogate-control', { 'max-age': '60' }],
  [
    'a + b: fresh for a, stale for b',
    ['Surrogate-Control', 'max-age=60+30'],
    'surrogate-control',
    { 'max-age': '60', 'stale-while-revalidate': '30', 'stale-if-error': '30' },
  ],
  [
    'a window named on its own outweighs b',
    ['Surrogate-Control', 'stale-if-error=5, max-age=60+30'],
    'surrogate-control',
    { 'stale-if-error': '5', 'max-age': '60', 'stale-while-revalidate': '30' },
  ],
  ['a + without b is invalid', ['Surrogate-Control', 'max-age=60+'], 'surrogate-control', { 'max-age': '60+' }],
  [
    'no-store-remote is for us: we are remote',
    ['Surrogate-Control', 'no-store-remote'],
    'surrogate-control',
    { 'no-store-remote': true, 'no-store': true },
  ],
  [
    'a surrogate by name is not us',
    ['Surrogate-Control', 'no-store;other, max-age=60'],
    'surrogate-control',
    { 'max-age': '60' },
  ],
  ['only others', ['Cache-Control', 'max-age=2', 'Surrogate-Control', 'max-age=60;other'], 'cache-control', { 'max-age': '2' }],
  ['a semicolon in quotes names nobody', ['Surrogate-Control', 'x="a;b"'], 'surrogate-control', { x: 'a;b' }],
  [
    'content= says nothing about keeping',
    ['Cache-Control', 'max-age=2', 'Surrogate-Control', 'content="ESI/1.0"'],
    'cache-control',
    { 'max-age': '2' },
  ],
]

describe('decidingDirectives', () => {
  for (const [rule, fields, from, directives] of TARGETED) {
    it(rule, () => {
      const deciding = decidingDirectives(fields, CDN)
      assert.equal(deciding.from, from)
      assert.deepEqual([...deciding.directives], Object.entries(directives))
    })
  }

  it('reads a field only when told that it is targeted at this cache', () => {
    const fields = ['Cache-Control', 'max-age=2', 'CDN-Cache-Control', 'max-age=1']
    assert.equal(decidingDirectives(fields, []).from, 'cache-control')
    assert.equal(decidingDirectives(fields, ['surrogate-control']).from, 'cache-control')
  })
})
