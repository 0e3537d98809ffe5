// On which line of a configuration file an option stands, as far as its text tells: literals do, what is worked out does not.
import { member } from '@simple-cdn/core/config'

/** The line, from 1, of the option that `path` names, or of the nearest that it is part of; `undefined` when there is none. */
export function lineOf(source: string, path: string): number | undefined {
  const places = placesIn(source)
  for (let at = path; at !== ''; at = parentOf(at)) {
    const place = places.get(at)
    if (place !== undefined) return source.slice(0, place).split('\n').length
  }
  return undefined
}

function parentOf(path: string): string {
  return path.replace(/(?:\.?[A-Za-z_$][\w$]*|\[(?:\d+|"(?:[^"\\]|\\.)*")\])$/, '')
}

const BLANK = /(?:\s|\/\/.*|\/\*[\s\S]*?\*\/)*/y
const TEXT = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/y
const NAME = /[A-Za-z_$][\w$]*/y

/** Where each option begins, by its path. Reads as far as it understands, and never throws. */
function placesIn(source: string): ReadonlyMap<string, number> {
  const places = new Map<string, number>()
  let at = 0

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(source)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const is = (text: string): boolean => {
    take(BLANK)
    return source.startsWith(text, at)
  }

  /** Up to the comma or the bracket that ends a value. */
  const skip = (): void => {
    for (let depth = 0; at < source.length; ) {
      take(BLANK)
      const character = source[at] as string
      if (depth === 0 && /[,}\])]/.test(character)) return
      if (/[{[(]/.test(character)) depth++
      if (/[}\])]/.test(character)) depth--
      if (take(TEXT) === undefined) at++
    }
  }

  const value = (path: string): void => {
    if (is('{')) members(path)
    else if (is('[')) elements(path)
    // `as const`, and whatever else stands behind it or in its place.
    skip()
  }

  const members = (path: string): void => {
    for (at++; at < source.length; ) {
      if (is('}')) {
        at++
        return
      }
      const place = at
      const text = take(TEXT)
      const name = text === undefined ? take(NAME) : text.slice(1, -1)
      if (name === undefined || source.startsWith('...', place)) skip()
      else {
        const own = member(path, name)
        places.set(own, place)
        if (is(':')) {
          at++
          value(own)
        } else skip()
      }
      if (is(',')) at++
      else if (!is('}')) return
    }
  }

  const elements = (path: string): void => {
    let known = true
    let index = 0
    for (at++; at < source.length; index++) {
      if (is(']')) {
        at++
        return
      }
      // Nobody can tell how many that makes.
      if (is('...')) known = false
      if (known) {
        places.set(`${path}[${index}]`, at)
        value(`${path}[${index}]`)
      } else skip()
      if (is(',')) at++
      else if (!is(']')) return
    }
  }

  const begin = /export\s+default\b/.exec(source)?.index ?? 0
  // `defineConfig({ … })`, `{ … }`, or `(env) => ({ … })`.
  const text = source.slice(begin)
  const opening = /^[^;]{0,200}?=>\s*\(\s*\{/.exec(text) ?? /^[^{]*\{/.exec(text)
  if (opening === null) return places
  at = begin + opening[0].length - 1
  members('')
  return places
}
