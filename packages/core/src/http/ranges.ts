// Parts of a representation: Range, If-Range, Content-Range, and what a 304 leaves out (RFC 9110 §14, §13.1.5).
import type { ByteRange } from './body.ts'
import { type Fields, fieldValue, hasField, listMembers, withoutFields } from './fields.ts'
import { parseHttpDate } from './time.ts'
import { entityTag, lastModified, parseEntityTag, strongMatch } from './validators.ts'

export type RangeAnswer =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly range: ByteRange }
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' }

const WHOLE: RangeAnswer = { kind: 'whole' }

/**
 * What a GET with Range, and perhaps If-Range, asks of a complete representation of `length` bytes (RFC 9110 §14.2). Ranges
 * that overlap or touch are put together, in order. Who asks for more than `maxRanges` of them, or for more bytes in sum
 * than there are, gets the whole (§17.15).
 */
export function evaluateRange(
  request: Fields,
  response: { readonly status: number; readonly fields: Fields },
  length: number,
  { maxRanges }: { readonly maxRanges: number },
): RangeAnswer {
  const value = fieldValue(request, 'range')
  if (value === undefined || response.status !== 200 || !ifRangeHolds(request, response.fields)) return WHOLE
  // Of nothing there are no parts: a suffix of it would be satisfiable (§14.1.2), and Content-Range could not say which.
  if (length === 0) return WHOLE
  const asked = parseRange(value)
  if (asked === undefined) return WHOLE
  const ranges = asked.map((range) => within(range, length)).filter((range) => range !== undefined)
  if (ranges.length === 0) return { kind: 'unsatisfiable' }
  const bytes = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  if (bytes > length) return WHOLE
  const parts = coalesced(ranges)
  const [range] = parts
  if (range === undefined || parts.length > maxRanges) return WHOLE
  return parts.length === 1 ? { kind: 'part', range } : { kind: 'parts', ranges: parts }
}

/** Only the same bytes can be continued: a strong entity tag, or a time that is a strong validator (RFC 9110 §13.1.5). */
function ifRangeHolds(request: Fields, response: Fields): boolean {
  const value = fieldValue(request, 'if-range')
  if (value === undefined) return true
  const asked = parseEntityTag(value)
  const tag = entityTag(response)
  if (asked !== undefined) return tag !== undefined && strongMatch(asked, tag)
  const modified = lastModified(response)
  if (modified === undefined || modified !== value) return false
  // Within the same second it could have changed once more (RFC 9110 §8.8.2.2).
  const date = parseHttpDate(fieldValue(response, 'date') ?? '', 0)
  return date !== undefined && date - (parseHttpDate(modified, date) ?? date) >= 1000
}

/** One of `first-last`, `first-` and `-suffix`. */
type RangeSpec = { readonly first: number; readonly last: number } | { readonly suffix: number }

/** `undefined` when it is to be ignored: another unit, or not what RFC 9110 §14.1.1 allows. */
function parseRange(value: string): RangeSpec[] | undefined {
  if (!/^bytes=/i.test(value)) return undefined
  const specs: RangeSpec[] = []
  for (const member of listMembers(value.slice('bytes='.length))) {
    const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(member) ?? []
    if (first === '' && last === '') return undefined
    if (first === '') specs.push({ suffix: Number(last) })
    else if (last !== '' && Number(last) < Number(first)) return undefined
    else specs.push({ first: Number(first), last: last === '' ? Number.POSITIVE_INFINITY : Number(last) })
  }
  return specs.length === 0 ? undefined : specs
}

/**
 * The slices that a single range lies in, from the first byte of the first to the last byte of the last, whether or not the
 * body has so many. `undefined` when it is no single range, counts from the end, or would be the whole body.
 */
export function alignedRange(value: string, sliceBytes: number): ByteRange | undefined {
  const [spec, other] = parseRange(value) ?? []
  if (spec === undefined || other !== undefined || 'suffix' in spec) return undefined
  const first = Math.floor(spec.first / sliceBytes) * sliceBytes
  const last = Number.isFinite(spec.last) ? (Math.floor(spec.last / sliceBytes) + 1) * sliceBytes - 1 : spec.last
  return first === 0 && !Number.isFinite(last) ? undefined : { first, last }
}

/** The slices that a range lies in, in order, each with which of its bytes are meant. */
export function* inSlices(
  { first, last }: ByteRange,
  sliceBytes: number,
): Generator<{ readonly slice: number; readonly range: ByteRange }> {
  for (let slice = Math.floor(first / sliceBytes); slice * sliceBytes <= last; slice++) {
    const begin = slice * sliceBytes
    yield { slice, range: { first: Math.max(0, first - begin), last: Math.min(sliceBytes - 1, last - begin) } }
  }
}

/** Whether it is a single range that counts from the end. */
export function isFromEnd(value: string): boolean {
  const [spec, other] = parseRange(value) ?? []
  return spec !== undefined && 'suffix' in spec && other === undefined
}

/** A Range for these bytes; a last one of infinity stands for the end of the body. */
export function rangeOf({ first, last }: ByteRange): string {
  return `bytes=${first}-${Number.isFinite(last) ? last : ''}`
}

/** The bytes there are of a range; `undefined` when there are none. */
function within(spec: RangeSpec, length: number): ByteRange | undefined {
  const first = 'suffix' in spec ? Math.max(0, length - spec.suffix) : spec.first
  const last = 'suffix' in spec ? length - 1 : Math.min(spec.last, length - 1)
  return first <= last ? { first, last } : undefined
}

function coalesced(ranges: readonly ByteRange[]): ByteRange[] {
  const parts: ByteRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = parts.at(-1)
    if (before === undefined || range.first > before.last + 1) parts.push(range)
    else parts[parts.length - 1] = { first: before.first, last: Math.max(before.last, range.last) }
  }
  return parts
}

/** Content-Range for a part, or, without one, for a 416 (RFC 9110 §14.4). */
export function contentRange(range: ByteRange | undefined, length: number): string {
  return range === undefined ? `bytes */${length}` : `bytes ${range.first}-${range.last}/${length}`
}

/** Content-Range of a 206; `length` is `undefined` when unknown. `undefined` when it is invalid (RFC 9110 §14.4). */
export function parseContentRange(
  value: string,
): { readonly first: number; readonly last: number; readonly length: number | undefined } | undefined {
  const parts = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(value)
  if (parts === null) return undefined
  const [first, last] = [Number(parts[1]), Number(parts[2])]
  const length = parts[3] === '*' ? undefined : Number(parts[3])
  return first > last || last >= (length ?? Number.POSITIVE_INFINITY) ? undefined : { first, last, length }
}

const OF_CONTENT: ReadonlySet<string> = new Set([
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'digest',
  'repr-digest',
])
const OF_CONTENT_AND_TIME: ReadonlySet<string> = new Set([...OF_CONTENT, 'last-modified'])

/** What a 304 carries of a 200: not what describes the content that it does not have (RFC 9110 §15.4.5). */
export function fieldsOfNotModified(fields: Fields): string[] {
  return withoutFields(fields, hasField(fields, 'etag') ? OF_CONTENT_AND_TIME : OF_CONTENT)
}
