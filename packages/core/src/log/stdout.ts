// The default sink: one JSON line for each request on standard output.
import { having, options } from '../checks.ts'
import { bytes, checkedSink, milliseconds } from './checked.ts'
import type { LogEntry } from './entry.ts'
import { jsonLine } from './json-line.ts'
import type { LogSink } from './sink.ts'

export interface StdoutSinkOptions {
  /** Default: process.stdout. */
  stream?: NodeJS.WritableStream & { readonly writableLength: number }
  /** Most bytes that wait for a reader of the stream; what comes on top is dropped and counted. Default: 8 MiB. */
  maxQueuedBytes?: number
  /** Longest wait for a reader of the stream in `flush` and `close`, in milliseconds. Default: 5,000. */
  maxFlushMs?: number
}

/**
 * A batch is made into lines and written when it has so many entries, or when its first one is so old: each write costs as much as some
 * hits, and lines that were made one by one, between ranges of 1 MiB, some 40 µs each.
 */
const BATCH = 64
const BATCH_MS = 50

const check = options({
  stream: having('write on off', 'a stream to write to, such as process.stderr'),
  maxQueuedBytes: bytes,
  maxFlushMs: milliseconds(0),
})

/** When the stream breaks, since nobody is there to read the log, everything is dropped and counted; the program goes on. */
export function stdoutSink(options: StdoutSinkOptions = {}): LogSink & { readonly dropped: number } {
  return checkedSink('stdoutSink', check, options, stdoutSinkOf)
}

function stdoutSinkOf({
  stream = process.stdout,
  maxQueuedBytes = 8 * 1024 * 1024,
  maxFlushMs = 5_000,
}: StdoutSinkOptions): LogSink & { readonly dropped: number } {
  let batch: LogEntry[] = []
  let scheduled = false
  let broken = false
  let dropped = 0

  // Without a listener, an error here would end the program.
  const onError = (): void => {
    broken = true
  }
  stream.on('error', onError)

  const writeOut = (): void => {
    scheduled = false
    const entries = batch
    if (entries.length === 0) return
    batch = []
    let lines = ''
    for (const entry of entries) lines += jsonLine(entry)
    stream.write(lines, (error) => {
      if (error) dropped += entries.length
    })
  }

  const flush = (): Promise<void> => {
    writeOut()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timeout = setTimeout(resolve, maxFlushMs)
    stream.write('', () => {
      clearTimeout(timeout)
      resolve()
    })
    return promise
  }

  return {
    name: 'stdout',
    get dropped() {
      return dropped
    },
    write(entry: LogEntry) {
      if (broken || stream.writableLength > maxQueuedBytes) {
        dropped++
        return
      }
      batch.push(entry)
      if (batch.length >= BATCH) writeOut()
      else if (!scheduled) {
        scheduled = true
        // It holds the process: the last lines of a program that ends by itself are written, too.
        setTimeout(writeOut, BATCH_MS)
      }
    },
    flush,
    async close() {
      await flush()
      // What is still on its way may break later.
      if (stream.writableLength === 0) stream.off('error', onError)
    },
  }
}
