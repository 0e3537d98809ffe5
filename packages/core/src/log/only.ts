// Which entries reach a sink: by path, method, status and chance. And one log to several sinks, each with its own choice.
import type { LogEntry } from './entry.ts'
import { pathOf } from './formats/format.ts'
import { type LogSink, wrapped } from './sink.ts'

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

/**
 * `sink`, for some of the entries. Entries that are not chosen are not counted as dropped.
 * @throws RangeError for a choice that cannot be made.
 */
export function only(choice: Choice, sink: LogSink): LogSink {
  const isChosen = chooser(choice)
  const { sample = 1, random = Math.random } = choice
  if (!(sample >= 1)) throw new RangeError(`only: sample is ${sample}; write a number from 1 on, 10 being one of ten`)
  if (sample === 1) return wrapped(sink, (entry) => isChosen(entry) && sink.write(entry))
  return wrapped(sink, (entry) => {
    if (isChosen(entry) && random() * sample < 1) sink.write({ ...entry, sampleRate: (entry.sampleRate ?? 1) * sample })
  })
}

/** Whether an entry fits a choice, apart from chance. */
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
  const hundred = /^([1-5])xx$/.exec(status)?.[1]
  if (hundred === undefined) throw new RangeError(`only: ${JSON.stringify(status)} is no status; write 404, or "5xx"`)
  return Array.from({ length: 100 }, (_, at) => Number(hundred) * 100 + at)
}
