// What a store is: a bounded map from cache keys to stored responses.
//
// A body up to the size of a slice is kept in one piece, a larger one in slices, each with its own place in eviction. So a store
// never handles more than a slice at a time, and what is missing of a body is fetched again by the engine.
//
// A store knows nothing of HTTP. It does not select by Vary, judge freshness or read the clock: policy/ does, once, for all
// stores. Prove a new store with testStore() from @simple-cdn/testing.
import type { ByteRange } from '../http/body.ts'
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'

export interface Store {
  /** Appears in logs and in explanations: "memory", "disk", "memory+disk". */
  readonly name: string

  /** The responses stored under a key; those whose slices are on their way, too. Empty when there are none. */
  lookup(key: CacheKey): Promise<readonly StoredResponse[]>

  /** What `lookup` would resolve to, when that can be told without waiting; else `undefined`. A hit must not wait for a promise. */
  peek?(key: CacheKey): readonly StoredResponse[] | undefined

  /**
   * Reads a body that is kept in one piece, or one of its slices; or a range of it, both ends included. `undefined` when it
   * is not there (any more), or is damaged: treat that as a miss. Counts as a use.
   */
  read(id: string, part?: Part): Promise<Uint8Array | undefined>

  /** What `read` would resolve to, when it lies in memory and stays as it is; else `undefined`. Counts as a use, then. */
  readNow?(id: string, part?: Part): Uint8Array | undefined

  /** Whether a slice is there, as far as is known without waiting. Counts as no use. */
  has(id: string, slice: number): boolean

  /** Whether the bytes given to `writeSlice` are the caller's again when it has resolved. Left out: it may keep them. */
  readonly copies?: boolean

  /** Counts a use of a response, or of a slice of it, that another store in front of this one has answered. */
  touch?(id: string, slice?: number): void

  /**
   * Stores a response. When this resolves, everybody sees it, whole: with its body, or, when `meta.sliceBytes` says that it is
   * sliced, with those slices that were written before; more may follow. It replaces what was stored under the same key and
   * selecting fields. `false`: there is no room. The store may keep `body` itself; the caller does not change it afterwards.
   */
  write(meta: StoredMeta, body?: Uint8Array): Promise<boolean>

  /**
   * Stores a slice of the response that is called `id`, before or after the response itself. `false`: there is no room, or
   * that response has left. The store may keep `bytes` itself, unless it `copies`. Slices of a response that is never written are bounded like
   * everything else; `discard` removes them.
   */
  writeSlice(id: string, slice: number, bytes: Uint8Array): Promise<boolean>

  /** Replaces the metadata of a stored response and keeps its body (RFC 9111 §4.3.4). `false` when it has left. */
  freshen(meta: StoredMeta): Promise<boolean>

  /** Removes everything stored under a key, with all slices, and says how many responses that were. */
  remove(key: CacheKey): Promise<number>

  /** Removes one response, or the slices that were written for it so far. */
  discard(id: string): Promise<void>

  /** What is stored, one response after the other, in any order; what comes or goes meanwhile may be among them or not. Counts as no use. */
  all?(): Iterable<StoredMeta> | AsyncIterable<StoredMeta>

  /** What it holds now. */
  stats(): StoreStats

  /** Names who wants to know what leaves on the store's own account. */
  reportEvictions?(listener: OnEvict): void

  /** Waits for writes in progress, then lets go of files, timers and connections. */
  close(): Promise<void>
}

/** A stored response as a store hands it out. */
export interface StoredResponse {
  readonly meta: StoredMeta
  /** The whole body, when it lies in memory in one piece; else `undefined`. Counts as a use, like `read`. */
  open?(): Uint8Array | undefined
}

/** What to read of a stored response. */
export interface Part {
  /** Which slice, from 0; without it, the body that is kept in one piece. */
  readonly slice?: number | undefined
  /** Offsets within the slice or the body. Default: all of it. */
  readonly range?: ByteRange | undefined
  /** Gives memory to read into, of at least so many bytes; a store that has the bytes in memory may hand out those instead. */
  readonly into?: ((bytes: number) => Uint8Array) | undefined
  /**
   * Takes note of memory that stays the store's, of which a part is handed out: whoever takes note says when it is not used any more.
   * Left out: what is handed out may be used for ever.
   */
  readonly hold?: ((memory: Uint8Array) => void) | undefined
}

export interface StoreStats {
  readonly responses: number
  /** Bytes counted against the bound: bodies, slices, metadata and what each costs. */
  readonly bytes: number
  readonly maxBytes: number
  /** Bytes of this process's memory that it takes, for its index or for everything. */
  readonly memoryBytes: number
  /** Responses and slices that had to go for others. */
  readonly evicted: number
  /** Records that were not what had been written: found by their checksum, and dropped. */
  readonly damaged: number
}

/**
 * A store reports the responses that leave on its own account, so that a later miss can be explained. A slice that leaves is
 * not reported: its response is still there.
 */
export type OnEvict = (meta: StoredMeta, why: 'full' | 'damaged') => void
