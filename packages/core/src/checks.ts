// Checks of values that people write, put together from small ones: what is wrong, where, and what to write instead.
import type { Seconds } from './http/time.ts'

/** "routes[2].origin", and what is wrong with it. `path` is "" for the whole. */
export interface Mistake {
  readonly path: string
  readonly message: string
}

/** Finds every mistake of a value. Never throws, whatever the value is. */
export type Check = (value: unknown, path: string) => readonly Mistake[]

export function mistakeLine({ path, message }: Mistake): string {
  return path === '' ? message : `${path}: ${message}`
}

export function mistake(path: string, message: string): readonly Mistake[] {
  return [{ path, message }]
}

/** The check for a single value: `complaint` says what is wrong with it, or nothing. */
export function rule(complaint: (value: unknown) => string | undefined): Check {
  return (value, path) => {
    const message = complaint(value)
    return message === undefined ? [] : mistake(path, message)
  }
}

export function text(complaint: (value: string) => string | undefined): Check {
  return rule((value) => (typeof value === 'string' ? complaint(value) : `is ${shown(value)}; write text in quotes`))
}

export function oneOf(...choices: readonly (string | number | boolean)[]): Check {
  const known = choices.map(shown).join(', ')
  return rule((value) => (choices.includes(value as string) ? undefined : `is ${shown(value)}; write one of ${known}`))
}

export function integer(min: number, max: number): Check {
  return rule((value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `is ${shown(value)}; write a whole number from ${min} to ${max}`,
  )
}

export function callable(what: string): Check {
  return rule((value) => (typeof value === 'function' ? undefined : `is ${shown(value)}; write ${what}`))
}

/** A URL that a request can be sent to. */
export function httpUrl(example: string): Check {
  return text((value) =>
    /^https?:\/\/./i.test(value) && URL.canParse(value)
      ? undefined
      : `${shown(withoutUser(value))} is not a URL, such as ${shown(example)}`,
  )
}

/** Who logs in, and with what, is nobody else's business. */
function withoutUser(url: string): string {
  return url.replace(/\/\/[^/]*@/, '//…@')
}

/** An object of somebody's own, known by its methods. */
export function having(methods: string, what: string): Check {
  return rule((value) => {
    if (!isRecord(value)) return `is ${shown(value)}; write ${what}`
    const missing = methods.split(' ').find((name) => typeof value[name] !== 'function')
    return missing === undefined ? undefined : `is not ${what}: it has no ${missing}()`
  })
}

/** `ifEmpty` says what to do about an empty list; left out, it may be empty. */
export function listOf(check: Check, what: string, ifEmpty?: string): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return mistake(path, `is ${shown(value)}; write a list of ${what}`)
    if (value.length === 0 && ifEmpty !== undefined) return mistake(path, `is empty; ${ifEmpty}`)
    return Array.from(value, (member, index) => check(member, `${path}[${index}]`)).flat()
  }
}

