// Flat JSON: every fact of an entry a member of one object, as stores of events like it.
import { type Check, listOf, rule, shown, suggestion } from '../../checks.ts'
import { someText } from '../checked.ts'
import type { LogEntry } from '../entry.ts'
import { COLUMNS, type ColumnName } from './columns.ts'
import { clean, type LogFormat } from './format.ts'

export interface FlatOptions {
  /** Default: all. */
  readonly columns?: readonly ColumnName[]
  /** What the member for the time is called, ISO 8601. Default: "time". */
  readonly timeName?: string
}

const LEFT_OUT: ReadonlySet<ColumnName> = new Set<ColumnName>(['time', 'clfTime', 'at'])
const ALL = (Object.keys(COLUMNS) as ColumnName[]).filter((name) => !LEFT_OUT.has(name))

const column = rule((value) => {
  const names = Object.keys(COLUMNS)
  if (names.includes(value as string)) return undefined
  const near = typeof value === 'string' ? suggestion(value, names) : ''
  return `there is no column ${shown(value)}${near === '' ? `; there are ${names.join(', ')}` : near}`
})

/** What `FlatOptions` may be, for sinks that have others, too. */
export const flatChecks: Readonly<Record<string, Check>> = {
  columns: listOf(column, 'columns', 'name one, or leave it out for all'),
  timeName: someText('a name, such as "time"'),
}

/** The members of one object; what is not known is left out. */
export function flatObject(
  entry: LogEntry,
  { columns = ALL, timeName = 'time' }: FlatOptions = {},
): Record<string, string | number | boolean> {
  const members: Record<string, string | number | boolean> = { [timeName]: COLUMNS.time(entry) }
  for (const name of columns) {
    const value = COLUMNS[name](entry)
    if (value !== undefined) members[name] = typeof value === 'string' ? clean(value) : value
  }
  return members
}

export function flat(options: FlatOptions = {}): LogFormat {
  return (entry) => `${JSON.stringify(flatObject(entry, options))}\n`
}
