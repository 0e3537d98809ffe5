// fly.toml, read with the line of each of its keys.
import { isRecord } from '@simple-cdn/core/config'
import { parse, TomlError } from 'smol-toml'
import { Failure } from '../failure.ts'

export type Table = Readonly<Record<string, unknown>>

export interface FlyToml {
  readonly value: Table
  /** The line, from 1, of what `path` names ("http_service.checks[0].path"), or of the nearest table it is part of; `undefined`: there is none. */
  lineOf(path: string): number | undefined
}

/** @throws Failure with the place, when it is not TOML. */
export function readToml(text: string): FlyToml {
  const lines = linesIn(text)
  try {
    const value = parse(text)
    return {
      value,
      lineOf(path) {
        for (let at = path; at !== ''; at = at.replace(/(?:^|\.)[^.[\]]+$|\[\d+\]$/, '')) {
          const line = lines.get(at)
          if (line !== undefined) return line
        }
        return undefined
      },
    }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [what] = error.message.split('\n', 1)
    throw new Failure(`fly.toml is not TOML:\n  line ${error.line}: ${what}\n${error.codeblock.trimEnd()}`)
  }
}

/** The table under a key; an empty one when there is none. */
export function tableIn(table: Table, key: string): Table {
  const value = table[key]
  return isRecord(value) ? value : {}
}

/** The tables under a key, be it `[key]` or `[[key]]`, each with its path. */
export function tablesIn(table: Table, key: string, path = ''): readonly { readonly table: Table; readonly path: string }[] {
  const value = table[key]
  const own = path === '' ? key : `${path}.${key}`
  if (isRecord(value)) return [{ table: value, path: own }]
  if (!Array.isArray(value)) return []
  return value.flatMap((each, index) => (isRecord(each) ? [{ table: each, path: `${own}[${index}]` }] : []))
}

/** Where each table and key begins. Knows headers and keys at the beginning of lines, which is how people write this file. */
function linesIn(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  const last = new Map<string, number>()
  /** With the index of the last of each list of tables: "services.ports" is in the last of "services". */
  const placed = (names: readonly string[], isList: boolean): string => {
    let path = ''
    for (const [at, name] of names.entries()) {
      path = path === '' ? name : `${path}.${name}`
      const isLast = at === names.length - 1
      if (isLast && isList) last.set(path, (last.get(path) ?? -1) + 1)
      const index = last.get(path)
      if (index !== undefined && (isList || !isLast)) path = `${path}[${index}]`
    }
    return path
  }
  const split = (dotted: string): string[] => dotted.split('.').map((name) => name.trim().replace(/^["']|["']$/g, ''))

  let table = ''
  let within: string | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const quotes: readonly string[] = line.match(/"""|'''/g) ?? []
    if (within !== undefined) {
      if (quotes.includes(within)) within = undefined
      continue
    }
    if (quotes.length === 1) [within] = quotes
    const [, double, names] = /^\s*(\[\[?)\s*([^\]]+?)\s*\]/.exec(line) ?? []
    if (names !== undefined) {
      table = placed(split(names), double === '[[')
      if (!lines.has(table)) lines.set(table, index + 1)
      continue
    }
    const [, key] = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=/.exec(line) ?? []
    if (key === undefined) continue
    const path = [...(table === '' ? [] : [table]), ...split(key)].join('.')
    if (!lines.has(path)) lines.set(path, index + 1)
  }
  return lines
}
