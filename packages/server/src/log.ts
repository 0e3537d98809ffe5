// The operational log: what happens to the server itself, as JSON lines on standard error. Requests go to the sinks of the cache.
import { destination, pino } from 'pino'

/** What is logged with: pino's way of calling, of which any such logger will do. */
export interface Log {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
  fatal(facts: object, message: string): void
}

/** Written at once and in order, so that nothing is lost when the process ends. */
export function stderrLog(): Log {
  return pino({ base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, destination({ dest: 2, sync: true }))
}
