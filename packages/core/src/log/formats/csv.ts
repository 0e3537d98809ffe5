// CSV by template: which columns, in which order, quoted when (RFC 4180).
import type { LogEntry } from '../entry.ts'
import { COLUMNS, type ColumnName } from './columns.ts'
import { clean, decimal, type LogFormat } from './format.ts'

export interface CsvColumn {
  /** What to say: a column by name, or a function of the entry. */
  readonly value: ColumnName | ((entry: LogEntry) => string | number | boolean | undefined)
  /** What stands there when there is nothing to say. Default: "". */
  readonly none?: string
  /** Default: only where RFC 4180 §2.6 asks for it. */
  readonly quote?: 'always' | 'needed'
  /** How numbers are written. Default: "plain". "decimal" has a point always. */
  readonly number?: 'plain' | 'decimal'
  /** What a quotation mark becomes. Default: two of them (RFC 4180 §2.7). */
  readonly quotationMark?: string
}

export interface CsvOptions {
  readonly columns: readonly (ColumnName | CsvColumn)[]
  /** Default: ",". */
  readonly separator?: string
}

/** @throws RangeError when there is no such column. */
export function csv({ columns, separator = ',' }: CsvOptions): LogFormat {
  const cells = columns.map((column) => cell(typeof column === 'string' ? { value: column } : column, separator))
  return (entry) => {
    let line = (cells[0] as Cell)(entry)
    for (let at = 1; at < cells.length; at++) line += separator + (cells[at] as Cell)(entry)
    return `${line}\n`
  }
}

type Cell = (entry: LogEntry) => string

function cell(
  { value, none = '', quote = 'needed', number = 'plain', quotationMark = '""' }: CsvColumn,
  separator: string,
): Cell {
  const read = typeof value === 'function' ? value : COLUMNS[value]
  if (read === undefined)
    throw new RangeError(`csv: there is no column ${JSON.stringify(value)}; there are ${Object.keys(COLUMNS).join(', ')}`)
  const isSpecial = new RegExp(`[^ !#-~]|${separator.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')}`)
  return (entry) => {
    const found = read(entry)
    if (typeof found === 'number') return number === 'decimal' ? decimal(found) : String(found)
    const text = found === undefined || found === '' ? none : String(found)
    // Most texts are what they are to be already: one look tells.
    if (!isSpecial.test(text)) return quote === 'needed' ? text : `"${text}"`
    const cleaned = clean(text)
    if (quote === 'needed' && !cleaned.includes(separator) && !cleaned.includes('"')) return cleaned
    return `"${cleaned.replaceAll('"', quotationMark)}"`
  }
}
