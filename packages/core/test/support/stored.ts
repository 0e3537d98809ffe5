// Metadata for tests of stores: of a plain response, with nothing in it that matters.
import type { CacheKey, Selecting, StoredMeta } from '@simple-cdn/core'

interface Facts {
  readonly key?: string
  readonly sliceBytes?: number | undefined
  readonly selecting?: Selecting
}

export function metaOf(id: string, length: number, { key = id, sliceBytes, selecting = [] }: Facts = {}): StoredMeta {
  return {
    v: 1,
    id,
    key: `http://cdn.test/${key}` as CacheKey,
    status: 200,
    fields: ['Content-Type', 'text/plain'],
    withheld: [],
    selecting,
    requestedAt: 1,
    receivedAt: 2,
    initialAge: 0,
    freshness: {
      lifetime: 60,
      from: 'max-age',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      validateAlways: false,
      forbidsStale: false,
    },
    surrogateKeys: [],
    length,
    sliceBytes,
  }
}
