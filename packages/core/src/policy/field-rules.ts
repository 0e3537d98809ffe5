// Fields that a route sets, adds or removes, with values taken from the request.
import { cookieValue, type Fields, fieldValue, withField, withoutFields } from '../http/fields.ts'
import { queryValue } from './conditions.ts'
import { withoutQuery } from './route.ts'

/** `undefined`: the field is removed. */
export interface FieldRule {
  readonly name: string
  /** The same in lower case. */
  readonly lower: string
  readonly value: Template | undefined
  /** Beside what is there, not in its place. */
  readonly adds: boolean
  readonly onlyOver?: 'https'
}

/** Text, and things to put in its place. */
export type Template = readonly (string | Placeholder)[]

interface Placeholder {
  readonly of: 'client' | 'host' | 'path' | 'url' | 'method' | 'scheme' | 'id' | 'header' | 'cookie' | 'query'
  /** Of the header, cookie or query parameter. */
  readonly name: string
}

/** What placeholders are filled from: worked out only when one asks. */
export interface TemplateFacts {
  readonly request: {
    readonly method: string
    readonly scheme: string
    readonly fields: Fields
    readonly clientAddress?: string | undefined
  }
  readonly authority: string
  readonly target: string
  readonly url: string
  /** Of this one request. */
  readonly id: string
}

const PLACEHOLDER = /\{([a-z]+)(?:\.([^{}]+))?\}/g
const WITHOUT_NAME: ReadonlySet<string> = new Set(['client', 'host', 'path', 'url', 'method', 'scheme', 'id'])
const WITH_NAME: ReadonlySet<string> = new Set(['header', 'cookie', 'query'])

/** A message when a placeholder is none. Braces that hold anything but small letters and a name are text. */
export function parseTemplate(text: string): Template | string {
  const parts: (string | Placeholder)[] = []
  let end = 0
  for (const found of text.matchAll(PLACEHOLDER)) {
    const [all, of = '', name = ''] = found
    if (name === '' ? !WITHOUT_NAME.has(of) : !WITH_NAME.has(of))
      return `${all} stands for nothing; there are ${[...WITHOUT_NAME].map((each) => `{${each}}`).join(', ')}, {header.NAME}, {cookie.NAME} and {query.NAME}`
    if (found.index > end) parts.push(text.slice(end, found.index))
    parts.push({ of: of as Placeholder['of'], name: of === 'header' ? name.toLowerCase() : name })
    end = found.index + all.length
  }
  if (end < text.length) parts.push(text.slice(end))
  return parts
}

function filled(template: Template, facts: TemplateFacts): string {
  let text = ''
  for (const part of template) text += typeof part === 'string' ? part : valueFor(part, facts)
  return text
}

function valueFor({ of, name }: Placeholder, facts: TemplateFacts): string {
  switch (of) {
    case 'client':
      return facts.request.clientAddress ?? ''
    case 'host':
      return facts.authority
    case 'path':
      return withoutQuery(facts.target)
    case 'header':
      return fieldValue(facts.request.fields, name) ?? ''
    case 'cookie':
      return cookieValue(facts.request.fields, name) ?? ''
    case 'query':
      // It may hold escaped line feeds; a field may not.
      return (queryValue(facts.target, name) ?? '').replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
    case 'method':
    case 'scheme':
      return facts.request[of]
    default:
      return facts[of]
  }
}

/** `fields` with the rules applied, one after the other. A value that comes out empty sets nothing. */
export function withRules(fields: Fields, rules: readonly FieldRule[], facts: TemplateFacts): string[] {
  let changed = fields as string[]
  for (const { name, lower, value, adds, onlyOver } of rules) {
    if (onlyOver !== undefined && onlyOver !== facts.request.scheme) continue
    const text = value === undefined ? '' : filled(value, facts)
    if (text !== '') changed = adds ? [...changed, name, text] : withField(changed, lower, text, name)
    else if (!adds) changed = withoutFields(changed, new Set([lower]))
  }
  return changed
}
