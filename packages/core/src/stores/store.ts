// What a store is: a bounded map from cache keys to stored responses, whose bodies stream.
//
// A store knows nothing of HTTP. It does not select by Vary, judge freshness or read the clock:
// policy/ does, once, for all stores. Prove a new store with testStore() from @simple-cdn/testing.
import type { Body, ByteRange } from '../http/body.ts'
import type { CacheKey, StoredMeta } from '../http/stored-response.ts'

export interface Store {
  /** Appears in logs and in explanations: "memory", "disk", "memory+disk". */
  readonly name: string

  /** The responses stored under a key. Empty when there are none; bodies stay closed. */
  lookup(key: CacheKey): Promise<readonly StoredResponse[]>

  /** What `lookup` would resolve to, when that can be told without waiting; else `undefined`. A hit must not wait for a promise. */
  peek?(key: CacheKey): readonly StoredResponse[] | undefined

  /** Opens a body. `undefined` when it has left since `lookup`: treat that as a miss. */
  read(id: string, range?: ByteRange): Promise<Body | undefined>

  /**
   * Begins to store a response. Nobody sees it before `commit`; then everybody does, at once. `length` is the body's, in
   * bytes, when it is known; `undefined` comes back when the store would not take so much.
   */
  write(meta: StoredMeta, length: number | undefined): Promise<StoreWriter | undefined>

  /** Replaces the metadata of a stored response and keeps its body (RFC 9111 §4.3.4). `false` when it has left. */
  freshen(meta: StoredMeta): Promise<boolean>

  /** Removes everything stored under a key, and says how many responses that were. */
  remove(key: CacheKey): Promise<number>

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
  /** Length of the stored body in bytes. */
  readonly length: number
  /** The whole body, when it lies in memory in one piece; else `undefined`. Counts as a use, like `read`. */
  open?(): Uint8Array | undefined
}

export interface StoreWriter {
  /**
   * Resolves when the store wants more: awaiting it is the back-pressure. `false`: the store has no room, and this
   * write is over. The store may keep the chunk itself; the caller does not change it afterwards.
   */
  write(chunk: Uint8Array): Promise<boolean>
  /** `false` when there is no room after all. Replaces what was stored under the same key and selecting fields. */
  commit(): Promise<boolean>
  /** Forgets everything written. What was stored before under the same key and fields stays. */
  abort(): Promise<void>
}

export interface StoreStats {
  readonly responses: number
  /** Bytes counted against the bound: bodies, metadata and what each entry costs the process. */
  readonly bytes: number
  readonly maxBytes: number
  readonly evicted: number
}

/** A store reports what leaves on its own account, so that a later miss can be explained. */
export type OnEvict = (meta: StoredMeta, why: 'full' | 'damaged') => void
