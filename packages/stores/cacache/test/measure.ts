// Measures what the store on cacache costs: node --conditions=@simple-cdn/source --expose-gc packages/stores/cacache/test/measure.ts [entries]
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CacheKey, Store, StoredMeta } from '@simple-cdn/core'
import { cacacheStore } from '../src/index.ts'

const MB = 1024 * 1024
const entries = Number(process.argv[2] ?? 50_000)
const root = mkdtempSync(join(tmpdir(), 'store-cacache-'))
process.on('exit', () => rmSync(root, { recursive: true, force: true }))

function meta(id: string): StoredMeta {
  const freshness = {
    lifetime: 60,
    from: 'max-age',
    staleWhileRevalidate: 0,
    staleIfError: 0,
    validateAlways: false,
    forbidsStale: false,
  } as const
  const fields = ['Content-Type', 'text/html; charset=utf-8', 'Date', 'Fri, 06 Jun 2014 00:00:00 GMT', 'ETag', `"${id}"`]
  const times = { requestedAt: 1, receivedAt: 2, initialAge: 0, length: 10_240 }
  const key = `https://cdn.example/articles/2014/06/${id}.html` as CacheKey
  return { v: 1, id, key, status: 200, fields, withheld: [], selecting: [], freshness, surrogateKeys: ['articles'], ...times }
}

const body = Buffer.alloc(10_240, 'All work and no play makes Jack a dull boy. ')
const idOf = (at: number): string => `0198c0de-0000-7000-8000-${at.toString().padStart(12, '0')}`

function usage(path: string): number {
  const { blocks } = statSync(path)
  const below = statSync(path).isDirectory() ? readdirSync(path) : []
  return below.reduce((sum, name) => sum + usage(join(path, name)), blocks * 512)
}

async function timed(what: string, times: number, run: () => Promise<unknown>): Promise<void> {
  const [cpu, start] = [process.cpuUsage(), process.hrtime.bigint()]
  await run()
  const { user, system } = process.cpuUsage(cpu)
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const each = ((user + system) / times).toFixed(0)
  console.log(`${what}: ${seconds.toFixed(2)} s, ${each} µs of CPU each, ${(times / seconds).toFixed(0)} per second`)
}

async function inLanes(times: number, run: (at: number) => Promise<unknown>): Promise<void> {
  let at = 0
  const lane = async (): Promise<void> => {
    while (at < times) await run(at++)
  }
  await Promise.all(Array.from({ length: 16 }, lane))
}

async function fill(store: Store, from: number, to: number): Promise<void> {
  await inLanes(to - from, async (at) => {
    const own = Buffer.from(body)
    own.write(String(from + at))
    await store.write(meta(idOf(from + at)), own)
  })
}

const folder = join(root, 'store')
const roomy = { folder, maxBytes: 8192 * MB }
let store = await cacacheStore(roomy)
const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const before = heap()
await timed(`put, 10 KiB, nothing to evict`, entries, () => fill(store, 0, entries))
const reads = Math.min(entries, 10_000)
await timed('get, 10 KiB: lookup and read', reads, () =>
  inLanes(reads, async (at) => {
    await store.lookup(meta(idOf(at)).key)
    await store.read(idOf(at))
  }),
)
await timed('get, 10 KiB: read only', reads, () => inLanes(reads, (at) => store.read(idOf(at))))
const { bytes, memoryBytes } = store.stats()
console.log(`on the disk ${(usage(folder) / MB).toFixed(1)} MiB, counted ${(bytes / MB).toFixed(1)} MiB`)
console.log(`heap for each entry ${((heap() - before) / entries).toFixed(0)} bytes, told ${(memoryBytes / entries).toFixed(0)}`)

await store.close()
const killed = join(root, 'killed')
cpSync(folder, killed, { recursive: true })
rmSync(join(killed, 'simple-cdn-index'))
await timed(`start after an orderly end, ${entries} entries`, entries, async () => {
  store = await cacacheStore(roomy)
})
await store.close()
await timed(`start after a kill, ${entries} entries`, entries, async () => {
  store = await cacacheStore({ ...roomy, folder: killed })
})
await store.close()

const tight = join(root, 'tight')
const maxBytes = 32 * MB
store = await cacacheStore({ folder: tight, maxBytes })
await fill(store, 0, 2000)
await timed('put, 10 KiB, each evicting one', 4000, () => fill(store, 2000, 6000))
console.log(`on the disk ${(usage(tight) / MB).toFixed(1)} MiB of ${maxBytes / MB} MiB, ${store.stats().responses} responses`)
await store.close()
