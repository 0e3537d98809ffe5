// HTTP-date in its three formats, and nothing else (RFC 9110 §5.6.7).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatHttpDate, parseHttpDate, systemClock } from '../../src/http/time.ts'

const NOW = Date.UTC(2014, 5, 6)

/** [the rule, the text, when that is in ISO 8601, or `undefined` when it is no date] */
const DATES: readonly (readonly [string, string, string | undefined])[] = [
  ['IMF-fixdate (§5.6.7)', 'Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],
  ['the RFC 850 format (§5.6.7)', 'Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37Z'],
  ['the format of asctime() (§5.6.7)', 'Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37Z'],
  ['asctime() with a day of two digits', 'Wed Nov 16 08:49:37 1994', '1994-11-16T08:49:37Z'],

  ['any case: day (RFC 9111 §4.2)', 'SUN, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],
  ['any case: month (RFC 9111 §4.2)', 'Sun, 06 nOV 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],
  ['any case: zone (RFC 9111 §4.2)', 'Sun, 06 Nov 1994 08:49:37 gmt', '1994-11-06T08:49:37Z'],
  ['any case: RFC 850', 'sunday, 06-NOV-94 08:49:37 Gmt', '1994-11-06T08:49:37Z'],
  ['any case: asctime()', 'sun nov  6 08:49:37 1994', '1994-11-06T08:49:37Z'],
  ['the day of the week is not compared with the date', 'Mon, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],

  ['the earliest year', 'Sat, 01 Jan 0000 00:00:00 GMT', '0000-01-01T00:00:00Z'],
  ['a year below 100 is that year', 'Tue, 06 Nov 0094 08:49:37 GMT', '0094-11-06T08:49:37Z'],
  ['the latest second', 'Fri, 31 Dec 9999 23:59:59 GMT', '9999-12-31T23:59:59Z'],
  ['before 1970', 'Wed, 31 Dec 1969 23:59:59 GMT', '1969-12-31T23:59:59Z'],
  ['a leap second is the second after (§5.6.7: 60)', 'Sat, 31 Dec 2016 23:59:60 GMT', '2017-01-01T00:00:00Z'],
  ['a leap day', 'Wed, 29 Feb 2012 00:00:00 GMT', '2012-02-29T00:00:00Z'],
  ['a leap day every 400 years', 'Tue, 29 Feb 2000 00:00:00 GMT', '2000-02-29T00:00:00Z'],
  ['a leap day in RFC 850', 'Wednesday, 29-Feb-12 00:00:00 GMT', '2012-02-29T00:00:00Z'],
  ['a leap day in asctime()', 'Wed Feb 29 00:00:00 2012', '2012-02-29T00:00:00Z'],

  ['no leap day in a common year', 'Thu, 29 Feb 2013 00:00:00 GMT', undefined],
  ['no leap day in three of four centuries', 'Mon, 29 Feb 1900 00:00:00 GMT', undefined],
  ['no 31st of a month of 30 days', 'Mon, 31 Jun 2014 00:00:00 GMT', undefined],
  ['no day 0', 'Mon, 00 Jun 2014 00:00:00 GMT', undefined],
  ['no day 0 in asctime()', 'Mon Jun  0 00:00:00 2014', undefined],
  ['no day 32', 'Mon, 32 Jan 2014 00:00:00 GMT', undefined],
  ['no hour 24', 'Sun, 06 Nov 1994 24:00:00 GMT', undefined],
  ['no minute 60', 'Sun, 06 Nov 1994 08:60:37 GMT', undefined],
  ['no second 61', 'Sun, 06 Nov 1994 08:49:61 GMT', undefined],
  ['no 13th month', 'Sun, 06 Foo 1994 08:49:37 GMT', undefined],

  ['GMT only: UTC (§5.6.7)', 'Sun, 06 Nov 1994 08:49:37 UTC', undefined],
  ['GMT only: an offset', 'Sun, 06 Nov 1994 08:49:37 +0000', undefined],
  ['GMT only: none', 'Sun, 06 Nov 1994 08:49:37', undefined],
  ['GMT only: AEST', 'Sun, 06 Nov 1994 08:49:37 AEST', undefined],
  ['asctime() has no zone', 'Sun Nov  6 08:49:37 1994 GMT', undefined],
  ['a comma after the day', 'Sun 06 Nov 1994 08:49:37 GMT', undefined],
  ['single spaces', 'Sun,  06 Nov 1994  08:49:37 GMT', undefined],
  ['no dashes in IMF-fixdate', 'Sun, 06-Nov-1994 08:49:37 GMT', undefined],
  ['no spaces in RFC 850', 'Sunday, 06 Nov 94 08:49:37 GMT', undefined],
  ['days of two digits', 'Sun, 6 Nov 1994 08:49:37 GMT', undefined],
  ['days of asctime() are filled up with a space', 'Sun Nov 6 08:49:37 1994', undefined],
  ['hours of two digits', 'Sun, 06 Nov 1994 8:49:37 GMT', undefined],
  ['years of four digits', 'Sun, 06 Nov 94 08:49:37 GMT', undefined],
  ['years of two digits in RFC 850', 'Sunday, 06-Nov-1994 08:49:37 GMT', undefined],
  ['short days in IMF-fixdate', 'Sunday, 06 Nov 1994 08:49:37 GMT', undefined],
  ['long days in RFC 850', 'Sun, 06-Nov-94 08:49:37 GMT', undefined],
  ['short months', 'Sun, 06 November 1994 08:49:37 GMT', undefined],
  ['days in English', 'Son, 06 Nov 1994 08:49:37 GMT', undefined],
  ['nothing before it', ' Sun, 06 Nov 1994 08:49:37 GMT', undefined],
  ['nothing after it', 'Sun, 06 Nov 1994 08:49:37 GMT ', undefined],
  ['not two of them', 'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT', undefined],
  ['ASCII digits', 'Sun, ٠٦ Nov 1994 08:49:37 GMT', undefined],
  ['not ISO 8601', '1994-11-06T08:49:37Z', undefined],
  ['not a number (RFC 9111 §5.3)', '0', undefined],
  ['not the empty text', '', undefined],
]

describe('parseHttpDate', () => {
  for (const [rule, text, expected] of DATES) {
    it(`${rule}: "${text}" is ${expected ?? 'no date'}`, () => {
      assert.equal(parseHttpDate(text, NOW), expected === undefined ? undefined : Date.parse(expected))
    })
  }

  /** What looks more than 50 years away is the past (RFC 9110 §5.6.7). [now, the text, the year] */
  const TWO_DIGITS: readonly (readonly [string, string, number])[] = [
    ['2014-06-06', 'Friday, 06-Jun-14 00:00:00 GMT', 2014],
    ['2014-06-06', 'Wednesday, 06-Jun-63 00:00:00 GMT', 2063],
    ['2014-06-06', 'Friday, 06-Jun-64 00:00:00 GMT', 2064],
    ['2014-06-06', 'Saturday, 07-Jun-64 00:00:00 GMT', 1964],
    ['2014-06-06', 'Monday, 06-Jun-99 00:00:00 GMT', 1999],
    ['2014-06-06', 'Tuesday, 06-Jun-00 00:00:00 GMT', 2000],
    ['1994-11-06', 'Tuesday, 06-Jun-00 00:00:00 GMT', 2000],
    ['1994-11-06', 'Friday, 06-Jun-44 00:00:00 GMT', 2044],
    ['1994-11-06', 'Wednesday, 06-Jun-45 00:00:00 GMT', 1945],
    ['2080-06-06', 'Tuesday, 29-Feb-00 00:00:00 GMT', 2000],
    ['2024-02-29', 'Thursday, 29-Feb-24 00:00:00 GMT', 2024],
  ]
  for (const [now, text, year] of TWO_DIGITS) {
    it(`in ${now.slice(0, 4)}, "${text}" is in ${year}`, () => {
      assert.equal(new Date(parseHttpDate(text, Date.parse(now)) ?? Number.NaN).getUTCFullYear(), year)
    })
  }
})

describe('formatHttpDate', () => {
  const FORMATTED: readonly (readonly [number, string])[] = [
    [Date.UTC(1994, 10, 6, 8, 49, 37), 'Sun, 06 Nov 1994 08:49:37 GMT'],
    [Date.UTC(1994, 10, 6, 8, 49, 37, 999), 'Sun, 06 Nov 1994 08:49:37 GMT'],
    [0, 'Thu, 01 Jan 1970 00:00:00 GMT'],
    [-1, 'Wed, 31 Dec 1969 23:59:59 GMT'],
    [Date.parse('0094-11-06T08:49:37Z'), 'Sat, 06 Nov 0094 08:49:37 GMT'],
    [Date.UTC(9999, 11, 31, 23, 59, 59), 'Fri, 31 Dec 9999 23:59:59 GMT'],
  ]
  for (const [at, text] of FORMATTED) it(`${at} is "${text}"`, () => assert.equal(formatHttpDate(at), text))

  it('does not mix up one second with another', () => {
    const texts = [1000, 2000, 1000, 1999].map(formatHttpDate)
    assert.deepEqual(
      texts.map((text) => text.slice(-6)),
      [':01 GMT', ':02 GMT', ':01 GMT', ':01 GMT'].map((text) => text.slice(-6)),
    )
  })
})

describe('the clock of the machine', () => {
  it('calls back, unless that is cancelled', async () => {
    const called: string[] = []
    await new Promise<void>((resolve) => {
      systemClock.after(0, () => called.push('cancelled'))()
      systemClock.after(1, () => {
        called.push('in time')
        resolve()
      })
    })
    assert.deepEqual(called, ['in time'])
  })

  it('takes a time that is too long for a timer as far away, not as at once', async () => {
    let called = false
    const cancel = systemClock.after(Number.MAX_SAFE_INTEGER, () => {
      called = true
    })
    await new Promise((resolve) => setTimeout(resolve, 10))
    cancel()
    assert.equal(called, false)
  })
})
