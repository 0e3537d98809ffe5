// One store before another: what is small and hot in memory, everything below.
import type { CacheKey } from '../http/stored-response.ts'
import type { OnEvict, Store, StoredResponse } from './store.ts'

export interface TieredOptions {
  readonly upper: Store
  readonly lower: Store
}

/** What is larger than this share of the upper store is read from the lower one. */
const LARGEST_SHARE = 0.02

export function tieredStore({ upper, lower }: TieredOptions): Store {
  const fits = (bytes: number): boolean => bytes <= upper.stats().maxBytes * LARGEST_SHARE
  async function found(key: CacheKey): Promise<readonly StoredResponse[]> {
    const below = await lower.lookup(key)
    const above = new Map((upper.peek?.(key) ?? []).map((response) => [response.meta.id, response]))
    return below.map((response) => above.get(response.meta.id) ?? response)
  }
  return {
    name: `${upper.name}+${lower.name}`,
    lookup: found,
    peek(key) {
      const above = upper.peek?.(key)
      if (above !== undefined && above.length > 0) return above
      const below = lower.peek?.(key)
      return below?.length === 0 ? below : undefined
    },
    async read(id, part) {
      const above = await upper.read(id, part)
      if (above !== undefined) return above
      return lower.read(id, part)
    },
    has: (id, slice) => upper.has(id, slice) || lower.has(id, slice),
    async write(meta, body) {
      const stored = await lower.write(meta, body)
      if (stored && meta.sliceBytes === undefined && fits(meta.length)) await upper.write(meta, body)
      else await upper.discard(meta.id)
      return stored
    },
    writeSlice: (id, slice, bytes) => lower.writeSlice(id, slice, bytes),
    async freshen(meta) {
      const stored = await lower.freshen(meta)
      await upper.freshen(meta)
      return stored
    },
    async remove(key) {
      const removed = await lower.remove(key)
      await upper.remove(key)
      return removed
    },
    async discard(id) {
      await lower.discard(id)
      await upper.discard(id)
    },
    stats() {
      const [above, below] = [upper.stats(), lower.stats()]
      return { ...below, memoryBytes: above.memoryBytes + below.memoryBytes }
    },
    reportEvictions(listener: OnEvict) {
      lower.reportEvictions?.(listener)
    },
    async close() {
      await upper.close()
      await lower.close()
    },
  }
}
