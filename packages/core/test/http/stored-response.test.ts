// How old a stored response is, and which of several a request selects (RFC 9111 §4.1, §4.2.3).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  currentAge,
  type StoredMeta,
  selectingOf,
  selectStored,
  selects,
  type VaryNormalisation,
  varyNames,
} from '../../src/http/stored-response.ts'
import { formatHttpDate } from '../../src/http/time.ts'
import { storedMeta, T0 } from '../stored-meta.ts'

const PLAIN: VaryNormalisation = { languages: false }
const BY_LANGUAGE: VaryNormalisation = { languages: true }

describe('currentAge', () => {
  const stored = storedMeta({ initialAge: 5, receivedAt: T0 })
  /** [the rule, milliseconds since arrival, the age in seconds] */
  const AGES: readonly (readonly [string, number, number])[] = [
    ['on arrival', 0, 5],
    ['and the time here (RFC 9111 §4.2.3)', 10_000, 15],
    ['not rounded', 1, 5.001],
    ['a clock that was set back makes nothing younger', -10_000, 5],
  ]
  for (const [rule, ms, age] of AGES) it(`${rule}: ${age}`, () => assert.equal(currentAge(stored, T0 + ms), age))
})

describe('varyNames', () => {
  /** [the rule, lines of Vary, names] */
  const VARY: readonly (readonly [string, readonly string[], readonly string[] | '*'])[] = [
    ['no field', [], []],
    ['an empty one', [''], []],
    ['in lower case, sorted, each once', ['B, a', 'A,c'], ['a', 'b', 'c']],
    ['empty members (RFC 9110 §5.6.1.2)', [',a,,'], ['a']],
    ['* (RFC 9110 §12.5.5)', ['*'], '*'],
    ['* among others', ['a, *'], '*'],
    ['* before others', ['*, a'], '*'],
    ['* twice', ['*, *'], '*'],
    ['* on another line', ['a', '*'], '*'],
    ['* after an empty member', [', *'], '*'],
    ['what is no name may mean anything', ['a b'], '*'],
    ['nor is one of the names that stand for cookies', ['cookie:a'], '*'],
    ['nor what is in quotes', ['"a"'], '*'],
  ]
  for (const [rule, lines, expected] of VARY) {
    it(rule, () => assert.deepEqual(varyNames(lines.flatMap((line) => ['Vary', line])), expected))
  }
})

