// Where log entries go.
import type { Mistake } from '../checks.ts'
import type { Clock } from '../http/time.ts'
import type { LogEntry } from './entry.ts'
import type { Place } from './place.ts'

/** What a sink is given by the cache that writes to it. */
export interface SinkHost {
  readonly clock: Clock
  readonly place: Place
  /** Takes what an operator should read: in words, on one line. */
  readonly onMessage: (message: string) => void
}

export interface LogSink {
  readonly name: string

  /** What is wrong with its options. Whoever is given such a sink refuses it. */
  readonly mistakes?: readonly Mistake[]

  /**
   * Called once, before the first entry. Making a sink touches nothing outside the process; this may. It returns at once
   * and does not throw.
   */
  open?(host: SinkHost): void

  /** Takes an entry and returns at once. A sink that needs to wait keeps its own bounded queue. */
  write(entry: LogEntry): void

  /** Resolves when everything taken so far is out, or was dropped and counted. */
  flush(): Promise<void>

  close(): Promise<void>

  /** Entries that it had to give up since it was made. */
  readonly dropped?: number

  /** Figures of its own, by name, for whoever looks after it. */
  stats?(): Readonly<Record<string, number | string>>

  /** Compares what was taken on a day with what has landed, where there is a place to look. */
  verify?(date: string, options?: { read?: boolean | undefined }): Promise<readonly Verified[]>

  /** The lines that have landed on a day (UTC), object by object. */
  read?(date: string): AsyncIterable<string>

  /** Sends again what lies in the folder of a queue that no process has. */
  replay?(folder: string): Promise<Replayed>
}

export interface Replayed {
  readonly files: number
  readonly entries: number
  /** Files that could not be delivered, each with why; they stay. */
  readonly failed: readonly { readonly file: string; readonly reason: string }[]
}

/** What is known about the entries of one process on one day. */
export interface Verified {
  readonly machine: string
  readonly region: string
  readonly boot: string
  /** Entries that were taken, as the process itself counted them; `undefined` when its ledger is not to be found. */
  readonly served: number | undefined
  readonly landed: number
  /** Given up and counted: a disk or a bound was full. */
  readonly dropped: number
  /** Numbers that should have landed and have not, both ends included. */
  readonly gaps: readonly (readonly [first: number, last: number])[]
  /** Numbers that landed more than once. */
  readonly twice: readonly (readonly [first: number, last: number])[]
  /** Objects whose content is not what their name and checksum say. */
  readonly damaged: readonly string[]
  /** The process is still writing, or has not come to say that it has ended. */
  readonly open: boolean
  /** When the process last spoke, in milliseconds since 1970. */
  readonly heardAt: number | undefined
}

/** `sink` with another way to write: everything else is asked of `sink` itself. */
export function wrapped(sink: LogSink, write: (entry: LogEntry) => void): LogSink {
  return {
    name: sink.name,
    ...(sink.mistakes && { mistakes: sink.mistakes }),
    open: (host) => sink.open?.(host),
    write,
    flush: () => sink.flush(),
    close: () => sink.close(),
    get dropped() {
      return sink.dropped ?? 0
    },
    stats: () => sink.stats?.() ?? {},
    ...(sink.verify && { verify: sink.verify.bind(sink) }),
    ...(sink.read && { read: sink.read.bind(sink) }),
    ...(sink.replay && { replay: sink.replay.bind(sink) }),
  }
}
