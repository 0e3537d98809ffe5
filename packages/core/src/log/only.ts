// Which entries reach a sink: by path, method, status and chance. And one log to several sinks, each with its own choice.
import { callable, listOf, oneOf, options, rule, shown, text } from '../checks.ts'
import { checkedWrapper } from './checked.ts'
import type { LogEntry } from './entry.ts'
import { pathOf } from './formats/format.ts'
import type { LogSink } from './sink.ts'

export interface Choice {
  // Paths, in which `*` stands for anything: "/uploads/*", "*/feed". Default: all.
  readonly paths?: readonly string[]
  readonly methods?: readonly string[]
  /** Statuses, or hundreds of them: 404, "5xx". */
  readonly status?: readonly (number | `${1 | 2 | 3 | 4 | 5}xx`)[]
  readonly tier?: LogEntry['tier']
  /** Takes one entry of so many, by chance; each then says so, as `sampleRate`. At least 1. Default: 1. */
  readonly sample?: number
  /** What chance is. Default: Math.random. */
  readonly random?: () => number
}

const path = text((value) =>
  /^[/*]/.test(value) ? undefined : `${shown(value)} is not a path; write one such as "/uploads/*" or "*/feed"`,
)

const method = text((value) =>
  value !== '' && value === value.toUpperCase() ? undefined : `${shown(value)} is not a method; write one such as "GET"`,
)

const HUNDRED = /^([1-5])xx$/

const status = rule((value) =>
  (Number.isInteger(value) && (value as number) >= 100 && (value as number) <= 599) ||
  (typeof value === 'string' && HUNDRED.test(value))
    ? undefined
    : `is ${shown(value)}; write a status such as 404, or a hundred of them such as "5xx"`,
)

const check = options({
  paths: listOf(path, 'paths', 'name one, or leave it out for all'),
  methods: listOf(method, 'methods', 'name one, or leave it out for all'),
  status: listOf(status, 'statuses', 'name one, or leave it out for all'),
  tier: oneOf('edge', 'inner'),
  sample: rule((value) =>
    Number.isFinite(value) && (value as number) >= 1
      ? undefined
      : `is ${shown(value)}; write a number from 1 on, 10 being one of ten`,
  ),
  random: callable('a function, such as Math.random'),
})

/** `sink`, for some of the entries. Entries that are not chosen are not counted as dropped. */
export function only(choice: Choice, sink: LogSink): LogSink {
  return checkedWrapper('only', check, choice, sink, (choice) => {
    const isChosen = chooser(choice)
    const { sample = 1, random = Math.random } = choice
    if (sample === 1) return (entry) => isChosen(entry) && sink.write(entry)
    return (entry) => {
      if (isChosen(entry) && random() * sample < 1) sink.write({ ...entry, sampleRate: (entry.sampleRate ?? 1) * sample })
    }
  })
}

/**
 * Whether an entry fits a choice, apart from chance.
 * @throws RangeError for a status that is none.
 */
export function chooser({ paths, methods, status, tier }: Omit<Choice, 'sample' | 'random'>): (entry: LogEntry) => boolean {
  const path = paths && new RegExp(`^(?:${paths.map(pattern).join('|')})$`)
  const statuses = status && new Set(status.flatMap(each))
  return (entry) =>
    (statuses === undefined || statuses.has(entry.status)) &&
    (methods === undefined || methods.includes(entry.method)) &&
    (tier === undefined || tier === entry.tier) &&
    (path === undefined || path.test(pathOf(entry.url)))
}

function pattern(path: string): string {
  return path
    .split('*')
    .map((text) => text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
    .join('.*')
}

function each(status: number | string): readonly number[] {
  if (typeof status === 'number') return [status]
  const hundred = HUNDRED.exec(status)?.[1]
  if (hundred === undefined) throw new RangeError(`only: ${JSON.stringify(status)} is no status; write 404, or "5xx"`)
  return Array.from({ length: 100 }, (_, at) => Number(hundred) * 100 + at)
}
