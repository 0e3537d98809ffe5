// The keys of objects: a template with the day, the region and what makes them unique; and back from a key to what it says.
import { shown } from '@simple-cdn/core/config'
import type { LogBatch } from '@simple-cdn/core/log'

type Part = 'date' | 'time' | 'hour' | 'region' | 'machine' | 'boot' | 'first' | 'last' | 'checksum'

const PATTERNS: Readonly<Record<Part, string>> = {
  date: '\\d{4}-\\d\\d-\\d\\d',
  time: '\\d\\d:\\d\\d',
  hour: '\\d\\d',
  region: '[\\w.]+',
  machine: '[\\w.-]+?',
  boot: '\\d{8}T\\d{6}-[0-9a-f]{6}',
  first: '\\d{12,}',
  last: '\\d{12,}',
  checksum: '[0-9a-f]{16}',
}
/** Without these, two objects might have one key, or a key not say what is in it. */
const NEEDED: readonly Part[] = ['date', 'machine', 'boot', 'first', 'last', 'checksum']

export const DEFAULT_KEY = '{date}T{time}+0000-{region}-{machine}-{boot}-{first}-{last}-{checksum}.log'

export interface KeyFacts {
  readonly machine: string
  readonly region: string
  readonly boot: string
  readonly first: number
  readonly last: number
  readonly checksum: string
}

export interface Keys {
  /** The same for the same batch, always. */
  of(batch: LogBatch): string
  /** `undefined` when it is none of ours. */
  parse(key: string): KeyFacts | undefined
  /** What the keys of a day begin with. */
  prefixOf(date: string): string
}

const PARTS = /\{(\w+)\}/
const listed = (names: readonly string[]): string => names.map((name) => `{${name}}`).join(', ')

/** Why a template cannot make keys that are unique and tell what is in the object. */
export function keyComplaint(template: string): string | undefined {
  const names = template.split(PARTS).filter((_, at) => at % 2 === 1)
  const unknown = names.filter((name) => !Object.hasOwn(PATTERNS, name))
  if (unknown.length > 0) return `${shown(template)} has ${listed(unknown)}; there are ${listed(Object.keys(PATTERNS))}`
  const missing = NEEDED.filter((name) => !names.includes(name))
  return missing.length > 0
    ? `${shown(template)} lacks ${listed(missing)}; without them, objects would not be unique, or not provable`
    : undefined
}

/** `template` is one without a complaint. */
export function keys(template: string, extension: string): Keys {
  const pieces = template.split(PARTS)
  const seen = new Set<string>()
  const pattern = new RegExp(
    `^${pieces
      .map((piece, at) => {
        if (at % 2 === 0) return escaped(piece)
        const again = seen.has(piece)
        seen.add(piece)
        return again ? `\\k<${piece}>` : `(?<${piece}>${PATTERNS[piece as Part]})`
      })
      .join('')}${escaped(extension)}$`,
  )
  return {
    of(batch) {
      const facts = factsOf(batch)
      return pieces.map((piece, at) => (at % 2 === 0 ? piece : facts[piece as Part])).join('') + extension
    },
    parse(key) {
      const found = pattern.exec(key)?.groups
      if (found === undefined) return undefined
      const { machine = '', region = '', boot = '', first, last, checksum = '' } = found
      return { machine, region, boot, first: Number(first), last: Number(last), checksum }
    },
    prefixOf(date) {
      const before = pieces.slice(
        0,
        pieces.findIndex((piece, at) => at % 2 === 1 && piece !== 'date'),
      )
      return before.map((piece, at) => (at % 2 === 0 ? piece : date)).join('')
    },
  }
}

function factsOf({ date, openedAt, region, machine, boot, first, last, sha256 }: LogBatch): Readonly<Record<Part, string>> {
  const opened = new Date(openedAt).toISOString()
  return {
    date,
    // Midnight may fall between the first entry and the day of the batch.
    time: opened.startsWith(date) ? opened.slice(11, 16) : '00:00',
    hour: opened.startsWith(date) ? opened.slice(11, 13) : '00',
    region: nameOf(region).replaceAll('-', '_'),
    machine: nameOf(machine),
    boot,
    first: String(first).padStart(12, '0'),
    last: String(last).padStart(12, '0'),
    checksum: sha256.slice(0, 16),
  }
}

/** A name as a key may have it. */
export function nameOf(text: string): string {
  return text.replace(/[^\w.-]/g, '_')
}

function escaped(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
}
