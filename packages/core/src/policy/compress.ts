// Which bodies are worth compressing, and as what (RFC 9110 §8.4).
import { parseDirectives } from '../http/cache-control.ts'
import { type Fields, fieldValue, hasField, listMembers, withField, withoutFields } from '../http/fields.ts'

export type Coding = 'zstd' | 'br' | 'gzip'

/** The best first. */
const CODINGS: readonly Coding[] = ['zstd', 'br', 'gzip']

/** Smaller ones would hardly get smaller, and their fields longer. */
const LEAST_BYTES = 1024

const COMPRESSIBLE =
  /^(?:text\/(?!event-stream)|application\/(?:(?:x-)?javascript|json|xml|wasm|manifest\+json|vnd\.ms-fontobject|[\w.-]+\+(?:json|xml))|image\/(?:svg\+xml|bmp|x-icon|vnd\.microsoft\.icon)|font\/(?:ttf|otf|sfnt))/i

const LENGTHS: ReadonlySet<string> = new Set(['content-length', 'accept-ranges', 'content-md5', 'content-digest'])

/** The one coding that a client gets, so that hardly any differ in what is chosen for them; `undefined`: none. */
export function chosenCoding(request: Fields): Coding | undefined {
  const accepted = fieldValue(request, 'accept-encoding')?.toLowerCase()
  if (accepted === undefined) return undefined
  const members = listMembers(accepted).map((member) => member.split(';').map((part) => part.trim()))
  const accepts = (coding: string): boolean =>
    members.some(([name, weight]) => name === coding && !/^q=0(?:\.0*)?$/.test(weight ?? ''))
  return CODINGS.find(accepts)
}

/** Says one coding in place of all that the client accepts. */
export function withChosenCoding(request: Fields): string[] {
  const coding = chosenCoding(request)
  if (coding === undefined) return withoutFields(request, new Set(['accept-encoding']))
  return withField(request, 'accept-encoding', coding, 'Accept-Encoding')
}

/** Whether a response may be compressed, for a client that takes it. */
export function isCompressible({ status, fields }: { readonly status: number; readonly fields: Fields }): boolean {
  if (status === 206 || status === 204 || status === 304 || hasField(fields, 'content-encoding')) return false
  if (!COMPRESSIBLE.test(fieldValue(fields, 'content-type') ?? '')) return false
  if (Number(fieldValue(fields, 'content-length') ?? LEAST_BYTES) < LEAST_BYTES) return false
  return !parseDirectives(fieldValue(fields, 'cache-control') ?? '').has('no-transform')
}

/** The fields of a response whose body is compressed, or would be for another client. */
export function compressedFields(fields: Fields, coding: Coding | undefined): string[] {
  const varied = withVary(fields)
  return coding === undefined ? varied : [...weakened(withoutFields(varied, LENGTHS)), 'Content-Encoding', coding]
}

/** A 304 speaks of what the origin has; what is stored is its compressed twin. */
export function freshenedFields(fields: Fields, stored: Fields): Fields {
  return hasField(stored, 'content-encoding') && fieldValue(stored, 'etag')?.startsWith('W/')
    ? weakened(withVary(fields))
    : fields
}

function withVary(fields: Fields): string[] {
  const vary = fieldValue(fields, 'vary')
  if (vary === undefined) return [...fields, 'Vary', 'Accept-Encoding']
  const has = listMembers(vary.toLowerCase()).some((name) => name === '*' || name === 'accept-encoding')
  return has ? [...fields] : withField(fields, 'vary', `${vary}, Accept-Encoding`)
}

/** Two encodings of the same are not the same bytes (RFC 9110 §8.8.3.3). */
function weakened(fields: Fields): string[] {
  const tag = fieldValue(fields, 'etag')
  return tag === undefined || tag.startsWith('W/') ? [...fields] : withField(fields, 'etag', `W/${tag}`)
}
