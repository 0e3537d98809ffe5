// Fields after a body: which of them go on, and to whom (RFC 9110 §6.5).
import { endToEndFields, type Fields, fieldValue, listMembers, withoutFields } from './fields.ts'

/** What frames a message, routes it, says who may see it, or describes its content comes before the body or not at all (RFC 9110 §6.5.1). */
const NO_TRAILERS: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'cache-control',
  'cache-status',
  'cdn-cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expires',
  'host',
  'location',
  'retry-after',
  'set-cookie',
  'surrogate-control',
  'surrogate-key',
  'vary',
  'via',
  'www-authenticate',
])

export function passedTrailers(trailers: Fields): string[] {
  return withoutFields(endToEndFields(trailers), NO_TRAILERS)
}

/** Whether a client does something with them: who has not said so may never look, or stumble (RFC 9110 §10.1.4). */
export function takesTrailers(request: Fields): boolean {
  return listMembers(fieldValue(request, 'te') ?? '').some((coding) => coding.toLowerCase() === 'trailers')
}
