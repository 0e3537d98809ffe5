// What time it is, where it comes from, and how HTTP writes it (RFC 9110 §5.6.7).

/** Milliseconds since 1970-01-01T00:00Z. */
export type Millis = number
export type Seconds = number

/** Where time comes from. Tests pass a fake one. */
export interface Clock {
  now(): Millis
  /** Calls back once, after `ms` milliseconds (at most 2^31 - 1, some 25 days); returns a function that cancels. */
  after(ms: Millis, callback: () => void): () => void
}

const LONGEST_TIMEOUT = 2 ** 31 - 1

/** The machine's clock. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    // setTimeout() takes anything longer for "at once".
    const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMEOUT))
    // Only Node's timers hold the process; in other runtimes a timer is a number.
    ;(timer as { unref?(): void }).unref?.()
    return () => clearTimeout(timer)
  },
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const MONTH = `(${MONTHS.join('|')})`
const TIME = '([01]\\d|2[0-3]):([0-5]\\d):([0-5]\\d|60)'
const IMF_FIXDATE = new RegExp(`^(?:mon|tue|wed|thu|fri|sat|sun), (\\d\\d) ${MONTH} (\\d{4}) ${TIME} gmt$`, 'i')
const RFC850_DATE = new RegExp(`^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} gmt$`, 'i')
const ASCTIME_DATE = new RegExp(`^(?:mon|tue|wed|thu|fri|sat|sun) ${MONTH} (\\d\\d| \\d) ${TIME} (\\d{4})$`, 'i')

/**
 * An HTTP-date in any of its three formats, or `undefined`. The grammar is strict but for case, which it leaves open
 * (RFC 9111 §4.2); the name of the day is not compared with the date. `now` places RFC 850's two-digit year.
 */
export function parseHttpDate(text: string, now: Millis): Millis | undefined {
  const imf = IMF_FIXDATE.exec(text)
  if (imf !== null) return instant(Number(imf[3]), imf[2], imf[1], imf[4], imf[5], imf[6])
  const asctime = ASCTIME_DATE.exec(text)
  if (asctime !== null) return instant(Number(asctime[6]), asctime[1], asctime[2], asctime[3], asctime[4], asctime[5])
  const rfc850 = RFC850_DATE.exec(text)
  if (rfc850 === null) return undefined
  const inYear = (year: number) => instant(year, rfc850[2], rfc850[1], rfc850[4], rfc850[5], rfc850[6])
  // What looks more than 50 years away lies in the past (RFC 9110 §5.6.7).
  const horizon = new Date(now)
  horizon.setUTCFullYear(horizon.getUTCFullYear() + 50)
  const year = Math.floor(horizon.getUTCFullYear() / 100) * 100 + Number(rfc850[3])
  const at = inYear(year)
  return at !== undefined && at <= horizon.getTime() ? at : inYear(year - 100)
}

/** The Gregorian calendar repeats every 400 years; counting from there, Date.UTC() takes no year for one of 1900. */
const CALENDAR: Millis = 146_097 * 86_400_000

type Part = string | undefined

function instant(year: number, month: Part = '', day: Part, hour: Part, minute: Part, second: Part): Millis | undefined {
  const at = Date.UTC(year + 400, MONTHS.indexOf(month.toLowerCase()), Number(day), Number(hour), Number(minute)) - CALENDAR
  // The 31st of June is not the 1st of July.
  if (new Date(at).getUTCDate() !== Number(day)) return undefined
  return at + Number(second) * 1000
}

let formatted = { second: Number.NaN, text: '' }

/** The time as an IMF-fixdate. Years 0 to 9999 have one. */
export function formatHttpDate(at: Millis): string {
  const second = Math.floor(at / 1000)
  // Every response carries the date, and formatting it costs more than the rest of its head.
  if (second !== formatted.second) formatted = { second, text: new Date(second * 1000).toUTCString() }
  return formatted.text
}
