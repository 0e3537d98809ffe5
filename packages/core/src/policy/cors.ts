// Which pages of other sites may read what a route answers (Fetch standard, CORS protocol).
import { type Fields, fieldValue } from '../http/fields.ts'

export interface Cors {
  /** "*": any. */
  readonly origins: '*' | ReadonlySet<string>
  readonly credentials: boolean
  /** "*": whatever is asked for. */
  readonly headers: '*' | string
  readonly methods: string
  /** Fields that pages may read besides the usual ones; "" for none. */
  readonly expose: string
  /** How long a browser may remember it, in seconds. */
  readonly maxAge: number
}

/** Whether this is a browser asking whether it may ask. */
export function isPreflight(method: string, fields: Fields): boolean {
  return (
    method === 'OPTIONS' &&
    fieldValue(fields, 'origin') !== undefined &&
    fieldValue(fields, 'access-control-request-method') !== undefined
  )
}

/** What to add to an answer, and to take out of it first. */
export function corsFields(cors: Cors, request: Fields, preflight: boolean): string[] {
  const origin = fieldValue(request, 'origin')
  const isOpen = cors.origins === '*' && !cors.credentials
  const fields = isOpen ? [] : ['Vary', 'Origin']
  if (!isOpen && (origin === undefined || !(cors.origins === '*' || cors.origins.has(origin)))) return fields
  fields.push('Access-Control-Allow-Origin', isOpen ? '*' : (origin as string))
  if (cors.credentials) fields.push('Access-Control-Allow-Credentials', 'true')
  if (cors.expose !== '' && !preflight) fields.push('Access-Control-Expose-Headers', cors.expose)
  if (!preflight) return fields
  const asked = fieldValue(request, 'access-control-request-headers')
  fields.push('Access-Control-Allow-Methods', cors.methods)
  if (cors.headers !== '*') fields.push('Access-Control-Allow-Headers', cors.headers)
  else if (asked !== undefined) fields.push('Access-Control-Allow-Headers', asked)
  fields.push('Access-Control-Max-Age', String(cors.maxAge))
  return fields
}

/** What an origin says of it gives way to what the route says. */
export const CORS_FIELDS: ReadonlySet<string> = new Set([
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
])
