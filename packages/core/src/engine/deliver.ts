// What of a complete response this client gets: its conditions, its Range, HEAD (RFC 9110 §13, §14).
import type { ByteRange } from '../http/body.ts'
import type { Fields } from '../http/fields.ts'
import { withoutFields } from '../http/fields.ts'
import { evaluatePreconditions } from '../http/preconditions.ts'
import { contentRange, evaluateRange, fieldsOfNotModified } from '../http/ranges.ts'
import type { Millis } from '../http/time.ts'

export interface Part {
  readonly status: number
  /** With Content-Length where it is known. */
  readonly fields: string[]
  readonly body: 'none' | 'whole' | ByteRange
}

const CONTENT: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'content-encoding',
  'content-language',
  'content-range',
  'content-location',
])

/** `length` is that of the whole body in bytes; without it, ranges cannot be cut. */
export function partFor(
  method: string,
  request: Fields,
  response: { readonly status: number; readonly fields: Fields },
  length: number | undefined,
  now: Millis,
): Part {
  const { status, fields } = response
  if (status === 200 && asksForLess(request)) {
    const verdict = evaluatePreconditions(method, request, response, now)
    if (verdict === 'not-modified') return { status: 304, fields: fieldsOfNotModified(fields), body: 'none' }
    if (verdict === 'failed') return { status: 412, fields: without(fields, 'Content-Length', '0'), body: 'none' }
    // Several ranges are answered with the whole, as RFC 9110 §14.2 allows.
    const answer =
      method === 'GET' && length !== undefined ? evaluateRange(request, response, length, { maxRanges: 1 }) : undefined
    if (answer?.kind === 'unsatisfiable')
      return {
        status: 416,
        fields: without(fields, 'Content-Range', contentRange(undefined, length ?? 0), 'Content-Length', '0'),
        body: 'none',
      }
    if (answer?.kind === 'part') {
      const { range } = answer
      return {
        status: 206,
        fields: [
          ...fields,
          'Content-Range',
          contentRange(range, length ?? 0),
          'Content-Length',
          String(range.last - range.first + 1),
        ],
        body: range,
      }
    }
  }
  if (status === 204 || status === 304) return { status, fields: [...fields], body: 'none' }
  return {
    status,
    fields: length === undefined ? [...fields] : [...fields, 'Content-Length', String(length)],
    body: method === 'HEAD' ? 'none' : 'whole',
  }
}

/** An error about a representation does not carry what describes its content. */
function without(fields: Fields, ...instead: string[]): string[] {
  return [...withoutFields(fields, CONTENT), ...instead]
}

/** Whether there is a Range or any condition. One pass over the names, for every hit. */
export function asksForLess(request: Fields): boolean {
  for (let at = 0; at < request.length; at += 2) {
    const name = request[at] as string
    const first = name.charCodeAt(0) | 32
    if (first === 105 /* i */ && name.charCodeAt(2) === 45 /* - */ && (name.charCodeAt(1) | 32) === 102 /* f */) return true
    if (first === 114 /* r */ && name.length === 5 && name.toLowerCase() === 'range') return true
  }
  return false
}
