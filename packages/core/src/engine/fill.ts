// An origin's body on its way into the store, with any number of clients reading along.
import { CdnError } from '../errors.ts'
import type { ByteRange } from '../http/body.ts'
import type { StoredMeta } from '../http/stored-response.ts'
import type { Reason } from '../policy/reasons.ts'
import type { StoreWriter } from '../stores/store.ts'

export interface FillOptions {
  readonly meta: StoredMeta
  readonly source: AsyncIterable<Uint8Array>
  readonly writer: StoreWriter
  /** The body's length in bytes, when the origin declared it. */
  readonly length: number | undefined
  /** A body that turns out longer is passed on to those who read it, and not stored. */
  readonly maxBytes: number
  /** Asked at the very end: a key may have been invalidated meanwhile. */
  readonly mayCommit: () => boolean
  /** Called once, when it is clear whether the response is stored. */
  readonly settled: (result: { readonly stored: true } | { readonly stored: false; readonly reason: Reason }) => void
}

/** A body of unknown length is gathered in pieces of this size. */
const UNKNOWN_BLOCK = 64 * 1024
const LARGEST_BLOCK = 1024 * 1024

/** How far a body that is no longer stored may run ahead of its slowest reader, in bytes. */
const WINDOW = 1024 * 1024

/** Without readers, a body is still fetched to its end when no more than this is missing, or half of it is there. */
const WORTH_FINISHING = 1024 * 1024

interface Reader {
  at: number
}

/**
 * The store sets the pace, not the clients: one who reads slowly holds nobody up, and a fill can be joined until it is
 * stored. Only a body that could not be stored after all waits for its readers, since then nothing else holds it.
 */
export class Fill {
  readonly meta: StoredMeta
  readonly length: number | undefined
  /** Resolves when the last byte has come, or none will. Never rejects. */
  readonly ended: Promise<void>

  readonly #options: FillOptions
  readonly #readers = new Set<Reader>()
  /** Whole blocks of the same size, from #base on; the last one may be short. */
  #blocks: Uint8Array[] = []
  #blockBytes: number
  /** Number of blocks that were dropped because every reader has passed them. */
  #base = 0
  #total = 0
  #writer: StoreWriter | undefined
  #complete = false
  #failure: CdnError | undefined
  #stopped = false
  #settled = false
  #changed = Promise.withResolvers<void>()

  constructor(options: FillOptions) {
    this.meta = options.meta
    this.length = options.length
    this.#options = options
    this.#writer = options.writer
    this.#blockBytes = Math.min(Math.max(options.length ?? UNKNOWN_BLOCK, 1), LARGEST_BLOCK)
    this.ended = this.#pump()
  }

  /** Whether a newcomer can still have the whole body. */
  get joinable(): boolean {
    return this.#base === 0 && this.#failure === undefined && !this.#stopped
  }