/** An object whose options are these and no others. An option that is `undefined` counts as left out. */
export function options(checks: Readonly<Record<string, Check>>, required: Readonly<Record<string, string>> = {}): Check {
  return (value, path) => {
    if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write an object`)
    const missing = Object.keys(required).filter((name) => value[name] === undefined)
    return [
      ...missing.flatMap((name) => mistake(member(path, name), `is missing; write ${required[name]}`)),
      ...Object.keys(value).flatMap((name) => {
        if (!Object.hasOwn(checks, name)) {
          return mistake(member(path, name), `there is no such option${suggestion(name, Object.keys(checks))}`)
        }
        return value[name] === undefined ? [] : (checks[name] as Check)(value[name], member(path, name))
      }),
    ]
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The path of a member: `origins.app`, or `origins["my app"]`. */
export function member(path: string, name: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(name)) return `${path}[${JSON.stringify(name)}]`
  return path === '' ? name : `${path}.${name}`
}

/** Mistakes of a part, as those of the whole: "spool.folder" below "log[0]" is "log[0].spool.folder". */
export function below(path: string, mistakes: readonly Mistake[]): readonly Mistake[] {
  return mistakes.map(({ path: inner, message }) => ({
    path: path === '' || /^(?:\[|$)/.test(inner) ? path + inner : `${path}.${inner}`,
    message,
  }))
}

/** A value as a message may show it: short, and on one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** '; did you mean "cache"?', or nothing when none of the names is near. */
export function suggestion(written: string, names: readonly string[]): string {
  if (written.length > 60) return ''
  const [nearest] = names
    .map((name) => ({ name, distance: distance(written.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  if (nearest === undefined || nearest.distance > (Math.min(written.length, nearest.name.length) < 4 ? 1 : 2)) return ''
  return `; did you mean ${JSON.stringify(nearest.name)}?`
}

/** How many letters to insert, leave out or replace to get from one word to the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (const [line, letter] of [...from].entries()) {
    const next = [line + 1]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] as number) + (letter === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}

// Durations and sizes

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const
const BYTES = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const

/** "90s", "15m", "1h", "7d", or plain seconds. `undefined`: not a duration. */
export function parseDuration(value: unknown): Seconds | undefined {
  if (typeof value === 'number') return value >= 0 && value < Number.POSITIVE_INFINITY ? value : undefined
  const [, count, unit] = (typeof value === 'string' && /^(\d{1,15}(?:\.\d+)?)([smhd])$/.exec(value)) || []
  return count === undefined ? undefined : Number(count) * SECONDS[unit as keyof typeof SECONDS]
}

/** "64kb", "512mb", "20gb" (powers of 1024), or plain bytes. `undefined`: not a size. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined
  const [, count, unit] = (typeof value === 'string' && /^(\d{1,15}(?:\.\d+)?)([kmg]b)$/.exec(value)) || []
  const bytes = Math.floor(Number(count) * BYTES[unit as keyof typeof BYTES])
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

export function duration(min: Seconds, max: Seconds): Check {
  return rule((value) => {
    const seconds = parseDuration(value)
    if (seconds === undefined)
      return `${shown(value)} is not a duration; ${meantDuration(value) ?? 'write one such as "90s", "15m", "1h", "7d"'}`
    return seconds < min || seconds > max
      ? `is ${shown(value)}; write a duration from ${asDuration(min)} to ${asDuration(max)}`
      : undefined
  })
}

export function size(min: number, max: number): Check {
  return rule((value) => {
    const bytes = parseSize(value)
    if (bytes === undefined)
      return `${shown(value)} is not a size; ${meantSize(value) ?? 'write one such as "64kb", "512mb", "20gb"'}`
    return bytes < min || bytes > max ? `is ${shown(value)}; write a size from ${asSize(min)} to ${asSize(max)}` : undefined
  })
}

/** The longest spelling that loses nothing: "1h" rather than "60m". */
export function asDuration(seconds: Seconds): string {
  const unit = (['d', 'h', 'm', 's'] as const).find((each) => seconds >= SECONDS[each] && seconds % SECONDS[each] === 0) ?? 's'
  return `${seconds / SECONDS[unit]}${unit}`
}

export function asSize(bytes: number): string {
  const unit = (['gb', 'mb', 'kb'] as const).find((each) => bytes >= BYTES[each] && bytes % BYTES[each] === 0)
  return unit === undefined ? `${bytes} bytes` : `${bytes / BYTES[unit]}${unit}`
}

function meantDuration(value: unknown): string | undefined {
  const [count, unit] = countAndUnit(value)
  if (count === undefined || unit === undefined) return undefined
  if (unit === '') return `write "${count}s", or ${count} without quotes`
  if (/^m(illi)?s/.test(unit)) return `write "${Number(count) / 1000}s"`
  if (/^w(k|eek)?s?$/.test(unit)) return `write "${Number(count) * 7}d"`
  return /^(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)$/.test(unit) ? `write "${count}${unit[0]}"` : undefined
}

function meantSize(value: unknown): string | undefined {
  const [count, unit] = countAndUnit(value)
  if (count === undefined || unit === undefined) return undefined
  if (/^(b|bytes?)?$/.test(unit)) return `write ${count}, without quotes`
  if (/^t(i?b)?$/.test(unit)) return `write "${Number(count) * 1024}gb"`
  return /^[kmg](i?b)?$/.test(unit) ? `write "${count}${unit[0]}b"` : undefined
}

function countAndUnit(value: unknown): readonly (string | undefined)[] {
  if (typeof value !== 'string' || value.length > 60) return []
  return /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\.?\s*$/.exec(value.toLowerCase())?.slice(1) ?? []
}
