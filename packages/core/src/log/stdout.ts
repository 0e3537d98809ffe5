// The default sink: one JSON line for each request on standard output.
import type { LogEntry } from './entry.ts'
import type { LogSink } from './sink.ts'

export interface StdoutSinkOptions {
  /** Default: process.stdout. */
  stream?: NodeJS.WritableStream & { readonly writableLength: number }
  /** Most bytes that wait for a reader of the stream; what comes on top is dropped and counted. Default: 8 MiB. */
  maxQueuedBytes?: number
}

/** A batch is written when it has so many characters, or at the end of the turn of the event loop. */
const BATCH = 32 * 1024

export function stdoutSink({
  stream = process.stdout,
  maxQueuedBytes = 8 * 1024 * 1024,
}: StdoutSinkOptions = {}): LogSink & { readonly dropped: number } {
  let lines = ''
  let scheduled = false
  let dropped = 0

  const writeOut = (): void => {
    scheduled = false
    if (lines === '') return
    stream.write(lines)
    lines = ''
  }

  return {
    name: 'stdout',
    get dropped() {
      return dropped
    },
    write(entry: LogEntry) {
      if (stream.writableLength > maxQueuedBytes) {
        dropped++
        return
      }
      lines += `${JSON.stringify(entry)}\n`
      if (lines.length >= BATCH) writeOut()
      else if (!scheduled) {
        scheduled = true
        setImmediate(writeOut)
      }
    },
    flush() {
      lines === '' || writeOut()
      return new Promise((resolve) => {
        stream.write('', () => resolve())
      })
    },
    close() {
      return this.flush()
    },
  }
}