/** [the rule, the field that Vary names, what one request has, what the other has, whether they select the same] */
const SAME: readonly (readonly [string, string, string | undefined, string | undefined, boolean, VaryNormalisation?])[] = [
  ['the same', 'x', 'a', 'a', true],
  ['something else', 'x', 'a', 'b', false],
  ['values have case', 'x', 'a', 'A', false],
  ['both without (RFC 9111 §4.1)', 'x', undefined, undefined, true],
  ['only one has it', 'x', 'a', undefined, false],
  ['only the other has it', 'x', undefined, 'a', false],
  ['empty is not absent', 'x', '', undefined, false],
  ['white space around commas does not count (§4.1)', 'x', 'a,b', 'a ,\t b', true],
  ['order does', 'x', 'a, b', 'b, a', false],
  ['empty members do', 'x', 'a, b', 'a,, b', false],
  ['white space within members does', 'x', 'a b', 'a  b', false],
  ['commas in quotes are text', 'x', 'a="1,2"', 'a="1, 2"', false],

  ['codings: the same set (RFC 9110 §12.5.3)', 'accept-encoding', 'gzip, br', 'br,gzip', true],
  ['codings: in any case', 'accept-encoding', 'GZip', 'gzip', true],
  ['codings: whichever is liked best', 'accept-encoding', 'gzip;q=0.5, br', 'gzip, br;q=0.1', true],
  ['codings: twice is once', 'accept-encoding', 'gzip, gzip', 'gzip', true],
  ['codings: x-gzip is gzip (RFC 9110 §8.4.1.3)', 'accept-encoding', 'x-gzip', 'gzip', true],
  ['codings: what is not accepted is not there', 'accept-encoding', 'gzip, br;q=0', 'gzip', true],
  ['codings: q=0.000 is not accepted', 'accept-encoding', 'gzip, br;q=0.000', 'gzip', true],
  ['codings: no coding at all is accepted unless that is said', 'accept-encoding', 'gzip, identity', 'gzip', true],
  ['codings: identity;q=0', 'accept-encoding', 'gzip, identity;q=0', 'gzip', false],
  ['codings: *;q=0 rejects it, too', 'accept-encoding', 'gzip, identity;q=0', 'gzip, *;q=0', true],
  ['codings: * may be anything', 'accept-encoding', 'gzip, *', 'gzip', false],
  ['codings: empty accepts none but identity', 'accept-encoding', '', 'identity', true],
  ['codings: absent accepts all', 'accept-encoding', undefined, '', false],
  ['codings: another set', 'accept-encoding', 'gzip', 'gzip, br', false],
  ['codings: what cannot be understood is compared as text', 'accept-encoding', 'gzip;level=1', 'gzip', false],
  ['codings: a weight above 1 is no weight', 'accept-encoding', 'gzip;q=2', 'gzip', false],

  ['languages: in any case (RFC 9110 §8.5.1)', 'accept-language', 'en-GB', 'EN-gb', true],
  ['languages: white space', 'accept-language', 'en,de', 'en , de', true],
  ['languages: order, unless told otherwise', 'accept-language', 'en, de', 'de, en', false],
  ['languages: order without weights', 'accept-language', 'en, de', 'de, en', true, BY_LANGUAGE],
  ['languages: order with weights', 'accept-language', 'en, de;q=0.5', 'de;q=0.5, en', false, BY_LANGUAGE],
  ['languages: other weights', 'accept-language', 'en, de;q=0.5', 'en, de;q=0.4', false, BY_LANGUAGE],

  ['one cookie', 'cookie:a', undefined, undefined, true],
]

describe('selects', () => {
  for (const [rule, name, stored, asked, expected, normalise = PLAIN] of SAME) {
    it(`${rule}: ${stored} and ${asked} are ${expected ? 'the same' : 'different'}`, () => {
      const fields = (value: string | undefined) => (value === undefined ? [] : [name, value])
      const meta = storedMeta({ selecting: selectingOf([name], fields(stored), normalise) })
      assert.equal(selects(meta, fields(asked), normalise), expected)
    })
  }

  it('compares every field that Vary names', () => {
    const meta = storedMeta({ selecting: selectingOf(['a', 'b'], ['A', '1', 'B', '2'], PLAIN) })
    assert.equal(selects(meta, ['B', '2', 'A', '1', 'C', '3'], PLAIN), true)
    assert.equal(selects(meta, ['A', '1'], PLAIN), false)
    assert.equal(selects(meta, ['A', '1', 'B', '3'], PLAIN), false)
  })

  it('combines lines (RFC 9111 §4.1)', () => {
    const meta = storedMeta({ selecting: selectingOf(['a'], ['A', '1', 'A', '2'], PLAIN) })
    assert.equal(selects(meta, ['a', '1,2'], PLAIN), true)
  })

  it('takes a field that did not go on to the origin for absent', () => {
    assert.deepEqual(selectingOf(['x-hop'], ['X-Hop', '1', 'Connection', 'X-Hop'], PLAIN), [['x-hop', null]])
    assert.deepEqual(selectingOf(['accept'], ['Accept', '1', 'Connection', 'Accept'], PLAIN), [['accept', '1']])
  })

  const COOKIES: readonly (readonly [string, string, string, boolean])[] = [
    ['the cookie that counts', 'a=1; b=2', 'b=3; a=1', true],
    ['another value of it', 'a=1', 'a=2', false],
    ['without it', 'a=1', 'b=1', false],
    ['empty is not absent', 'a=', 'b=1', false],
    ['case', 'a=x', 'a=X', false],
    ['a second one of the name', 'a=1', 'a=1; a=2', false],
  ]
  for (const [rule, stored, asked, expected] of COOKIES) {
    it(`cookie:NAME stands for one cookie: ${rule}`, () => {
      const meta = storedMeta({ selecting: selectingOf(['cookie:a'], ['Cookie', stored], PLAIN) })
      assert.equal(selects(meta, ['Cookie', asked], PLAIN), expected)
    })
  }

  /** [the rule, Content-Language, what the request accepts, whether it is selected] (RFC 9110 §12.5.4) */
  const LANGUAGES: readonly (readonly [string, string | undefined, string, boolean])[] = [
    ['in the language liked best', 'de', 'fr;q=0.5, de;q=0.9', true],
    ['in any case', 'DE', 'fr;q=0.5, de', true],
    ['in another', 'fr', 'fr;q=0.5, de', false],
    ['in one of two liked best', 'de', 'fr, de', false],
    ['in a language that is not acceptable', 'de', 'de;q=0', false],
    ['in two languages', 'de, fr', 'de', false],
    ['in one that is not named', undefined, 'de', false],
    ['a request that cannot be understood', 'de', 'de;level=1', false],
  ]
  for (const [rule, language, accept, expected] of LANGUAGES) {
    it(`a response ${rule} is ${expected ? '' : 'not '}selected when languages are what counts`, () => {
      const fields = language === undefined ? [] : ['Content-Language', language]
      const meta = storedMeta({ fields, selecting: selectingOf(['accept-language'], ['Accept-Language', 'it'], BY_LANGUAGE) })
      assert.equal(selects(meta, ['Accept-Language', accept], BY_LANGUAGE), expected)
      assert.equal(selects(meta, ['Accept-Language', accept], PLAIN), false)
    })
  }
})

