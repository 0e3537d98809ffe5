// How a response and its slices are written as entries of cacache, and read back from them.
import type { StoredMeta } from '@simple-cdn/core'
import type { CacacheEntry } from './calls.ts'
import type { Listed } from './snapshot.ts'

const PREFIX = 'simple-cdn:'
/** What follows the last "#" is the number of a slice; nothing follows it for a response. */
const SLICE = /^(.*)#(\d+)$/s

/** A hash, what separates it, and what cacache writes of each entry besides key and metadata. */
const ENTRY_BYTES = 200

/** The key of a response or a slice in cacache. */
export function entryKey(id: string, slice: number): string {
  return `${PREFIX}${id}#${slice < 0 ? '' : slice}`
}

export function integrityOf(digest: string): string {
  return `sha256-${digest}`
}

/** What goes with the entry of a response. */
export function metadataOf(meta: StoredMeta): { response: StoredMeta } {
  return { response: meta }
}

/** Length of an entry in cacache's index. */
export function entryBytesOf(key: string, metadata: object): number {
  return ENTRY_BYTES + Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(JSON.stringify(metadata))
}

/** The metadata of a response, out of its entry; `undefined` when it is not what it should be. */
export function metaOf(entry: CacacheEntry, id: string): StoredMeta | undefined {
  const meta = (entry.metadata as { response?: StoredMeta } | undefined)?.response
  return meta?.v === 1 && meta.id === id ? meta : undefined
}

/** Whether an entry was written by this store, in whichever version. */
export function isOurs({ key }: CacacheEntry): boolean {
  return key.startsWith(PREFIX)
}

/** What is kept in memory of an entry; `undefined` when this version cannot read it. */
export function listedOf(entry: CacacheEntry): Listed | undefined {
  const { key: name, integrity, size } = entry
  const digest = /^sha256-([\w+/]{43}=)$/.exec(integrity)?.[1]
  if (digest === undefined || !(size >= 0)) return undefined
  const entryBytes = entryBytesOf(name, entry.metadata ?? {})
  const [, id, slice] = SLICE.exec(name.slice(PREFIX.length)) ?? []
  if (id !== undefined && slice !== undefined) return { id, slice: Number(slice), digest, size, entryBytes }
  const meta = metaOf(entry, name.slice(PREFIX.length, -1))
  if (meta === undefined || !name.endsWith('#')) return undefined
  const { key, selecting, sliceBytes } = meta
  if (sliceBytes === undefined && meta.length !== size) return undefined
  return {
    id: meta.id,
    slice: -1,
    digest,
    size,
    entryBytes,
    key,
    variant: JSON.stringify(selecting),
    isSliced: sliceBytes !== undefined,
  }
}
