// Which share of requests and of bytes is answered without the origin: the policies of the stores beside plain LRU, on recorded traffic.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type CacheKey,
  type Eviction,
  leastRecentlyUsed,
  memoryStore,
  type Store,
  type StoredMeta,
  sampled,
  tieredStore,
} from '@simple-cdn/core'
import { markdown, writeSection } from './lib/report.ts'
import { readTraces, type Trace } from './lib/traces.ts'

/** Of the bytes of everything that is asked for at all. */
const shares = [0.01, 0.05, 0.1, 0.25]
/** Memory, as a share of the store below it. */
const upperShare = 0.1
const sliceBytes = 1024 * 1024
const body = new Uint8Array(sliceBytes)

interface Subject {
  readonly name: string
  readonly create: (maxBytes: number) => Store
}

interface Ratios {
  readonly requests: number
  readonly bytes: number
}

/** Numbers that look random, the same in every run. */
function chance(): () => number {
  let state = 1
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const beta = (sizeExponent: number): Eviction => sampled({ sizeExponent, random: chance() })

const one = (eviction: () => Eviction) => (maxBytes: number) => memoryStore({ maxBytes, eviction: eviction() })

const two = (above: () => Eviction, below: () => Eviction, largestShare?: number) => (maxBytes: number) =>
  tieredStore({
    upper: memoryStore({ maxBytes: Math.max(65_536, maxBytes * upperShare), eviction: above() }),
    lower: memoryStore({ maxBytes, eviction: below() }),
    ...(largestShare !== undefined && { largestShare }),
  })

const lru: Subject = { name: 'LRU', create: one(leastRecentlyUsed) }
const small: Subject = { name: 'sampled, β = 1', create: one(() => beta(1)) }
const large: Subject = { name: 'sampled, β = 0.25', create: one(() => beta(0.25)) }
// Everything that the upper one takes at all, as a plain cache over another has it.
const lruOverLru: Subject = { name: 'LRU over LRU', create: two(leastRecentlyUsed, leastRecentlyUsed, 0.5) }
const shipped: Subject = {
  name: 'memory over disk',
  create: two(
    () => beta(1),
    () => beta(0.25),
  ),
}
const subjects = [lru, small, large, lruOverLru, shipped]

/** Asks a store for all of it as the engine would, and gives it what it does not have. */
async function replay({ requests, sizes }: Trace, store: Store): Promise<Ratios> {
  let hits = 0
  let wanted = 0
  let found = 0
  let written = 0
  for (const object of requests) {
    const length = sizes[object] as number
    const key = `http://cdn.test/${object}` as CacheKey
    const [stored] = store.peek?.(key) ?? (await store.lookup(key))
    const isSliced = length > sliceBytes
    let missing = length
    if (stored !== undefined && !isSliced) {
      const whole = stored.open?.() ?? (await store.read(stored.meta.id))
      if (whole !== undefined) missing = 0
    }
    const id = stored?.meta.id ?? `${object}.${written++}`
    if (stored === undefined || (missing > 0 && !isSliced))
      await store.write(metaOf(id, key, length), isSliced ? undefined : body.subarray(0, length))
    if (isSliced) missing -= await replaySlices(store, id, length)
    wanted += length
    found += length - missing
    if (missing === 0) hits++
  }
  await store.close()
  return { requests: hits / requests.length, bytes: found / wanted }
}

/** Resolves to the bytes of it that were there. */
async function replaySlices(store: Store, id: string, length: number): Promise<number> {
  let found = 0
  for (let slice = 0; slice * sliceBytes < length; slice++) {
    const bytes = Math.min(sliceBytes, length - slice * sliceBytes)
    if (store.has(id, slice) && (await store.read(id, { slice })) !== undefined) found += bytes
    else await store.writeSlice(id, slice, body.subarray(0, bytes))
  }
  return found
}

function metaOf(id: string, key: CacheKey, length: number): StoredMeta {
  return {
    v: 1,
    id,
    key,
    status: 200,
    fields: ['Content-Type', 'text/html', 'ETag', '"0123456789"', 'Last-Modified', 'Fri, 06 Jun 2014 00:00:00 GMT'],
    withheld: [],
    selecting: [],
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
    sliceBytes: length > sliceBytes ? sliceBytes : undefined,
  }
}

const percent = (share: number): string => (100 * share).toFixed(1)
const change = (after: number, before: number): string => {
  const points = Math.round(100 * ((1 - after) / (1 - before) - 1))
  return `${points > 0 ? '+' : points < 0 ? '−' : ''}${Math.abs(points)}`
}

async function bench(traces: readonly Trace[], write: boolean): Promise<void> {
  const headings = subjects.map(({ name }) => name)
  const cells: string[][] = [['trace', 'size', ...headings, 'origin requests', 'origin bytes']]
  const began = performance.now()
  let worse = 0
  for (const trace of traces) {
    const unique = trace.sizes.reduce((sum, size) => sum + size, 0)
    for (const share of shares) {
      const results = new Map<Subject, Ratios>()
      for (const subject of subjects) results.set(subject, await replay(trace, subject.create(unique * share)))
      const [before, after] = [results.get(lruOverLru) as Ratios, results.get(shipped) as Ratios]
      if (after.requests < before.requests) worse++
      cells.push([
        trace.name,
        `${100 * share} %`,
        ...subjects
          .map((subject) => results.get(subject) as Ratios)
          .map((got) => `${percent(got.requests)} / ${percent(got.bytes)}`),
        `${change(after.requests, before.requests)} %`,
        `${change(after.bytes, before.bytes)} %`,
      ])
    }
    console.error(`${trace.name}: ${Math.round((performance.now() - began) / 1000)} s`)
  }
  const text = [
    markdown(cells),
    [
      'Per cent of requests / of bytes that are answered without the origin, from a cold start. "size": bound of the store, of the bytes of',
      'everything asked for. Two tiers: memory has a tenth of that on top. The last two columns: change in what the origin is asked for, "memory',
      'over disk" (sampled, β = 1, over sampled, β = 0.25) against "LRU over LRU". The traces of cache2k are without sizes: 10 KiB each.',
    ].join('\n'),
    `Requests: ${traces.map(({ name, requests }) => `${name} ${requests.length}`).join(', ')}.`,
  ].join('\n\n')
  console.log(`\n${text}`)
  if (write) writeSection(new URL('../docs/benchmarks.md', import.meta.url), 'Hit ratio on recorded traffic', text)
  process.exitCode = worse === 0 ? 0 : 1
}

const { values: options } = parseArgs({ options: { write: { type: 'boolean' }, traces: { type: 'string' } } })
const folder = options.traces ?? resolve(import.meta.dirname, '../../shared/traces')
const traces = readTraces(folder)
if (traces.length === 0) {
  console.error(`SKIPPED: no traces in ${folder}. Name a folder of NAME.csv.gz files with --traces.`)
  process.exitCode = 2
} else {
  await bench(traces, options.write === true)
}
