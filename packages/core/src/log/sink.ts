// Where log entries go.
import type { LogEntry } from './entry.ts'

export interface LogSink {
  readonly name: string

  /** Takes an entry and returns at once. A sink that needs to wait keeps its own bounded queue. */
  write(entry: LogEntry): void

  /** Resolves when everything taken so far is out, or was dropped and counted. */
  flush(): Promise<void>

  close(): Promise<void>

  /** Entries that it had to give up since it was made. */
  readonly dropped?: number
}
