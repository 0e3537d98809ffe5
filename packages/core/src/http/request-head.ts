// The heads of requests, as far as they are beyond doubt: a subset of RFC 9112 that every parser reads in the same way.
import { type Fields, isFieldName } from './fields.ts'
import { knowing } from './known.ts'

/** A complete request that has no body and leaves the connection open. */
export interface RequestHead {
  readonly method: 'GET' | 'HEAD'
  /** In origin form. */
  readonly target: string
  /** The one Host: a name with an optional port. */
  readonly host: string
  readonly fields: Fields
  /** Where the next request begins. */
  readonly end: number
}

const REQUEST_LINE = /(GET|HEAD) (\/[!"$-[\]-~]*) HTTP\/1\.1\r\n/y
const NOT_OF_A_VALUE = /[^\t -~\x80-\xff]/
const HOST = /^[\w.-]+(?::\d{1,5})?$/

/** More is left to those who count: limits are theirs. */
const MAX_FIELDS = 100

const isName = knowing(isFieldName, 500)

const SPACE = 32
const TAB = 9

/**
 * The request whose first byte is at `start`; a character of `text` stands for a byte. `undefined`: it is not complete, not GET or HEAD of
 * HTTP/1.1, has a body, wants another protocol, an interim response or the end of the connection (RFC 9110 §7.6.1, §7.8, §10.1.1), or is
 * written in a way that is rare, questionable or wrong.
 */
export function readRequestHead(text: string, start: number): RequestHead | undefined {
  REQUEST_LINE.lastIndex = start
  const line = REQUEST_LINE.exec(text)
  if (line === null) return undefined
  const fields: string[] = []
  let host: string | undefined
  let at = REQUEST_LINE.lastIndex
  while (text.charCodeAt(at) !== 13 /* CR */) {
    const colon = text.indexOf(':', at)
    const end = text.indexOf('\r\n', at)
    if (colon < 0 || end < colon || fields.length >= 2 * MAX_FIELDS) return undefined
    const name = text.slice(at, colon)
    // At most one space after the colon, and a value that neither begins nor ends with any.
    const value = text.slice(text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1, end)
    const [first, last] = [value.charCodeAt(0), value.charCodeAt(value.length - 1)]
    if (first === SPACE || first === TAB || last === SPACE || last === TAB) return undefined
    if (!isName(name) || NOT_OF_A_VALUE.test(value)) return undefined
    // Comparing lengths first: this is done for every field of every request.
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== 'host') break
        if (host !== undefined || !HOST.test(value)) return undefined
        host = value
        break
      case 10:
        if (name.toLowerCase() === 'connection' && value.toLowerCase() !== 'keep-alive') return undefined
        break
      case 6:
      case 7:
      case 14:
      case 16:
      case 17:
        if (DOUBTFUL.has(name.toLowerCase())) return undefined
    }
    fields.push(name, value)
    at = end + 2
  }
  if (host === undefined || text.charCodeAt(at + 1) !== 10 /* LF */) return undefined
  return { method: line[1] as 'GET' | 'HEAD', target: line[2] as string, host, fields, end: at + 2 }
}

/** Fields that say where the message ends, or what becomes of the connection. */
const DOUBTFUL: ReadonlySet<string> = new Set(['content-length', 'expect', 'proxy-connection', 'transfer-encoding', 'upgrade'])
