// The calls of cacache that are used here, with their types: those of DefinitelyTyped lack `removeFully`, and bring another Node's.
/// <reference path="./untyped.d.ts" />
import untyped from 'cacache'

/** What cacache's index says of an entry. */
export interface CacacheEntry {
  readonly key: string
  readonly integrity: string
  readonly size: number
  /** When it was written: milliseconds since the epoch. */
  readonly time: number
  readonly metadata?: unknown
}

interface Written {
  readonly metadata: object
  readonly size: number
}

export interface Cacache {
  put(
    folder: string,
    key: string,
    data: Uint8Array,
    options: Written & { algorithms: readonly [string]; memoize: false },
  ): Promise<unknown>
  readonly get: {
    byDigest(folder: string, integrity: string, options: { memoize: false; size: number }): Promise<Buffer>
    info(folder: string, key: string, options: { memoize: false }): Promise<CacacheEntry | null>
  }
  readonly index: {
    insert(folder: string, key: string, integrity: string, options: Written): Promise<CacacheEntry | undefined>
    compact(folder: string, key: string, isSame: (a: CacacheEntry, b: CacacheEntry) => boolean): Promise<unknown>
  }
  readonly rm: {
    entry(folder: string, key: string, options: { removeFully: true }): Promise<unknown>
    content(folder: string, integrity: string): Promise<boolean>
  }
  readonly ls: { stream(folder: string): AsyncIterable<CacacheEntry> }
}

export const cacache: Cacache = untyped
