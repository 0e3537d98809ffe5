// Who asks, and whom the machines ask: a site whose pages have versions, and readers in all regions who notice an old one.
import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Site {
  readonly url: string
  readonly pages: number
  readonly version: (page: number) => number
  /** Requests that have come so far. */
  readonly asked: () => number
  /** A page is changed: from now on it has the next version. */
  change(page: number): number
  close(): void
}

/** Pages of 1 to 64 KiB that may be kept for an hour, each of which begins with its version. */
export async function site(pages: number): Promise<Site> {
  const versions: number[] = Array(pages).fill(1)
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    const page = Number(/^\/page\/(\d+)$/.exec(request.url ?? '')?.[1])
    const version = versions[page]
    if (version === undefined) return void response.writeHead(404).end()
    const text = `${version}\n`.padEnd(1024 * (1 + (page % 64)), '.')
    response.writeHead(200, {
      'Content-Type': 'text/plain',
      'Content-Length': text.length,
      'Cache-Control': 'max-age=3600',
      ETag: `"${version}"`,
    })
    response.end(text)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pages,
    version: (page) => versions[page] as number,
    asked: () => asked,
    change(page) {
      const next = (versions[page] as number) + 1
      versions[page] = next
      return next
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

export interface TrafficFigures {
  requests: number
  hits: number
  /** Answers that were no answer: an error status, a body that broke off, a connection that was lost. */
  failed: number
  /** Answers with a version that had been purged, by all receipts, before they were asked for. */
  old: number
  /** Of the first ten failures, what happened. */
  readonly examples: string[]
}

export interface TrafficOptions {
  /** Where one connects, by region. */
  readonly edges: ReadonlyMap<string, string>
  readonly site: Site
  readonly perSecond: number
  /** From which version on a page may be answered: what has been purged. */
  readonly purged: ReadonlyMap<number, number>
}

/** Runs until `signal`; then waits for what is under way. Never more than this at a time. */
const MOST_AT_A_TIME = 200
const PATIENCE_MS = 30_000

export async function traffic({ edges, site, perSecond, purged }: TrafficOptions, signal: AbortSignal): Promise<TrafficFigures> {
  const agent = new Agent({ keepAlive: true })
  const figures: TrafficFigures = { requests: 0, hits: 0, failed: 0, old: 0, examples: [] }
  const regions = [...edges.keys()]
  const underWay = new Set<Promise<void>>()

  async function ask(): Promise<void> {
    const region = regions[Math.floor(Math.random() * regions.length)] as string
    // Some pages are much more wanted than others.
    const page = Math.floor(site.pages * Math.random() ** 3)
    const least = purged.get(page) ?? 1
    const headers = { Host: 'cdn.example.com', ...(Math.random() < 0.1 && { 'Fly-Prefer-Region': regions[0] as string }) }
    figures.requests++
    const answer = await fetched(`${edges.get(region)}/page/${page}`, headers, agent)
    const version = Number.parseInt(answer.text, 10)
    if (answer.status !== 200 || answer.fault !== undefined || Number.isNaN(version)) {
      figures.failed++
      if (figures.examples.length < 10)
        figures.examples.push(`${region} /page/${page}: ${answer.status} ${answer.fault ?? answer.text.slice(0, 80)}`)
      return
    }
    if (answer.isHit) figures.hits++
    if (version < least) {
      figures.old++
      if (figures.examples.length < 10)
        figures.examples.push(`${region} /page/${page}: version ${version}, though ${least} was purged`)
    }
  }

  let due = performance.now()
  while (!signal.aborted) {
    due += 1000 / perSecond
    const early = due - performance.now()
    if (early > 1) await sleep(early)
    if (underWay.size >= MOST_AT_A_TIME) await Promise.race(underWay)
    const asking = ask().finally(() => underWay.delete(asking))
    underWay.add(asking)
  }
  await Promise.all(underWay)
  agent.destroy()
  return figures
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly isHit: boolean
  readonly fault?: string
}

function fetched(url: string, headers: Record<string, string>, agent: Agent): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const asked = get(url, { headers, agent, timeout: PATIENCE_MS }, (response) => {
    let text = ''
    const answer = (fault?: string): void =>
      resolve({
        status: response.statusCode ?? 0,
        text,
        isHit: String(response.headers['cache-status']).includes('; hit'),
        ...(fault !== undefined && { fault }),
      })
    response.setEncoding('latin1').on('data', (part: string) => {
      text += part
    })
    response.on('end', () => answer())
    response.on('error', (error) => answer(error.message))
  })
  asked.on('timeout', () => asked.destroy(new Error(`nothing for ${PATIENCE_MS} ms`)))
  asked.on('error', (error) => resolve({ status: 0, text: '', isHit: false, fault: error.message }))
  return promise
}
