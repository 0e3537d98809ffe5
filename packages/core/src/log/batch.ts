// What a queue on disk hands over: lines with numbers and a checksum, for a sink that uploads; and the ledger that says how many there are.
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip, zstdCompress } from 'node:zlib'
import type { Millis } from '../http/time.ts'
import type { LogFormat } from './formats/format.ts'
import type { LogSink } from './sink.ts'

/** Numbers from `first` to `last`, both included, of which `count` are meant: all, unless too many were put together to tell. */
export type Numbers = readonly [first: number, last: number, count: number]

/** One process's use of a queue. Its entries are numbered from 0 on, without gaps. */
export interface Boot {
  readonly machine: string
  readonly region: string
  /** Its beginning and a number by chance: "20140606T000000-1a2b3c". Sorts by time. */
  readonly boot: string
}

export interface LogBatch extends Boot {
  /** The day of its entries, in UTC: "2014-06-06". */
  readonly date: string
  /** When its first entry came. */
  readonly openedAt: Millis
  readonly first: number
  readonly last: number
  readonly entries: number
  /** Numbers between `first` and `last` whose entries were given up. */
  readonly dropped: readonly Numbers[]
  /** The lines, as the format wrote them. The same batch has the same text whenever it is tried again. */
  readonly text: Buffer
  /** Of `text`, in hexadecimal. */
  readonly sha256: string
}

/** What a process says about its entries of one day. */
export interface LedgerDay extends Boot {
  readonly v: 1
  readonly date: string
  readonly first: number
  /** One above the last number taken so far. */
  readonly next: number
  readonly dropped: readonly Numbers[]
  readonly landed: { readonly objects: number; readonly entries: number }
  /** Nothing will be added: the process has ended, and what it left has landed. */
  readonly ended: boolean
  readonly at: Millis
}

/** A sink that takes many entries at a time, and may fail. `spooled()` makes a `LogSink` of it. */
export interface BatchSink {
  readonly name: string
  readonly format: LogFormat
  /**
   * Resolves when the batch has landed, with a name for where. Called again with the same batch after a failure, and after a
   * crash: landing twice must be landing once. Rejects with a `DeliveryError`; anything else is tried again.
   */
  deliver(batch: LogBatch, signal: AbortSignal): Promise<string>
  /** Whether a batch's text is the queue's again when `deliver` has ended, so that the next one may be read into it. Left out: it may keep it. */
  readonly copies?: boolean
  /** Puts word of a day where `verify` will look for it. Later word replaces earlier. */
  publish?(day: LedgerDay, signal: AbortSignal): Promise<void>
  close?(): Promise<void>
  readonly verify?: LogSink['verify']
  readonly read?: LogSink['read']
}

export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
  /** Whether the same batch may land later. When not, it is set aside, and the next is tried. */
  readonly retry: boolean
  /** How long the other side asked to be left alone. */
  readonly retryAfterMs: Millis | undefined

  constructor(message: string, options: { retry?: boolean; retryAfterMs?: Millis | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.retry = options.retry ?? true
    this.retryAfterMs = options.retryAfterMs
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export type Compression = 'none' | 'gzip' | 'zstd'

export const COMPRESSIONS: Readonly<Record<Compression, { readonly extension: string; readonly encoding: string | undefined }>> =
  {
    none: { extension: '', encoding: undefined },
    gzip: { extension: '.gz', encoding: 'gzip' },
    zstd: { extension: '.zst', encoding: 'zstd' },
  }

/** Lines are so much alike that the least effort makes them nearly as small as more would, in half the time. */
const GZIP = { level: 1 }
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/** The same bytes for the same text: a second attempt sends what the first did. */
export async function compressed(text: Uint8Array, compression: Compression): Promise<Uint8Array> {
  if (compression === 'gzip') return promisify(gzip)(text, GZIP)
  if (compression === 'zstd') return promisify(zstdCompress)(text, ZSTD)
  return text
}
