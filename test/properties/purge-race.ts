// One race, from a seed: fills, validations, purges and requests in an order that nobody would think of. Whoever asks after a purge has
// been acknowledged never gets what the origin had before it.
import {
  createCdn,
  memoryStore,
  type OriginRequest,
  type Purge,
  type PurgeBus,
  type PurgeSubscriber,
  type PurgeWhat,
  type Store,
} from '@simple-cdn/core'
import { fakeClock, requestFor, type Scripted, scriptedOrigin, settled } from '@simple-cdn/testing'
import { chance } from '../../packages/core/test/support/chance.ts'

const SLICE = 64 * 1024
const LARGE = 2 * SLICE + 1000
const PAGES = ['/a/plain', '/a/varies', '/b/large', '/b/brief'] as const
type Page = (typeof PAGES)[number]
const LANGUAGES = ['de', 'en'] as const

/** What a race came to: how often what happened, and the complaint if there is one. */
export interface Race {
  readonly requests: number
  readonly hits: number
  readonly purges: number
  readonly validated: number
  readonly complaint: string | undefined
}

/** What each purge names, and which pages that are. */
const PURGES: readonly (readonly [PurgeWhat, readonly Page[]])[] = [
  ...PAGES.map((page) => [{ url: `http://cdn.test${page}` }, [page]] as const),
  [{ surrogateKey: 'a' }, ['/a/plain', '/a/varies']],
  [{ surrogateKey: 'all' }, PAGES],
  [{ prefix: 'http://cdn.test/b/' }, ['/b/large', '/b/brief']],
  [{ pattern: 'https://*.test/*/large' }, ['/b/large']],
  [{ host: 'cdn.test' }, PAGES],
  [{ route: 'b' }, ['/b/large', '/b/brief']],
  [{ everything: true }, PAGES],
]