  /** The body, or a part of it, as it comes. Counts as a reader from now on, until it is read or returned. */
  read(range?: ByteRange): AsyncIterableIterator<Uint8Array> {
    const reader: Reader = { at: range?.first ?? 0 }
    const end = range === undefined ? Number.POSITIVE_INFINITY : range.last + 1
    const done = { done: true, value: undefined } as const
    this.#readers.add(reader)
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: async () => {
        for (;;) {
          if (!this.#readers.has(reader)) return done
          const value = this.#piece(reader.at, end)
          if (value !== undefined) {
            reader.at += value.byteLength
            if (this.#writer === undefined) this.#trim()
            return { done: false, value }
          }
          if (reader.at >= end || this.#complete) {
            this.#leave(reader)
            return done
          }
          if (this.#failure !== undefined) {
            this.#leave(reader)
            throw this.#failure
          }
          await this.#changed.promise
        }
      },
      return: async () => {
        this.#leave(reader)
        return done
      },
    }
  }

  /** What is there from `at` on, in the block it lies in. */
  #piece(at: number, end: number): Uint8Array | undefined {
    const limit = Math.min(this.#total, end)
    if (at >= limit) return undefined
    const block = Math.floor(at / this.#blockBytes)
    const start = block * this.#blockBytes
    return this.#blocks[block - this.#base]?.subarray(at - start, Math.min(limit - start, this.#blockBytes))
  }

  #leave(reader: Reader): void {
    if (!this.#readers.delete(reader)) return
    if (this.#readers.size === 0 && !this.#complete && !this.#worthFinishing()) this.#stopped = true
    this.#wake()
  }

  #worthFinishing(): boolean {
    if (this.#writer === undefined) return false
    if (this.length === undefined) return this.#total <= WORTH_FINISHING
    return this.length - this.#total <= WORTH_FINISHING || this.#total >= this.length / 2
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async #pump(): Promise<void> {
    try {
      for await (const chunk of this.#options.source) {
        await this.#append(chunk)
        if (this.#stopped) break
        this.#wake()
      }
      if (this.#stopped) await this.#end('abandoned')
      else if (this.length !== undefined && this.#total !== this.length)
        throw new CdnError('CDN_ORIGIN_BROKE_OFF', `${this.#total} of ${this.length} bytes came`)
      else await this.#finish()
    } catch (error) {
      this.#failure = error instanceof CdnError ? error : new CdnError('CDN_ORIGIN_BROKE_OFF', undefined, error)
      this.#wake()
      await this.#end('broke-off')
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    let from = 0
    while (from < chunk.byteLength) {
      const used = this.#total % this.#blockBytes
      // Each block is memory of its own: a small piece of a socket's buffer would keep all of it alive.
      if (used === 0) this.#blocks.push(new Uint8Array(this.#blockBytes))
      const block = this.#blocks.at(-1) as Uint8Array
      const taken = Math.min(this.#blockBytes - used, chunk.byteLength - from)
      block.set(chunk.subarray(from, from + taken), used)
      this.#total += taken
      from += taken
      if (used + taken === this.#blockBytes) await this.#store(block)
    }
    if (this.#writer !== undefined && this.#total > this.#options.maxBytes) await this.#end('too-large')
    if (this.#writer === undefined) await this.#windowed()
  }

  async #store(block: Uint8Array): Promise<void> {
    if (this.#writer === undefined) return
    const taken = await this.#writer.write(block).catch(() => undefined)
    if (taken !== true) await this.#end(taken === false ? 'too-large' : 'store-failed')
  }

  async #finish(): Promise<void> {
    const rest = this.#total % this.#blockBytes
    const last = this.#blocks.at(-1)
    if (rest > 0 && last !== undefined) await this.#store(last.slice(0, rest))
    this.#complete = true
    this.#wake()
    if (this.#writer === undefined) return
    if (!this.#options.mayCommit()) return this.#end('invalidated')
    const stored = await this.#writer.commit().catch(() => undefined)
    if (stored === true) this.#settle({ stored: true })
    else await this.#end(stored === false ? 'too-large' : 'store-failed')
  }

  /** Gives up storing. Who reads along goes on. */
  async #end(reason: Reason): Promise<void> {
    const writer = this.#writer
    this.#writer = undefined
    if (writer !== undefined) await writer.abort().catch(() => undefined)
    this.#settle({ stored: false, reason })
  }

  #settle(result: Parameters<FillOptions['settled']>[0]): void {
    if (this.#settled) return
    this.#settled = true
    this.#options.settled(result)
  }

  /** Drops what every reader has passed, and waits until the slowest is within the window. */
  async #windowed(): Promise<void> {
    for (;;) {
      this.#trim()
      if (this.#readers.size === 0) this.#stopped = true
      if (this.#stopped || this.#total - this.#base * this.#blockBytes <= WINDOW + this.#blockBytes) return
      await this.#changed.promise
    }
  }

  #trim(): void {
    let slowest = this.#total
    for (const reader of this.#readers) slowest = Math.min(slowest, reader.at)
    const passed = Math.floor(slowest / this.#blockBytes) - this.#base
    if (passed <= 0) return
    this.#blocks.splice(0, passed)
    this.#base += passed
    this.#wake()
  }
}
