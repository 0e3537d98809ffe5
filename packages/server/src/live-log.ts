// A sink for whoever watches: `simple-cdn logs tail` gets entries as they come, as many as it can take.
import type { ServerResponse } from 'node:http'
import type { LogEntry, LogSink } from '@simple-cdn/core'
import { type Choice, chooser, jsonLine } from '@simple-cdn/core/log'

const MAX_WATCHERS = 16
/** What a watcher that does not read is given at most; the rest it is not. */
const MAX_WAITING = 256 * 1024

export interface LiveLog {
  readonly sink: LogSink
  /** Answers with lines of JSON until the other side has gone. `false` when there are too many already. */
  watch(choice: Choice, response: ServerResponse): boolean
}

export function liveLog(): LiveLog {
  const watchers = new Set<(entry: LogEntry) => void>()
  const responses = new Set<ServerResponse>()
  return {
    sink: {
      name: 'tail',
      write(entry) {
        for (const watcher of watchers) watcher(entry)
      },
      async flush() {},
      async close() {
        for (const response of responses) response.end()
      },
    },
    watch(choice, response) {
      if (watchers.size >= MAX_WATCHERS) return false
      const isChosen = chooser(choice)
      let missed = 0
      const watcher = (entry: LogEntry): void => {
        if (!isChosen(entry)) return
        if (response.writableLength > MAX_WAITING) {
          missed++
          return
        }
        if (missed > 0) response.write(`{"missed":${missed}}\n`)
        missed = 0
        response.write(jsonLine(entry))
      }
      watchers.add(watcher)
      responses.add(response)
      response.once('close', () => {
        watchers.delete(watcher)
        responses.delete(response)
      })
      response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' })
      response.flushHeaders()
      return true
    },
  }
}