describe('selectStored', () => {
  const dated = (id: string, seconds: number, meta: Partial<StoredMeta> = {}) =>
    storedMeta({ id, ...meta, fields: [...(meta.fields ?? []), 'Date', formatHttpDate(T0 + seconds * 1000)] })
  const of = (name: string, value: string) => ({ fields: ['Vary', name], selecting: [[name, value]] as const })
  const request = ['X', '1']

  /** [the rule, what is stored, which is selected] */
  const CHOICES: readonly (readonly [string, readonly StoredMeta[], string | undefined])[] = [
    ['nothing from nothing', [], undefined],
    ['nothing when nothing matches', [dated('a', 0, of('x', '2'))], undefined],
    ['what matches', [dated('a', 0, of('x', '2')), dated('b', 0, of('x', '1'))], 'b'],
    [
      'the most recent by Date (RFC 9111 §4.1)',
      [dated('old', 0, of('x', '1')), dated('new', 5, { ...of('x', '1'), receivedAt: T0 - 10_000 })],
      'new',
    ],
    ['the most recent by Date, whatever the order', [dated('new', 5, of('x', '1')), dated('old', 0, of('x', '1'))], 'new'],
    [
      'by arrival when the dates are the same',
      [dated('new', 0, { ...of('x', '1'), receivedAt: T0 + 1 }), dated('old', 0, of('x', '1'))],
      'new',
    ],
    [
      'by arrival without Date',
      [storedMeta({ id: 'new', ...of('x', '1'), receivedAt: T0 + 1 }), storedMeta({ id: 'old', ...of('x', '1') })],
      'new',
    ],
    [
      'what was chosen for this request before a later default without Vary',
      [dated('chosen', 0, of('x', '1')), dated('default', 5, { receivedAt: T0 + 5000 })],
      'chosen',
    ],
    [
      'not when it was stale by then: the default may replace it',
      [dated('chosen', 0, of('x', '1')), dated('default', 61, { receivedAt: T0 + 61_000 })],
      'default',
    ],
    ['the default when nothing was chosen', [dated('chosen', 0, of('x', '2')), dated('default', 5)], 'default'],
  ]
  for (const [rule, stored, expected] of CHOICES) {
    it(rule, () => assert.equal(selectStored(stored, request, PLAIN)?.id, expected))
  }
})
