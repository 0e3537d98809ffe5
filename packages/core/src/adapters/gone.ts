// When a client has gone, as a signal.
import type { EventEmitter } from 'node:events'

/** Aborted when `closing` closes; at once when that has happened already. */
export function goneSignal(closing: EventEmitter, isGone: boolean): AbortSignal {
  const controller = new AbortController()
  if (isGone) controller.abort()
  closing.once('close', () => controller.abort())
  return controller.signal
}
