// A queue in memory before whatever takes lines and may be slow, or fail for a while: files and sockets.
import { type Check, options as optionsOf } from '../checks.ts'
import { type Millis, systemClock } from '../http/time.ts'
import { bytes, checkedSink, milliseconds } from './checked.ts'
import type { LogEntry } from './entry.ts'
import type { LogFormat } from './formats/format.ts'
import { thisPlace } from './place.ts'
import type { LogSink, SinkHost } from './sink.ts'

export interface QueueOptions {
  /** Most characters that wait; what comes on top is dropped and counted. Default: 8 Mi. */
  maxQueued?: number
  /** Lines are sent together when the first is so old, in milliseconds. Default: 50. */
  writeMs?: Millis
  /** How long to wait after a failure, in milliseconds. Default: 1,000. */
  retryMs?: Millis
  /** Longest wait in `flush` and `close`, in milliseconds; what is left at close is dropped and counted. Default: 5,000. */
  maxFlushMs?: Millis
}

export interface QueueTarget {
  readonly name: string
  readonly format: LogFormat
  /** Resolves when they are out, all of them. They come again after a failure, so a target that takes half must undo that. */
  send(lines: readonly string[], host: SinkHost): Promise<void>
  close?(): Promise<void>
}

const MAX_BATCH = 64 * 1024

/** What `QueueOptions` may be, for sinks that have others, too. */
export const queueChecks: Readonly<Record<string, Check>> = {
  maxQueued: bytes,
  writeMs: milliseconds(0),
  retryMs: milliseconds(1),
  maxFlushMs: milliseconds(0),
}

const check = optionsOf(queueChecks)

export function queued(target: QueueTarget, options: QueueOptions = {}): LogSink & { readonly dropped: number } {
  return checkedSink(target.name, check, options, (options) => queue(target, options))
}

function queue(target: QueueTarget, options: QueueOptions): LogSink & { readonly dropped: number } {
  const { maxQueued = 8 * 1024 * 1024, writeMs = 50, retryMs = 1_000, maxFlushMs = 5_000 } = options
  let host: SinkHost = { clock: systemClock, place: thisPlace, onMessage: () => {} }
  let lines: string[] = []
  let waiting = 0
  let dropped = 0
  let isScheduled = false
  let sending: Promise<void> | undefined
  let closing: Promise<void> | undefined
  let isOver = false
  let wake = (): void => {}
  let lastError = ''

  function send(): void {
    isScheduled = false
    if (lines.length > 0) sending ??= sendAll().finally(() => (sending = undefined))
  }

  async function sendAll(): Promise<void> {
    while (lines.length > 0 && !isOver) {
      const batch = nextBatch()
      try {
        await target.send(batch, host)
        lastError = ''
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        if (message !== lastError) host.onMessage(`log sink "${target.name}": ${message}`)
        lastError = message
        await pause(retryMs)
        continue
      }
      lines.splice(0, batch.length)
      for (const line of batch) waiting -= line.length
    }
  }

  function nextBatch(): readonly string[] {
    let length = 0
    const end = lines.findIndex((line) => {
      length += line.length
      return length > MAX_BATCH
    })
    return end < 0 ? lines.slice() : lines.slice(0, Math.max(1, end))
  }

  async function pause(ms: Millis): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = host.clock.after(ms, resolve)
    wake = resolve
    await promise
    cancel()
  }

  async function flush(): Promise<void> {
    send()
    if (sending === undefined) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = host.clock.after(maxFlushMs, resolve)
    await Promise.race([sending, promise])
    cancel()
  }

  async function end(): Promise<void> {
    await flush()
    isOver = true
    wake()
    await target.close?.()
    await sending
    dropped += lines.length
    lines = []
    waiting = 0
  }

  return {
    name: target.name,
    open(given) {
      host = given
    },
    get dropped() {
      return dropped
    },
    stats: () => ({ waiting, ...(lastError === '' ? {} : { lastError }) }),
    write(entry: LogEntry) {
      const line = target.format(entry)
      if (closing !== undefined || waiting > maxQueued) {
        dropped++
        return
      }
      lines.push(line)
      waiting += line.length
      if (isScheduled || sending !== undefined) return
      isScheduled = true
      host.clock.after(writeMs, send)
    },
    flush,
    close() {
      closing ??= end()
      return closing
    },
  }
}
