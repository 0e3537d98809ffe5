// A store of one's own: responses and slices as rows of a table in SQLite, the least recently used of which leaves first.
import { DatabaseSync } from 'node:sqlite'
import type { CacheKey, OnEvict, Store, StoredMeta } from '@simple-cdn/core'

export interface SqliteStoreOptions {
  /** A file, or ":memory:". What an earlier process has left in it is gone: nobody knows what was purged meanwhile. */
  file: string
  /** Bound in bytes for bodies and metadata. The file is some percent larger. */
  maxBytes: number
}

interface Row {
  readonly id: string
  readonly slice: number
  readonly meta: string | null
  readonly bytes: number
}

/** What a row costs besides its body and its metadata. */
const ROW_BYTES = 200
const MAX_VARIANTS = 100
/** In place of the number of a slice: the response itself, with its body if that is in one piece. */
const WHOLE = -1

/** Everything is done when a call returns; the promises are there for stores that have to wait. */
export function sqliteStore({ file, maxBytes }: SqliteStoreOptions): Store {
  const db = new DatabaseSync(file)
  db.exec(`
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    DROP TABLE IF EXISTS rows;
    CREATE TABLE rows (id TEXT, slice INTEGER, key TEXT, selecting TEXT, meta TEXT, body BLOB, bytes INTEGER, used INTEGER, PRIMARY KEY (id, slice));
    CREATE INDEX by_key ON rows (key) WHERE key IS NOT NULL;
    CREATE INDEX by_use ON rows (used);
  `)
  const put = db.prepare('INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  const one = db.prepare('SELECT * FROM rows WHERE id = ? AND slice = ?')
  const size = db.prepare('SELECT bytes FROM rows WHERE id = ? AND slice = ?')
  const under = db.prepare('SELECT id, slice, meta, bytes, selecting FROM rows WHERE key = ? ORDER BY used')
  const all = db.prepare('SELECT id, slice, meta, bytes FROM rows WHERE id = ?')
  const oldest = db.prepare('SELECT id, slice, meta, bytes FROM rows ORDER BY used LIMIT 1')
  const use = db.prepare('UPDATE rows SET used = ? WHERE id = ? AND slice = ?')
  const drop = db.prepare('DELETE FROM rows WHERE id = ? AND slice = ?')

  let held = 0
  let responses = 0
  let evicted = 0
  let turn = 0
  let isClosed = false
  let report: OnEvict = () => {}

  const remove = ({ id, slice, meta, bytes }: Row): void => {
    drop.run(id, slice)
    held -= bytes
    if (meta !== null) responses--
  }
  /** A response goes with its slices; a slice goes alone. */
  const removeAll = (id: string): void => {
    for (const row of all.all(id) as unknown as Row[]) remove(row)
  }
  const touch = (id: string, slice: number): void => {
    use.run(turn++, id, slice)
    // A response stays longer than its slices.
    if (slice !== WHOLE) use.run(turn++, id, WHOLE)
  }
  /** Before it is written, so that the bound holds at any moment. */
  const makeRoom = (bytes: number): boolean => {
    if (bytes > maxBytes / 2) return false
    while (held + bytes > maxBytes) {
      const row = oldest.get() as unknown as Row
      evicted++
      if (row.slice !== WHOLE) remove(row)
      else {
        removeAll(row.id)
        report(JSON.parse(row.meta as string), 'full')
      }
    }
    return true
  }
  const write = (id: string, slice: number, body: Uint8Array | null, meta?: StoredMeta): boolean => {
    const json = meta === undefined ? null : JSON.stringify(meta)
    const bytes = (body?.byteLength ?? 0) + (json?.length ?? 0) + ROW_BYTES
    if (!makeRoom(bytes)) return false
    const before = size.get(id, slice) as { bytes: number } | undefined
    put.run(id, slice, meta?.key ?? null, meta === undefined ? null : JSON.stringify(meta.selecting), json, body, bytes, turn++)
    held += bytes - (before?.bytes ?? 0)
    if (meta !== undefined && before === undefined) responses++
    return true
  }

  return {
    name: 'sqlite',
    async lookup(key) {
      return (under.all(key) as unknown as Row[]).map(({ meta }) => ({ meta: JSON.parse(meta as string) as StoredMeta }))
    },
    async read(id, { slice = WHOLE, range } = {}) {
      const body = (one.get(id, slice) as { body: Uint8Array | null } | undefined)?.body ?? undefined
      if (body === undefined) return undefined
      touch(id, slice)
      return range === undefined ? body : body.subarray(range.first, range.last + 1)
    },
    has: (id, slice) => size.get(id, slice) !== undefined,
    touch: (id, slice = WHOLE) => touch(id, slice),
    async write(meta, body) {
      const selecting = JSON.stringify(meta.selecting)
      const others = (under.all(meta.key) as unknown as (Row & { selecting: string })[]).filter(({ id }) => id !== meta.id)
      if (!write(meta.id, WHOLE, body ?? null, meta)) return false
      for (const [at, other] of others.entries())
        if (other.selecting === selecting || at <= others.length - MAX_VARIANTS) removeAll(other.id)
      return true
    },
    async writeSlice(id, slice, bytes) {
      const isThere = write(id, slice, bytes)
      touch(id, WHOLE)
      return isThere
    },
    async freshen(meta) {
      const row = one.get(meta.id, WHOLE) as { body: Uint8Array | null } | undefined
      return row !== undefined && write(meta.id, WHOLE, row.body, meta)
    },
    async remove(key: CacheKey) {
      const found = under.all(key) as unknown as Row[]
      for (const { id } of found) removeAll(id)
      return found.length
    },
    async discard(id) {
      removeAll(id)
    },
    stats: () => ({ responses, bytes: held, maxBytes, memoryBytes: 2 * 1024 * 1024, evicted, damaged: 0 }),
    reportEvictions(listener) {
      report = listener
    },
    async close() {
      if (!isClosed) db.close()
      isClosed = true
    },
  }
}
