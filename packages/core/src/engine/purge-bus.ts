// What carries purges from machine to machine, and knows who has applied which. @simple-cdn/bus-nats is one.
import type { Clock, Millis } from '../http/time.ts'
import type { Purge } from './purges.ts'

/**
 * Purges reach every machine in one order, each at least once, also one that was away; or the machine is told that some may be missing.
 * Time is each machine's own: a purge concerns what a machine asked for before it heard of it, so no two clocks are compared.
 */
export interface PurgeBus {
  /** Appears in logs and in `stats`. */
  readonly name: string

  /**
   * Resolves when the purge cannot get lost any more. The same id again is the same purge: whoever does not know whether it arrived
   * publishes it once more.
   *
   * @throws Error when the bus does not take it within a few seconds.
   */
  publish(purge: Purge): Promise<void>

  /** Called once. Begins to tell the subscriber, and goes on trying until `close`. */
  subscribe(subscriber: PurgeSubscriber): void

  /**
   * Who has applied a purge, and who has not. With `waitMs`, resolves when all have that are there, or after that time.
   *
   * @throws Error when the bus cannot be asked.
   */
  status(id: string, options?: { waitMs?: Millis }): Promise<PurgeStatus>

  stats(): PurgeBusStats

  /** Lets go of connections within seconds. What has not been heard yet is heard after the next start. */
  close(): Promise<void>
}

/** A machine, as a bus sees it. */
export interface PurgeSubscriber {
  /** Where it stands: that of the last purge it has safe. `undefined`: it does not know. Opaque to everybody but the bus. */
  readonly cursor: string | undefined
  readonly machine: string
  readonly clock: Clock

  /** Takes the next purge. It holds when this returns; when it has resolved it is safe, and can be counted as applied. */
  apply(purge: Purge, cursor: string): Promise<void>

  /** What was published before `cursor` may be missing: everything stored counts as purged. As `apply` otherwise. */
  gap(cursor: string): Promise<void>

  /** Whether this machine has everything that was published until now, as far as the bus can tell. */
  hears(isCurrent: boolean): void

  /** Takes what an operator should know, in words, on one line. */
  onMessage(message: string): void
}

export interface PurgeStatus {
  readonly id: string
  /** By name. */
  readonly machines: readonly PurgeReceipt[]
}

export interface PurgeReceipt {
  readonly machine: string
  /**
   * "applied"; "behind": it is there and has yet to; "away": it does not answer, and applies it before it next serves from its cache.
   * "missing": it is expected, and the bus does not know it.
   */
  readonly state: 'applied' | 'behind' | 'away' | 'missing'
  /** By its own clock, where it still remembers. */
  readonly appliedAt?: Millis
}

export interface PurgeBusStats {
  readonly connected: boolean
  /** Purges that this machine has yet to apply, as of the last look. */
  readonly behind: number
  readonly published: number
  /** Purges that the bus did not take. */
  readonly failed: number
  /** How often everything counted as purged, since purges may have been missing. */
  readonly gaps: number
}
