// What machines write to each other: purges on the stream, and receipts beside it.
import { PURGE_KINDS, type Purge } from '@simple-cdn/core'

const VERSION = 1

/** A purge on the stream. */
export interface Order {
  readonly purge: Purge
  /** Who wants the receipts. */
  readonly from: string
}

export interface Receipt {
  readonly id: string
  readonly machine: string
  /** Where the purge stands in the stream. */
  readonly sequence: number
  /** Milliseconds since 1970, by the clock of the machine that has applied it. */
  readonly appliedAt: number
}

export function orderText(purge: Purge, from: string): string {
  return JSON.stringify({ v: VERSION, from, ...purge })
}

/** `undefined`: somebody else's, or that of a later version, which may mean anything. */
export function orderOf(text: string): Order | undefined {
  const { v, from, id, at, soft, kind, value } = parsed(text)
  const isOurs = v === VERSION && typeof from === 'string' && typeof id === 'string' && typeof at === 'number'
  if (!isOurs || typeof soft !== 'boolean' || !PURGE_KINDS.has(kind) || typeof value !== 'string') return undefined
  return { purge: { id, at, soft, kind: kind as Purge['kind'], value }, from }
}

export function receiptOf(text: string): Receipt | undefined {
  const { id, machine, sequence, appliedAt } = parsed(text)
  if (typeof id !== 'string' || typeof machine !== 'string') return undefined
  return typeof sequence === 'number' && typeof appliedAt === 'number' ? { id, machine, sequence, appliedAt } : undefined
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** A machine's name as the name of a consumer, or a part of a subject: NATS takes no dots, stars or spaces there. */
export function tokenOf(machine: string): string {
  return [...Buffer.from(machine)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9_-]/.test(character) ? character : `=${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}

export function machineOf(token: string): string {
  return Buffer.from(
    token.replace(/=([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString('utf8')
}
