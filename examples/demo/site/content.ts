// What a response carries, answered as HTTP asks for it: conditions (RFC 9110 §13), ranges (§14), HEAD.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Bytes of known length, any part of which can be had without the rest. */
export interface Content {
  readonly length: number
  /** The bytes from `first` to `last`, both included, 0 being the first; `last` is less than `length`. */
  bytes(first: number, last: number): Iterable<Uint8Array>
}

export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly fields: Readonly<Record<string, string>>
  readonly content: Content
}

export function contentOf(data: string | Buffer): Content {
  const buffer = Buffer.from(data)
  return {
    length: buffer.length,
    *bytes(first, last) {
      yield buffer.subarray(first, last + 1)
    },
  }
}

/** A strong entity tag for these bytes. */
export function entityTag(data: string | Buffer): string {
  return `"${createHash('sha256').update(data).digest('base64url').slice(0, 16)}"`
}

/** Sends as much of an answer as the request wants. Resolves when it is out; rejects when the client leaves before that. */
export async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const { fields, content } = answer
  const whole = { first: 0, last: content.length - 1 }

  const respond = async (
    status: number,
    extra: Readonly<Record<string, string | number>>,
    part: ByteRange | undefined,
  ): Promise<void> => {
    response.writeHead(status, { ...fields, ...extra })
    if (request.method === 'HEAD' || part === undefined || content.length === 0) response.end()
    else await pipeline(Readable.from(content.bytes(part.first, part.last)), response)
  }

  if (answer.status !== 200) return respond(answer.status, { 'content-length': content.length }, whole)
  if (isNotModified(request, fields)) return respond(304, {}, undefined)

  const range =
    request.method === 'GET' && mayBeRange(request, fields) ? parseRange(request.headers.range, content.length) : undefined
  if (range === 'unsatisfiable') {
    return respond(416, { 'content-range': `bytes */${content.length}`, 'content-length': 0 }, undefined)
  }
  if (range === undefined) return respond(200, { 'accept-ranges': 'bytes', 'content-length': content.length }, whole)
  const { first, last } = range
  return respond(206, { 'content-range': `bytes ${first}-${last}/${content.length}`, 'content-length': last - first + 1 }, range)
}

type Fields = Answer['fields']

/** If-None-Match where there is one, else If-Modified-Since (RFC 9110 §13.2.2). */
function isNotModified(request: IncomingMessage, fields: Fields): boolean {
  const tags = request.headers['if-none-match']
  if (tags !== undefined) return tags === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === fields.etag)
  const since = Date.parse(request.headers['if-modified-since'] ?? '')
  return Date.parse(fields['last-modified'] ?? '') <= since
}

/** If-Range: a part only of what the client has already, compared byte for byte (RFC 9110 §13.1.5). */
function mayBeRange(request: IncomingMessage, fields: Fields): boolean {
  const condition = request.headers['if-range']
  return condition === undefined || condition === fields.etag || condition === fields['last-modified']
}

interface ByteRange {
  readonly first: number
  readonly last: number
}

/** Several ranges, other units and nonsense are ignored, as RFC 9110 §14.2 allows: the answer is then the whole. */
function parseRange(field: string | undefined, length: number): ByteRange | 'unsatisfiable' | undefined {
  const [, from, to, suffix] = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/.exec(field ?? '') ?? []
  if (suffix !== undefined) {
    const count = Math.min(Number(suffix), length)
    return count === 0 ? 'unsatisfiable' : { first: length - count, last: length - 1 }
  }
  if (from === undefined) return undefined
  const first = Number(from)
  const last = to === undefined || to === '' ? length - 1 : Math.min(Number(to), length - 1)
  if (to !== undefined && to !== '' && Number(to) < first) return undefined
  return first >= length ? 'unsatisfiable' : { first, last }
}
