// Who has applied a purge: the receipts of machines, and what NATS knows of those whose receipt is not here.
import type { ConsumerInfo } from '@nats-io/jetstream'
import type { Clock, Millis, PurgeReceipt, PurgeStatus } from '@simple-cdn/core'
import { LRUCache } from 'lru-cache'
import type { Receipt } from './messages.ts'

/** Who has been away for so long is not waited for. A restart is: it takes less. */
const AWAY_MS = 5_000
/** How often somebody who waits looks at what is left to wait for. */
const LOOK_AGAIN_MS = 1_000

export interface ReceiptsOptions {
  /** How many are remembered, those of all purges together. */
  readonly max: number
  readonly clock: () => Clock
  /** Which machines there are. `undefined`: those that NATS knows. */
  readonly machines: () => Promise<readonly string[] | undefined>
  /** What NATS knows, by machine. */
  readonly consumers: () => Promise<ReadonlyMap<string, ConsumerInfo>>
  /** Asks every machine. */
  readonly ask: (id: string) => AsyncIterable<Receipt>
}

export interface Receipts {
  take(receipt: Receipt): void
  /** To be called when it is known where in the stream a purge stands. */
  standsAt(id: string, sequence: number): void
  /**
   * Waits `waitMs` at most for machines that are there, and not for those that have gone.
   *
   * @throws Error when NATS could not be asked until the end.
   */
  status(id: string, waitMs: Millis): Promise<PurgeStatus>
  /** Ends all waiting. */
  close(): void
}

/** A machine, while somebody waits for its receipt. */
interface Standing {
  readonly consumer: ConsumerInfo | undefined
  /** When it was there last, or was missed first. */
  readonly thereAt: Millis
}

type Fleet = ReadonlyMap<string, Standing>

export function receiptsOf({ max, clock, machines, consumers, ask }: ReceiptsOptions): Receipts {
  const receipts = new LRUCache<string, Receipt>({ max })
  const sequences = new LRUCache<string, number>({ max })
  /** Those who wait, and for receipts of which purge. */
  const waiting = new Map<() => void, string>()
  let isClosed = false

  function take(receipt: Receipt): void {
    receipts.set(keyOf(receipt.id, receipt.machine), receipt)
    standsAt(receipt.id, receipt.sequence)
  }

  function standsAt(id: string, sequence: number): void {
    sequences.set(id, sequence)
    for (const [resolve, of] of waiting) if (of === id) resolve()
  }

  async function status(id: string, waitMs: Millis): Promise<PurgeStatus> {
    const begun = clock().now()
    const end = begun + waitMs
    let fleet: Fleet = new Map()
    let failure: unknown

    const isOver = (): boolean => {
      const now = clock().now()
      if (isClosed || now >= end) return true
      if (failure !== undefined) return false
      // What nobody has applied within this time is nothing that anybody has published.
      if (!sequences.has(id)) return now - begun >= AWAY_MS
      return [...fleet].every(
        ([machine, standing]) => now - standing.thereAt >= AWAY_MS || stateOf(id, machine, standing) === 'applied',
      )
    }

    do {
      try {
        fleet = await look(fleet)
        if (waitMs > 0 && !sequences.has(id)) await askAll(id)
        failure = undefined
      } catch (error) {
        failure = error
      }
      const next = Math.min(end, clock().now() + LOOK_AGAIN_MS)
      while (!isOver() && clock().now() < next) await another(id, next)
    } while (!isOver())

    if (failure !== undefined && !isClosed) throw failure
    const lacksSome = [...fleet.keys()].some((machine) => !receipts.has(keyOf(id, machine)))
    if (lacksSome && !isClosed) await askAll(id)
    if (!sequences.has(id)) return { id, machines: [] }
    const names = [...fleet.keys()].sort()
    return { id, machines: names.map((machine) => purgeReceipt(id, machine, fleet.get(machine) as Standing)) }
  }

  /** Whoever owes a receipt now; and whoever did before, until it has been away for long enough. */
  async function look(before: Fleet): Promise<Fleet> {
    const expected = await machines()
    const known = await consumers()
    const now = clock().now()
    const standing = (machine: string): Standing => {
      const consumer = known.get(machine)
      return { consumer, thereAt: isThere(consumer) ? now : (before.get(machine)?.thereAt ?? now) }
    }
    const others = [...known.keys()].filter((machine) => isThere(known.get(machine)))
    const left = [...before.keys()].filter((machine) => now - standing(machine).thereAt < AWAY_MS)
    const all = new Set([...(expected ?? known.keys()), ...others, ...left])
    return new Map([...all].map((machine) => [machine, standing(machine)]))
  }

  async function askAll(id: string): Promise<void> {
    for await (const receipt of ask(id)) take(receipt)
  }

  /** Resolves with the next receipt, at `end`, or when this is closed. */
  async function another(id: string, end: Millis): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.set(resolve, id)
    const cancel = clock().after(end - clock().now(), resolve)
    await promise
    cancel()
    waiting.delete(resolve)
  }

  function stateOf(id: string, machine: string, { consumer }: Standing): PurgeReceipt['state'] {
    if (receipts.has(keyOf(id, machine))) return 'applied'
    if (consumer === undefined) return 'missing'
    if (safeUpTo(consumer) >= (sequences.get(id) as number)) return 'applied'
    return isThere(consumer) ? 'behind' : 'away'
  }

  function purgeReceipt(id: string, machine: string, standing: Standing): PurgeReceipt {
    const receipt = receipts.get(keyOf(id, machine))
    return { machine, state: stateOf(id, machine, standing), ...(receipt !== undefined && { appliedAt: receipt.appliedAt }) }
  }

  return {
    take,
    standsAt,
    status,
    close() {
      isClosed = true
      for (const resolve of waiting.keys()) resolve()
    },
  }
}

function keyOf(id: string, machine: string): string {
  return `${id} ${machine}`
}

/** What a machine has safe. A consumer begins behind that, and its floor is 0 until something is acknowledged. */
export function safeUpTo({ ack_floor, config }: ConsumerInfo): number {
  return Math.max(ack_floor.stream_seq, (config.opt_start_seq ?? 1) - 1)
}

/** A machine that is there has always asked for the next purge. */
function isThere(consumer: ConsumerInfo | undefined): boolean {
  return consumer !== undefined && consumer.num_waiting > 0
}
