// A stored response for tests: fresh for a minute, of no variant, unless told otherwise.
import type { CacheKey, Freshness, StoredMeta } from '../src/http/stored-response.ts'

export const T0 = Date.UTC(2014, 5, 6)

export function storedMeta(
  meta: Partial<Omit<StoredMeta, 'freshness'>> & { readonly freshness?: Partial<Freshness> } = {},
): StoredMeta {
  return {
    v: 1,
    id: 'id',
    key: 'http://cdn.test/' as CacheKey,
    status: 200,
    fields: [],
    withheld: [],
    selecting: [],
    requestedAt: T0,
    receivedAt: T0,
    initialAge: 0,
    length: 0,
    surrogateKeys: [],
    ...meta,
    freshness: {
      lifetime: 60,
      from: 'max-age',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      validateAlways: false,
      forbidsStale: false,
      ...meta.freshness,
    },
  }
}
