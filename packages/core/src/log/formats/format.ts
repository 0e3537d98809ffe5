// A format: how an entry becomes a line. And what several formats need of an entry: parts of its URL, times, clean text.
import type { LogEntry } from '../entry.ts'

/** One line for an entry. It ends with a line feed and has no other, whatever a client has sent. */
export type LogFormat = (entry: LogEntry) => string

export interface UrlParts {
  readonly scheme: string
  readonly host: string
  readonly path: string
  /** With its "?", or empty. */
  readonly query: string
}

/** Of an entry's URL, which is absolute. */
export function urlParts(url: string): UrlParts {
  const colon = url.indexOf('://')
  const slash = url.indexOf('/', colon + 3)
  const start = slash < 0 ? url.length : slash
  const mark = url.indexOf('?', start)
  const end = mark < 0 ? url.length : mark
  return { scheme: url.slice(0, colon), host: url.slice(colon + 3, start), path: url.slice(start, end), query: url.slice(end) }
}

export function pathOf(url: string): string {
  const slash = url.indexOf('/', url.indexOf('://') + 3)
  if (slash < 0) return ''
  const mark = url.indexOf('?', slash)
  return mark < 0 ? url.slice(slash) : url.slice(slash, mark)
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
let formatted = { second: Number.NaN, text: '' }

/** "06/Jun/2014:00:00:00 +0000": the date of the common log format, in UTC. */
export function clfTime(at: number): string {
  const second = Math.floor(at / 1000)
  if (second !== formatted.second) {
    // 2014-06-06T00:00:00.000Z
    const iso = new Date(second * 1000).toISOString()
    const month = MONTHS[Number(iso.slice(5, 7)) - 1]
    formatted = { second, text: `${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000` }
  }
  return formatted.text
}

export function isoTime(at: number): string {
  return new Date(at).toISOString()
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const CONTROL = /[\x00-\x1f\x7f\u0085\u2028\u2029]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const UNCLEAN = /[\x00-\x1f\x7f-\uffff]/

/**
 * Text that a client has sent, fit for a line: without control characters, and read as UTF-8 where it is that. Node gives
 * fields as bytes, a character each.
 */
export function clean(text: string): string {
  return UNCLEAN.test(text) ? asUtf8(text).replace(CONTROL, ' ').toWellFormed() : text
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function asUtf8(text: string): string {
  if (!/^[\0-\xff]*[\x80-\xff][\0-\xff]*$/.test(text)) return text
  try {
    return decoder.decode(Buffer.from(text, 'latin1'))
  } catch {
    return text
  }
}

/** A number as a decimal with a point, whatever it is: "52.0", "-0.5", never "1e-7". */
export function decimal(value: number): string {
  if (!Number.isFinite(value)) return '0.0'
  const text = Number.isInteger(value) ? value.toFixed(1) : value.toString()
  return text.includes('e') ? value.toFixed(6) : text
}
