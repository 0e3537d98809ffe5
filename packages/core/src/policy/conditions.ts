// What of a request, besides its URL, decides whether a route takes it.
import { cookieValue, type Fields, fieldValue } from '../http/fields.ts'
import { decodedParameter, parameterName } from './key.ts'

/** `true`: is there; `false`: is not; a pattern: has this value, in which one `*` stands for anything. */
export type Condition = boolean | ValuePattern

export interface ValuePattern {
  readonly before: string
  /** `undefined`: the value is exactly `before`. */
  readonly after: string | undefined
}

/** All of them have to hold. Names of fields are lower case. */
export interface Conditions {
  readonly methods: readonly string[] | undefined
  readonly headers: ReadonlyMap<string, readonly Condition[]>
  readonly cookies: ReadonlyMap<string, readonly Condition[]>
  readonly query: ReadonlyMap<string, readonly Condition[]>
}

export interface ClientFacts {
  readonly method: string
  readonly target: string
  readonly fields: Fields
}

export function parseValuePattern(text: string): ValuePattern {
  const star = text.indexOf('*')
  return star < 0 ? { before: text, after: undefined } : { before: text.slice(0, star), after: text.slice(star + 1) }
}

export function holds({ methods, headers, cookies, query }: Conditions, { method, target, fields }: ClientFacts): boolean {
  if (methods !== undefined && !methods.includes(method)) return false
  for (const [name, wanted] of headers) if (!some(wanted, fieldValue(fields, name))) return false
  for (const [name, wanted] of cookies) if (!some(wanted, cookieValue(fields, name))) return false
  for (const [name, wanted] of query) if (!some(wanted, queryValue(target, name))) return false
  return true
}

function some(wanted: readonly Condition[], value: string | undefined): boolean {
  return wanted.some((each) => {
    if (typeof each === 'boolean') return (value !== undefined) === each
    if (value === undefined) return false
    const { before, after } = each
    if (after === undefined) return value === before
    return value.length >= before.length + after.length && value.startsWith(before) && value.endsWith(after)
  })
}

/** The value of the first query parameter of that name, as applications read it; "" where it has none. */
export function queryValue(target: string, name: string): string | undefined {
  const mark = target.indexOf('?')
  if (mark < 0) return undefined
  const found = target
    .slice(mark + 1)
    .split('&')
    .find((parameter) => parameterName(parameter) === name)
  if (found === undefined) return undefined
  const equals = found.indexOf('=')
  return equals < 0 ? '' : decodedParameter(found.slice(equals + 1))
}
