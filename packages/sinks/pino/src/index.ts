// @simple-cdn/sink-pino: log entries into a pino logger, one line each, beside whatever else it logs.
import type { LogSink } from '@simple-cdn/core'
import { having, options } from '@simple-cdn/core/config'
import { checkedSink, type FlatOptions, flatChecks, flatObject, milliseconds } from '@simple-cdn/core/log'
import type { Logger } from 'pino'

export interface PinoSinkOptions extends FlatOptions {
  logger: Pick<Logger, 'info' | 'warn' | 'error'> & { flush?: Logger['flush'] }
  /** Longest wait in `flush` and `close`, in milliseconds. Default: 5,000. */
  maxFlushMs?: number
}

const check = options(
  { logger: having('info warn error', 'a logger, such as pino()'), maxFlushMs: milliseconds(0), ...flatChecks },
  { logger: 'a logger, such as pino()' },
)

/**
 * Responses of 500 and above are errors, those that broke off are warnings, the rest is information. How much waits, and what
 * happens when the disk is full, is for the logger's destination to say; give it a `maxLength`.
 */
export function pinoSink(options: PinoSinkOptions): LogSink & { readonly dropped: number } {
  return checkedSink('pinoSink', check, options, pinoSinkOf)
}

function pinoSinkOf({ logger, maxFlushMs = 5_000, ...options }: PinoSinkOptions): LogSink & { readonly dropped: number } {
  let dropped = 0
  let isClosed = false
  const flush = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (logger.flush === undefined) return Promise.resolve()
    const timeout = setTimeout(resolve, maxFlushMs)
    logger.flush(() => {
      clearTimeout(timeout)
      resolve()
    })
    return promise
  }
  return {
    name: 'pino',
    get dropped() {
      return dropped
    },
    write(entry) {
      if (isClosed) {
        dropped++
        return
      }
      const level = entry.status >= 500 ? 'error' : entry.complete ? 'info' : 'warn'
      logger[level](flatObject(entry, options), 'request')
    },
    flush,
    async close() {
      isClosed = true
      await flush()
    },
  }
}
