// Options of sinks, checked when a sink is made. It keeps their mistakes, so that whoever is given it can tell all there are at once.
import { below, type Check, callable, having, integer, type Mistake, mistakeLine, text } from '../checks.ts'
import type { LogEntry } from './entry.ts'
import { type LogSink, wrapped } from './sink.ts'

type CountingSink = LogSink & { readonly dropped: number }

/**
 * What `make` makes of `options`; when `check` finds mistakes in them, a sink that has these as its `mistakes`, and refuses every
 * entry with an error that lists them. `name` is what people know it by: "s3Sink".
 */
export function checkedSink<Options>(
  name: string,
  check: Check,
  options: Options,
  make: (options: Options) => CountingSink,
): CountingSink {
  const mistakes = check(options, '')
  return mistakes.length === 0 ? make(options) : refusedSink(name, mistakes)
}

/** `sink` with another way to write, made of `options`. Mistakes are those of the options and those of `sink`. */
export function checkedWrapper<Options>(
  name: string,
  check: Check,
  options: Options,
  sink: LogSink,
  write: (options: Options) => (entry: LogEntry) => void,
): LogSink {
  const unlike = like(sink, 'sink')
  const mistakes = [...check(options, ''), ...(unlike.length > 0 ? unlike : ownMistakes(sink))]
  return mistakes.length === 0 ? wrapped(sink, write(options)) : refusedSink(name, mistakes)
}

/** Lists the mistakes that `check` finds in `options`. */
export function refuseMistakes(name: string, check: Check, options: unknown): void {
  const mistakes = check(options, '')
  if (mistakes.length > 0) throw mistakesError(name, mistakes)
}

const like = having('write flush close', 'a log sink, such as stdoutSink()')

export const logSink: Check = (value, path) => {
  const unlike = like(value, path)
  return unlike.length > 0 ? unlike : below(path, ownMistakes(value))
}

function ownMistakes(sink: unknown): readonly Mistake[] {
  const { mistakes } = sink as LogSink
  return Array.isArray(mistakes) ? mistakes.filter((each: Mistake) => typeof each?.path === 'string') : []
}

function refusedSink(name: string, mistakes: readonly Mistake[]): CountingSink {
  return {
    name,
    mistakes,
    dropped: 0,
    write() {
      throw mistakesError(name, mistakes)
    },
    async flush() {},
    async close() {},
  }
}

function mistakesError(name: string, mistakes: readonly Mistake[]): Error {
  const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`
  return new Error([`${name} has ${count}:`, ...mistakes.map(mistakeLine)].join('\n  '))
}

// What options of several sinks are

/** A longer timer would fire at once in Node. */
const MAX_TIMER = 2 ** 31 - 1

/** Milliseconds that a timer can take. */
export function milliseconds(min: number): Check {
  return integer(min, MAX_TIMER)
}

export const bytes = integer(1, Number.MAX_SAFE_INTEGER)

export const lineFormat = callable('a format, such as jsonLine')

/** `what` is to be written instead of nothing. */
export function someText(what: string): Check {
  return text((value) => (value === '' ? `is empty; write ${what}` : undefined))
}
