// Header fields as they came: a flat list of name, value, name, value (RFC 9110 §5).

/** Names at even places, spelled as received; values at odd ones. Names given to the functions here are lower case. */
export type Fields = readonly string[]

const NONE: readonly string[] = []

/** The values of all lines of that name, in order. What may not be combined, like Set-Cookie, is read with this. */
export function fieldLines(fields: Fields, name: string): readonly string[] {
  let lines: string[] | undefined
  for (let at = 0; at < fields.length; at += 2) {
    if (!isNamed(fields[at] as string, name)) continue
    if (lines === undefined) lines = [fields[at + 1] as string]
    else lines.push(fields[at + 1] as string)
  }
  return lines ?? NONE
}

/** The lines of that name combined with `, ` (RFC 9110 §5.2); `undefined` when there is none. */
export function fieldValue(fields: Fields, name: string): string | undefined {
  let value: string | undefined
  for (let at = 0; at < fields.length; at += 2) {
    if (!isNamed(fields[at] as string, name)) continue
    value = value === undefined ? fields[at + 1] : `${value}, ${fields[at + 1]}`
  }
  return value
}

export function hasField(fields: Fields, name: string): boolean {
  for (let at = 0; at < fields.length; at += 2) {
    if (isNamed(fields[at] as string, name)) return true
  }
  return false
}

/** Most names differ in length, and most of the rest are spelled in lower case: hardly any needs a new string. */
function isNamed(spelled: string, name: string): boolean {
  return spelled.length === name.length && (spelled === name || spelled.toLowerCase() === name)
}

/** One line of that name in place of all there were; it stands where the first did, or at the end. */
export function withField(fields: Fields, name: string, value: string, spelling: string = name): string[] {
  const changed: string[] = []
  let placed = false
  for (let at = 0; at < fields.length; at += 2) {
    const spelled = fields[at] as string
    if (!isNamed(spelled, name)) changed.push(spelled, fields[at + 1] as string)
    else if (!placed) {
      changed.push(spelled, value)
      placed = true
    }
  }
  if (!placed) changed.push(spelling, value)
  return changed
}

export function withoutFields(fields: Fields, names: ReadonlySet<string>): string[] {
  return filtered(fields, (name) => !names.has(name))
}

export function onlyFields(fields: Fields, names: ReadonlySet<string>): string[] {
  return filtered(fields, (name) => names.has(name))
}

function filtered(fields: Fields, keeps: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const spelled = fields[at] as string
    if (keeps(spelled.toLowerCase())) kept.push(spelled, fields[at + 1] as string)
  }
  return kept
}

/** The members of a comma-separated list, without the empty ones (RFC 9110 §5.6.1). Commas in quotes separate nothing. */
export function listMembers(value: string): string[] {
  return splitList(value).filter((member) => member !== '')
}

const TAB = 9
const SPACE = 32
const QUOTE = 34
const COMMA = 44
const EQUALS = 61
const BACKSLASH = 92

/**
 * What stands between the commas, without white space around it. A quote is an ordinary character where RFC 9110 has no
 * quoted string: one begins a member or follows `=`, and ends the member or comes before a parameter. So a quote too much or
 * too few hides no directive.
 */
export function splitList(value: string): string[] {
  const members: string[] = []
  let start = 0
  /** The character before, without white space. */
  let before = COMMA
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code === COMMA) {
      members.push(trimmed(value, start, at))
      start = at + 1
    } else if (code === QUOTE && (before === COMMA || before === EQUALS)) at = closingQuote(value, at) ?? at
    if (!isSpace(code)) before = code
  }
  members.push(trimmed(value, start))
  return members
}

function closingQuote(value: string, opening: number): number | undefined {
  for (let at = opening + 1; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) return endsThere(value, at + 1) ? at : undefined
  }
  return undefined
}

function endsThere(value: string, from: number): boolean {
  let at = from
  while (isSpace(value.charCodeAt(at))) at++
  return at >= value.length || value[at] === ',' || value[at] === ';'
}

/** Optional white space is space and tab (RFC 9110 §5.6.3); `trim()` takes more, such as 0xA0, which is text here. */
export function trimmed(value: string, start = 0, end: number = value.length): string {
  while (start < end && isSpace(value.charCodeAt(start))) start++
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--
  return value.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB
}

/**
 * What concerns one connection only, whether Connection names it or not (RFC 9110 §7.6.1, RFC 9111 §3.1). Credentials
 * for a proxy are among it: who asks a reverse proxy has none for it, and the origin is to see nobody else's. So is the
 * announcement of trailers: which of them go on is not known before the body has ended.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Fly Proxy obeys them in a response: with one, an origin could have any application of its organisation answer for this one.
  'fly-replay',
  'fly-replay-cache',
])

/**
 * What is meant for all recipients, and so is no connection option, whatever Connection says (RFC 9110 §7.6.1). Otherwise a
 * client could take from a request what protects others: its credentials, what Vary selects by, the count of its loops.
 */
const END_TO_END: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'age',
  'authorization',
  'cache-control',
  'cdn-cache-control',
  'cdn-loop',
  'content-encoding',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expires',
  'forwarded',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'origin',
  'pragma',
  'range',
  'set-cookie',
  'surrogate-control',
  'vary',
  'via',
  'www-authenticate',
])

/** What goes on to the next recipient: without Connection, what it names, and what concerns one connection anyway. */
export function endToEndFields(fields: Fields): string[] {
  const named = new Set(connectionOptions(fields))
  return filtered(fields, (name) => !HOP_BY_HOP.has(name) && (!named.has(name) || END_TO_END.has(name)))
}

/** Whether a field of that name would go on: see `endToEndFields`. */
export function isEndToEnd(fields: Fields, name: string): boolean {
  if (END_TO_END.has(name)) return true
  return !HOP_BY_HOP.has(name) && !connectionOptions(fields).includes(name)
}

function connectionOptions(fields: Fields): readonly string[] {
  const value = fieldValue(fields, 'connection')
  if (value === undefined || value === 'keep-alive' || value === 'close') return NONE
  return listMembers(value.toLowerCase())
}

/** A token (RFC 9110 §5.1, §5.6.2). */
export function isFieldName(text: string): boolean {
  return /^[\w!#$%&'*+\-.^`|~]+$/.test(text)
}

/**
 * The value of the cookie of that name in a request, as it was sent (RFC 6265 §4.2). Of several all of them, separated by
 * `; `: some applications read the first, some the last.
 */
export function cookieValue(fields: Fields, name: string): string | undefined {
  let value: string | undefined
  for (const line of fieldLines(fields, 'cookie')) {
    if (!line.includes(name)) continue
    for (const pair of line.split(';')) {
      const equals = pair.indexOf('=')
      if (equals < 0 || trimmed(pair, 0, equals) !== name) continue
      const sent = trimmed(pair, equals + 1)
      value = value === undefined ? sent : `${value}; ${sent}`
    }
  }
  return value
}

/** Visible characters, with spaces and tabs between them only (RFC 9110 §5.5). The empty value is one. */
export function isFieldValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && !isBlank(text.charCodeAt(0)) && !isBlank(text.charCodeAt(text.length - 1))
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

export function hasCookies(fields: Fields): boolean {
  return hasField(fields, 'cookie')
}
