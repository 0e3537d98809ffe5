// What a message tells caches: Cache-Control and the fields that speak to some caches only (RFC 9111 §5.2, RFC 9213).
import { type Fields, fieldValue, listMembers } from './fields.ts'
import { type BareItem, parseDictionary } from './structured-fields.ts'
import type { Seconds } from './time.ts'

/** Names in lower case; the argument, without quotes, or `true` when there is none. */
export type Directives = ReadonlyMap<string, string | true>

const NONE: Directives = new Map()

/**
 * The directives of a Cache-Control value. Of several of a name, the one without argument counts, for it says most; else
 * the first (RFC 9111 §4.2.1). White space around `=` is not allowed there, so it makes the argument void, not the directive.
 */
export function parseDirectives(value: string | undefined): Directives {
  if (value === undefined) return NONE
  const directives = new Map<string, string | true>()
  for (const member of listMembers(value)) {
    const equals = member.indexOf('=')
    const name = (equals < 0 ? member : member.slice(0, equals)).trimEnd().toLowerCase()
    const argument =
      equals < 0 || (/[ \t]=|=[ \t]/.test(member.slice(equals - 1, equals + 2)) ? '' : unquoted(member.slice(equals + 1)))
    if (argument === true || !directives.has(name)) directives.set(name, argument)
  }
  return directives
}

/** Both forms of an argument are to be accepted (RFC 9111 §5.2). */
function unquoted(argument: string): string {
  return /^".*"$/s.test(argument) ? argument.slice(1, -1).replace(/\\(.)/gs, '$1') : argument
}

/** What is too much to count is taken for this (RFC 9111 §1.2.2). */
const MOST_SECONDS: Seconds = 2 ** 31

/** A directive's delta-seconds; 0 when they are invalid, as for something stale (RFC 9111 §4.2.1); `undefined` without it. */
export function directiveSeconds(directives: Directives, name: string): Seconds | undefined {
  const argument = directives.get(name)
  if (argument === undefined) return undefined
  return argument !== true && /^\d+$/.test(argument) ? Math.min(Number(argument), MOST_SECONDS) : 0
}

export interface DecidingDirectives {
  readonly directives: Directives
  /** The field they are from, in lower case. */
  readonly from: string
}

/** The directives that decide for this cache: the first valid field of those targeted at it, else Cache-Control (RFC 9213 §2.2). */
export function decidingDirectives(fields: Fields, targetedFields: readonly string[]): DecidingDirectives {
  for (const from of targetedFields) {
    const value = fieldValue(fields, from)
    if (value === undefined) continue
    const directives = from === 'surrogate-control' ? surrogateDirectives(value) : targetedDirectives(value)
    if (directives !== undefined && directives.size > 0) return { directives, from }
  }
  return { directives: parseDirectives(fieldValue(fields, 'cache-control')), from: 'cache-control' }
}

const DURATIONS = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])

/** `undefined` when the field is to be ignored: not a Dictionary, or a duration that is no Integer (RFC 9213 §2.1). */
function targetedDirectives(value: string): Directives | undefined {
  const dictionary = parseDictionary(value)
  if (dictionary === undefined) return undefined
  const directives = new Map<string, string | true>()
  for (const [name, item] of dictionary) {
    if (DURATIONS.has(name) && item.type !== 'integer') return undefined
    const argument = argumentOf(item)
    if (argument !== false) directives.set(name, argument)
  }
  return directives
}

function argumentOf(item: BareItem): string | boolean {
  if (item.type === 'inner-list') return ''
  return item.type === 'boolean' ? item.value : String(item.value)
}

/**
 * Surrogate-Control, as applications write it (Edge Architecture 1.0 §2.2). `max-age=60+30` is fresh for 60 seconds and may
 * be served stale for 30 more. What is addressed to one surrogate by name (`max-age=60;name`) is not for this one.
 */
function surrogateDirectives(value: string): Directives {
  const directives = new Map(
    parseDirectives(
      listMembers(value)
        .filter((member) => !/;[^"]*$/.test(member))
        .join(','),
    ),
  )
  // Says which language the content is to be processed in: nothing about keeping it.
  directives.delete('content')
  if (directives.has('no-store-remote')) directives.set('no-store', true)
  const extended = /^(\d+)\+(\d+)$/.exec(String(directives.get('max-age')))
  if (extended !== null) {
    const [, fresh = '', stale = ''] = extended
    directives.set('max-age', fresh)
    for (const window of ['stale-while-revalidate', 'stale-if-error']) {
      if (!directives.has(window)) directives.set(window, stale)
    }
  }
  return directives
}
