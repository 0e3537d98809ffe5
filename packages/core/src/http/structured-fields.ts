// Structured fields, as far as this cache reads and writes them (RFC 9651).

export type BareItem =
  | { readonly type: 'integer' | 'decimal' | 'date'; readonly value: number }
  | { readonly type: 'string' | 'token' | 'display-string'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'binary'; readonly value: string }
  /** What is in an inner list is checked, not kept. */
  | { readonly type: 'inner-list' }

/** The members of a Dictionary without their parameters, or `undefined` when the field is not one (RFC 9651 §4.2.2). */
export function parseDictionary(value: string): ReadonlyMap<string, BareItem> | undefined {
  const text = new Scanner(value)
  const members = new Map<string, BareItem>()
  text.take(SPACES)
  while (!text.atEnd()) {
    const key = text.take(KEY)
    if (key === undefined) return undefined
    const member = text.take(EQUALS) === undefined ? TRUE : text.take(OPENING) === undefined ? bareItem(text) : innerList(text)
    if (member === undefined || !skipParameters(text)) return undefined
    // The last one of a name counts, in the place of the last.
    members.delete(key)
    members.set(key, member)
    text.take(OPTIONAL_SPACE)
    if (text.atEnd()) return members
    if (text.take(COMMA) === undefined || text.atEnd()) return undefined
  }
  return members
}

const TRUE: BareItem = { type: 'boolean', value: true }

const SPACES = / */y
const OPTIONAL_SPACE = /[ \t]*/y
const COMMA = /,[ \t]*/y
const EQUALS = /=/y
const SEMICOLON = /; */y
const OPENING = /\( */y
const CLOSING = /\)/y
const SPACE_OR_CLOSING = / +|(?=\))/y
const KEY = /[a-z*][a-z0-9_\-.*]*/y

const NUMBER = /-?(?:\d{1,12}\.\d{1,3}|\d{1,15})(?![\d.])/y
const STRING = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y
const TOKEN = /[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*/y
const BINARY = /:[A-Za-z0-9+/]*={0,2}:/y
const BOOLEAN = /\?[01]/y
const DATE = /@-?\d{1,15}(?![\d.])/y
const DISPLAY_STRING = /%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"/y

/** A place in a text, and what can be taken from there. Patterns are sticky. */
class Scanner {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    // What comes after the last member has to be spaces (RFC 9651 §4.2). Not / +$/: that looks ahead from every space again.
    let end = text.length
    while (text[end - 1] === ' ') end--
    this.#text = text.slice(0, end)
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length
  }

  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const taken = pattern.exec(this.#text)?.[0]
    if (taken !== undefined) this.#at += taken.length
    return taken
  }
}

/** What comes after its opening bracket. */
function innerList(text: Scanner): BareItem | undefined {
  while (text.take(CLOSING) === undefined) {
    if (bareItem(text) === undefined || !skipParameters(text) || text.take(SPACE_OR_CLOSING) === undefined) return undefined
  }
  return { type: 'inner-list' }
}

function skipParameters(text: Scanner): boolean {
  while (text.take(SEMICOLON) !== undefined) {
    if (text.take(KEY) === undefined) return false
    if (text.take(EQUALS) !== undefined && bareItem(text) === undefined) return false
  }
  return true
}

function bareItem(text: Scanner): BareItem | undefined {
  const number = text.take(NUMBER)
  if (number !== undefined) return { type: number.includes('.') ? 'decimal' : 'integer', value: Number(number) }
  const string = text.take(STRING)
  if (string !== undefined) return { type: 'string', value: string.slice(1, -1).replace(/\\(.)/g, '$1') }
  const token = text.take(TOKEN)
  if (token !== undefined) return { type: 'token', value: token }
  const boolean = text.take(BOOLEAN)
  if (boolean !== undefined) return { type: 'boolean', value: boolean === '?1' }
  const date = text.take(DATE)
  if (date !== undefined) return { type: 'date', value: Number(date.slice(1)) }
  const binary = text.take(BINARY)
  if (binary !== undefined) return { type: 'binary', value: binary.slice(1, -1) }
  return displayString(text.take(DISPLAY_STRING))
}

function displayString(text: string | undefined): BareItem | undefined {
  if (text === undefined) return undefined
  try {
    return { type: 'display-string', value: decodeURIComponent(text.slice(2, -1)) }
  } catch {
    return undefined
  }
}

/** A String (RFC 9651 §4.1.6). It can hold ASCII only: any other character becomes a `?`. */
function sfString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`
}

/** A Token, or a String when the text is not one (RFC 9651 §4.1.7). */
export function sfToken(text: string): string {
  return /^[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*$/.test(text) ? text : sfString(text)
}
