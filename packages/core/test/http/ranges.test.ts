// Range, If-Range, Content-Range, and what a 304 leaves out (RFC 9110 §14, §13.1.5).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { contentRange, evaluateRange, fieldsOfNotModified, parseContentRange, type RangeAnswer } from '../../src/http/ranges.ts'

const LAST_MODIFIED = 'Thu, 05 Jun 2014 00:00:00 GMT'
const PAGE = { status: 200, fields: ['ETag', '"1"', 'Last-Modified', LAST_MODIFIED, 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT'] }

function shown(answer: RangeAnswer): string {
  if (answer.kind === 'part') return `${answer.range.first}-${answer.range.last}`
  if (answer.kind === 'parts') return answer.ranges.map(({ first, last }) => `${first}-${last}`).join(', ')
  return answer.kind
}

/** Of a body of 10 bytes: [the rule, Range, what is sent] */
const RANGES: readonly (readonly [string, string, string])[] = [
  ['both ends are included (§14.1.2)', 'bytes=0-4', '0-4'],
  ['one byte', 'bytes=9-9', '9-9'],
  ['open: to the end', 'bytes=4-', '4-9'],
  ['open from the start', 'bytes=0-', '0-9'],
  ['a suffix: so many at the end', 'bytes=-3', '7-9'],
  ['a suffix longer than the body is all of it', 'bytes=-30', '0-9'],
  ['an end beyond the body is its end', 'bytes=5-100', '5-9'],
  ['leading zeros', 'bytes=000-004', '0-4'],
  ['the unit in any case (§14.1)', 'BYTES=0-4', '0-4'],
  ['white space and empty members between (§5.6.1)', 'bytes=, 0-1 ,, 5-6', '0-1, 5-6'],

  ['several', 'bytes=0-1,5-6', '0-1, 5-6'],
  ['several are sent in order (§15.3.7.2)', 'bytes=5-6,0-1', '0-1, 5-6'],
  ['those that overlap become one', 'bytes=0-3,2-5', '0-5'],
  ['those that touch become one', 'bytes=0-3,4-5', '0-5'],
  ['one within another', 'bytes=0-5,2-3', '0-5'],
  ['what cannot be satisfied is left out (§14.2)', 'bytes=2-3,20-30', '2-3'],
  ['a suffix and what it overlaps', 'bytes=6-8,-3', '6-9'],
  ['more bytes in sum than there are: the whole (§17.15)', 'bytes=0-9,0-9', 'whole'],
  ['many of the same: the whole (§17.15)', `bytes=${Array(100).fill('0-4').join(',')}`, 'whole'],
  ['more parts than allowed: the whole (§17.15)', 'bytes=0-0,2-2,4-4,6-6', 'whole'],

  ['behind the end (§14.1.2)', 'bytes=10-', 'unsatisfiable'],
  ['a suffix of nothing (§14.1.2)', 'bytes=-0', 'unsatisfiable'],
  ['all behind the end', 'bytes=10-11,20-', 'unsatisfiable'],
  ['numbers that are too large for a float', `bytes=${'9'.repeat(400)}-`, 'unsatisfiable'],
  ['an end that is too large for a float', `bytes=2-${'9'.repeat(400)}`, '2-9'],
  ['a suffix that is too large for a float', `bytes=-${'9'.repeat(400)}`, '0-9'],
  ['beyond 2^53', 'bytes=9007199254740993-9007199254740995', 'unsatisfiable'],

  // What is invalid is ignored (§14.2).
  ['last before first (§14.1.1)', 'bytes=5-2', 'whole'],
  ['one of several that is', 'bytes=0-1,5-2', 'whole'],
  ['neither end', 'bytes=-', 'whole'],
  ['nothing', 'bytes=', 'whole'],
  ['no dash', 'bytes=5', 'whole'],
  ['letters', 'bytes=a-b', 'whole'],
  ['signs', 'bytes=+1-2', 'whole'],
  ['two dashes', 'bytes=1--2', 'whole'],
  ['fractions', 'bytes=1.5-2', 'whole'],
  ['white space within', 'bytes=1 - 2', 'whole'],
  ['no equals sign', 'bytes 0-4', 'whole'],
  ['white space before it', 'bytes =0-4', 'whole'],
  ['another unit (§14.1)', 'lines=0-4', 'whole'],
  ['semicolons', 'bytes=0-1;5-6', 'whole'],
]

describe('evaluateRange', () => {
  for (const [rule, range, expected] of RANGES) {
    it(`${rule}: ${range.slice(0, 50)} is ${expected}`, () => {
      assert.equal(shown(evaluateRange(['Range', range], PAGE, 10, { maxRanges: 3 })), expected)
    })
  }

  it('sends the whole without Range', () => {
    assert.equal(evaluateRange([], PAGE, 10, { maxRanges: 3 }).kind, 'whole')
  })
  it('reads two lines of Range as one list, which is none', () => {
    assert.equal(evaluateRange(['Range', 'bytes=0-1', 'Range', 'bytes=5-6'], PAGE, 10, { maxRanges: 3 }).kind, 'whole')
  })
  it('asks nothing of a response that is no 200 (§14.2)', () => {
    for (const status of [206, 404])
      assert.equal(evaluateRange(['Range', 'bytes=0-1'], { ...PAGE, status }, 10, { maxRanges: 3 }).kind, 'whole')
  })
  it('finds no part in an empty body, and sends that', () => {
    for (const range of ['bytes=-5', 'bytes=0-'])
      assert.equal(evaluateRange(['Range', range], PAGE, 0, { maxRanges: 3 }).kind, 'whole', range)
  })
})

/** [the rule, If-Range, the response's fields, whether the range is sent] (§13.1.5) */
const IF_RANGE: readonly (readonly [string, string[], string[], boolean])[] = [
  ['the same tag', ['"1"'], ['ETag', '"1"'], true],
  ['another tag', ['"2"'], ['ETag', '"1"'], false],
  ['a weak tag is not enough', ['W/"1"'], ['ETag', 'W/"1"'], false],
  ['nor in the response', ['"1"'], ['ETag', 'W/"1"'], false],
  ['no tag in the response', ['"1"'], ['Last-Modified', LAST_MODIFIED], false],
  ['a list is no tag', ['"1", "2"'], ['ETag', '"1"'], false],
  ['two lines are none', ['"1"', '"1"'], ['ETag', '"1"'], false],
  ['the same date', [LAST_MODIFIED], PAGE.fields, true],
  ['an earlier date', ['Wed, 04 Jun 2014 00:00:00 GMT'], PAGE.fields, false],
  ['a later date: it has to be the same (§13.1.5)', ['Fri, 06 Jun 2014 00:00:00 GMT'], PAGE.fields, false],
  ['the same instant in another format is not the same', ['Thursday, 05-Jun-14 00:00:00 GMT'], PAGE.fields, false],
  ['no date in the response', [LAST_MODIFIED], ['ETag', '"1"'], false],
  [
    'a date within the same second is weak (§8.8.2.2)',
    [LAST_MODIFIED],
    ['Last-Modified', LAST_MODIFIED, 'Date', LAST_MODIFIED],
    false,
  ],
  [
    'a date one second before is strong (§8.8.2.2)',
    [LAST_MODIFIED],
    ['Last-Modified', LAST_MODIFIED, 'Date', 'Thu, 05 Jun 2014 00:00:01 GMT'],
    true,
  ],
  ['a date without Date is weak', [LAST_MODIFIED], ['Last-Modified', LAST_MODIFIED], false],
  [
    'a date after Date is weak',
    [LAST_MODIFIED],
    ['Last-Modified', LAST_MODIFIED, 'Date', 'Wed, 04 Jun 2014 00:00:00 GMT'],
    false,
  ],
  [
    'a date of two digits is of the century of Date',
    ['Saturday, 06-Jun-26 00:00:00 GMT'],
    ['Last-Modified', 'Saturday, 06-Jun-26 00:00:00 GMT', 'Date', 'Sat, 06 Jun 2026 00:00:00 GMT'],
    false,
  ],
  ['what is neither tag nor date', ['1'], PAGE.fields, false],
]

describe('If-Range', () => {
  for (const [rule, lines, fields, holds] of IF_RANGE) {
    it(`${rule}: ${lines.join(' | ')} ${holds ? 'holds' : 'does not hold'}`, () => {
      const request = ['Range', 'bytes=0-1', ...lines.flatMap((line) => ['If-Range', line])]
      assert.equal(evaluateRange(request, { status: 200, fields }, 10, { maxRanges: 1 }).kind, holds ? 'part' : 'whole')
    })
  }
})

/** [the rule, the value, what it says] (§14.4) */
const CONTENT_RANGES: readonly (readonly [string, string, string | undefined])[] = [
  ['a part', 'bytes 0-4/10', '0 4 10'],
  ['of unknown length', 'bytes 0-4/*', '0 4 undefined'],
  ['the unit in any case', 'Bytes 0-4/10', '0 4 10'],
  ['the whole', 'bytes 0-9/10', '0 9 10'],
  ['last before first', 'bytes 4-0/10', undefined],
  ['beyond the end', 'bytes 0-10/10', undefined],
  ['unsatisfied', 'bytes */10', undefined],
  ['another unit', 'lines 0-4/10', undefined],
  ['an equals sign', 'bytes=0-4/10', undefined],
  ['white space', 'bytes 0 - 4 / 10', undefined],
  ['no length', 'bytes 0-4', undefined],
  ['numbers that cannot be counted', 'bytes 0-4/9999999999999999', undefined],
  ['two of them', 'bytes 0-4/10, bytes 0-4/10', undefined],
  ['nothing', '', undefined],
]

describe('Content-Range', () => {
  for (const [rule, value, expected] of CONTENT_RANGES) {
    it(`${rule}: ${value}`, () => {
      const range = parseContentRange(value)
      assert.equal(range && `${range.first} ${range.last} ${range.length}`, expected)
    })
  }
  it('is written for a part, and for none (§15.5.17)', () => {
    assert.equal(contentRange({ first: 0, last: 4 }, 10), 'bytes 0-4/10')
    assert.equal(contentRange(undefined, 10), 'bytes */10')
  })
})

describe('fieldsOfNotModified', () => {
  const content = ['Content-Type', 'text/plain', 'Content-Length', '5', 'Content-Encoding', 'gzip', 'Content-Language', 'en']
  const kept = [
    'Cache-Control',
    'max-age=1',
    'Content-Location',
    '/a',
    'Date',
    'x',
    'Expires',
    'x',
    'Vary',
    'a',
    'Set-Cookie',
    'a=b',
  ]

  it('keeps what §15.4.5 wants in a 304, and leaves out what describes the content', () => {
    assert.deepEqual(fieldsOfNotModified([...kept, ...content]), kept)
  })
  it('leaves out Last-Modified only where there is an ETag', () => {
    assert.deepEqual(fieldsOfNotModified(['Last-Modified', LAST_MODIFIED]), ['Last-Modified', LAST_MODIFIED])
    assert.deepEqual(fieldsOfNotModified(['ETag', '"1"', 'Last-Modified', LAST_MODIFIED]), ['ETag', '"1"'])
  })
})