/** `steps`: how many things happen. */
export async function race(seed: number, steps = 24): Promise<Race> {
  const random = chance(seed)
  const below = (count: number): number => Math.floor(random() * count)
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T

  const counts = { requests: 0, hits: 0, purges: 0, validated: 0 }
  let complaint: string | undefined
  const version: Record<Page, number> = { '/a/plain': 1, '/a/varies': 1, '/b/large': 1, '/b/brief': 1 }
  /** What whoever asks from now on must not get less than. */
  const least: Record<Page, number> = { ...version }

  /** Those who wait for their turn: heads and bodies of the origin, lookups of the store, purges on their way from other machines. */
  const gates: (() => void)[] = []
  const gate = (share: number): Promise<void> =>
    random() < share ? new Promise((resolve) => gates.push(resolve)) : Promise.resolve()
  const open = (): void => gates.splice(below(gates.length), 1)[0]?.()

  const time = fakeClock()
  let setBack = 0
  const clock = { ...time, now: () => time.now() - setBack }

  const app = scriptedOrigin('app')
  app.answer((request) => scripted(request))
  function scripted({ target, fields }: OriginRequest): Scripted {
    const page = target as Page
    const asked = (name: string) => fields[fields.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name) + 1]
    // As of when the request is there, however late the answer goes out.
    const now = version[page]
    const language = page === '/a/varies' ? asked('accept-language') : ''
    const etag = `"${now}${language}"`
    const headers = {
      ETag: etag,
      'Cache-Control': page === '/b/brief' ? 'max-age=0, stale-while-revalidate=1' : 'max-age=60, stale-while-revalidate=60',
      'Surrogate-Key': `all ${page.split('/')[1]}`,
      ...(page === '/a/varies' && { Vary: 'Accept-Language' }),
    }
    const has = (name: string) => fields.some((each, at) => at % 2 === 0 && each.toLowerCase() === name)
    if (has('if-none-match') && asked('if-none-match') === etag) {
      counts.validated++
      return { status: 304, headers, after: gate(0.5) }
    }
    const whole = page === '/b/large' ? Buffer.alloc(LARGE, now) : Buffer.alloc(10, now)
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(has('range') ? String(asked('range')) : '') ?? []
    const isPart = first !== undefined && (!has('if-range') || asked('if-range') === etag)
    const end = isPart ? Math.min(Number(last), whole.byteLength - 1) + 1 : whole.byteLength
    const body = isPart ? whole.subarray(Number(first), end) : whole
    const range = { 'Content-Range': `bytes ${first}-${end - 1}/${whole.byteLength}` }
    return {
      status: isPart ? 206 : 200,
      headers: { ...headers, 'Content-Length': String(body.byteLength), ...(isPart && range) },
      body: pieces(body),
      after: gate(0.4),
    }
  }
  async function* pieces(body: Uint8Array): AsyncGenerator<Uint8Array> {
    const step = Math.ceil(body.byteLength / 2)
    for (let at = 0; at < body.byteLength; at += step) {
      await gate(0.3)
      yield body.subarray(at, at + step)
    }
  }

  const memory = memoryStore({ maxBytes: 8 * 1024 * 1024 })
  const slow: Store = {
    ...memory,
    async lookup(key) {
      await gate(0.2)
      return memory.lookup(key)
    },
    async write(...written) {
      await gate(0.2)
      return memory.write(...written)
    },
  }
  // A memory store answers at once; one on a disk has to be waited for.
  if (seed % 2 === 1) delete (slow as { peek?: unknown }).peek

  let machine: PurgeSubscriber | undefined
  const bus: PurgeBus = {
    name: 'test',
    subscribe(subscriber) {
      machine = subscriber
      subscriber.hears(true)
    },
    async publish(purge) {
      await gate(0.3)
      // It comes back, once it is out.
      void gate(0.5).then(() => machine?.apply(purge, purge.id))
    },
    status: async (id) => ({ id, machines: [] }),
    stats: () => ({ connected: true, behind: 0, published: 0, failed: 0, gaps: 0 }),
    close: async () => undefined,
  }

  const cdn = createCdn(
    {
      origins: { app },
      routes: [
        { name: 'b', match: '/b/*', origin: 'app' },
        { match: '/*', origin: 'app' },
      ],
      store: slow,
      slice: '64kb',
      log: [],
      ...(seed % 3 !== 0 && { purge: { bus } }),
    },
    { clock },
  )

  async function get(page: Page): Promise<void> {
    counts.requests++
    const expected = least[page]
    const from = below(LARGE - 10)
    const headers: Record<string, string> = {
      ...(page === '/a/varies' && { 'Accept-Language': one(LANGUAGES) }),
      ...(page === '/b/large' && random() < 0.5 && { Range: `bytes=${from}-${from + below(LARGE - from)}` }),
    }
    const answer = await cdn.handle(requestFor(`http://cdn.test${page}`, { headers }))
    const wasHit = answer.fields.some((value) => value.includes('; hit'))
    if (wasHit) counts.hits++
    let [smallest, largest] = [Number.POSITIVE_INFINITY, 0]
    let [bytes, error]: [number, unknown] = [0, undefined]
    try {
      for await (const chunk of answer.body instanceof Uint8Array ? [answer.body] : (answer.body ?? [])) {
        bytes += chunk.byteLength
        // All of one version, so that the first and the last byte, and one between, will do.
        for (const at of [0, chunk.byteLength >> 1, chunk.byteLength - 1]) {
          smallest = Math.min(smallest, chunk[at] ?? smallest)
          largest = Math.max(largest, chunk[at] ?? largest)
        }
      }
    } catch (broken) {
      error = broken
    }
    answer.finished(bytes, error === undefined, error)
    const told = `${page} ${JSON.stringify(headers)}${wasHit ? ', a hit,' : ''} in race ${seed}`
    if (smallest < expected)
      complaint ??= `${told} gave version ${smallest}, and ${expected} was purged to before it was asked for`
    if (bytes > 0 && smallest !== largest) complaint ??= `${told} gave a mixture of versions ${smallest} and ${largest}`
    if (answer.status >= 500 && answer.status !== 502) complaint ??= `${told} gave ${answer.status}`
  }

  async function purge(): Promise<void> {
    counts.purges++
    const [what, pages] = one(PURGES)
    const soft = random() < 0.2
    const before = { ...version }
    const isFromElsewhere = machine !== undefined && random() < 0.4
    if (isFromElsewhere) await machine?.apply(named(what, soft, `elsewhere ${counts.purges}`), `${counts.purges}`)
    else await cdn.purge(what, { soft })
    // Acknowledged.
    if (!soft) for (const page of pages) least[page] = Math.max(least[page], before[page])
  }

  const under: Promise<void>[] = []
  for (let step = 0; step < steps && complaint === undefined; step++) {
    const choice = random()
    if (choice < 0.45) under.push(get(one(PAGES)))
    else if (choice < 0.58) {
      version[one(PAGES)]++
      if (random() < 0.7) under.push(purge())
    } else if (choice < 0.66) under.push(purge())
    else if (choice < 0.87) open()
    else if (choice < 0.97) await time.advance(one([0, 1, 1, 2, 900, 61_000]))
    else setBack = one([0, 5, 10_000])
    // Several things may happen in the same turn.
    if (random() < 0.7) await settled()
  }
  if (!(await ends(Promise.all(under)))) complaint ??= `race ${seed} does not come to its end`
  if (!(await ends(cdn.close({ graceMs: 0 })))) complaint ??= `race ${seed} cannot be closed`
  return { ...counts, complaint }

  /** Whatever still waits gets its turn, and time goes on. */
  async function ends(what: Promise<unknown>): Promise<boolean> {
    let isOver = false
    void what.then(() => {
      isOver = true
    })
    for (let turns = 0; !isOver && turns < 1_000; turns++) {
      while (gates.length > 0) open()
      await settled()
      if (turns > 5) await time.advance(1_000)
    }
    return isOver
  }
}

/** As another machine would have written it. */
function named(what: PurgeWhat, soft: boolean, id: string): Purge {
  const at = 0
  const path = (url: string): string => url.replace(/^https?:\/\//, '')
  if ('url' in what) return { id, at, soft, kind: 'url', value: path(what.url) }
  if ('surrogateKey' in what) return { id, at, soft, kind: 'surrogate-key', value: what.surrogateKey }
  if ('prefix' in what) return { id, at, soft, kind: 'prefix', value: path(what.prefix) }
  if ('pattern' in what) return { id, at, soft, kind: 'pattern', value: path(what.pattern) }
  if ('host' in what) return { id, at, soft, kind: 'prefix', value: `${what.host}/` }
  if ('route' in what) return { id, at, soft, kind: 'route', value: what.route }
  return { id, at, soft, kind: 'everything', value: '' }
}
