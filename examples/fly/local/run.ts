// A local Fly under way: machines in regions behind the proxy, readers, purges, and what happens to machines: one is killed, one stopped and resumed, all deployed.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogSink, ProgramConfig, Verified } from 'simple-cdn'
import { median } from '../../../bench/lib/report.ts'
import config from '../cdn.config.ts'
import { type Machine, machine } from './machines.ts'
import { flyProxy, type ProxyStats } from './proxy.ts'
import { adminPurger, busPurger } from './purger.ts'
import { site, type TrafficFigures, traffic } from './traffic.ts'

interface Bucket {
  readonly endpoint: string
  readonly name: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface RunOptions {
  readonly regions: readonly string[]
  readonly seconds: number
  readonly purges: number
  readonly perSecond: number
  readonly bucket: Bucket
  /** Where the bus is: "nats://127.0.0.1:4222". `undefined`: each machine is asked by itself. */
  readonly nats: string | undefined
  /** Takes what happens, as it happens. */
  readonly say: (what: string) => void
}

export interface Figures {
  readonly traffic: TrafficFigures
  readonly proxy: ProxyStats
  /** What the site itself was asked for. */
  readonly asked: number
  readonly purges: number
  /** From the request for a purge to the last receipt, in milliseconds. */
  readonly purgeMs: { readonly median: number; readonly most: number }
  /** Exit codes of machines that were told to stop. */
  readonly exits: readonly (number | null)[]
  readonly log: readonly Verified[]
}

const TOKEN = 'a-token-for-the-local-fly'
const CHECK_MS = 500
const START_PATIENCE_MS = 30_000
const PAGES = 400
const AWAY_FROM = 0.3
const AWAY_UNTIL = 0.5

/** @throws Error when a machine does not come to answer, and when the log cannot be read. */
export async function runLocalFly({ regions, seconds, purges, perSecond, bucket, nats, say }: RunOptions): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-fly-'))
  const origin = await site(PAGES)
  const secrets = {
    ORIGIN_URL: origin.url,
    BUCKET_NAME: bucket.name,
    AWS_ENDPOINT_URL_S3: bucket.endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    ...(nats !== undefined && { NATS_URL: nats }),
  }
  const machines = await Promise.all(
    regions.map((region, index) => machine({ region, index, folder, env: secrets, adminToken: TOKEN })),
  )
  const purger = nats === undefined ? adminPurger(machines, TOKEN) : busPurger(machines, TOKEN)
  const exits: (number | null)[] = []
  const began = performance.now()
  const at = (): string => `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`
  const tell = (what: string): void => say(`${at()}  ${what}`)

  const proxy = await flyProxy({
    machines,
    checkPath: '/_cdn/health',
    checkEveryMs: CHECK_MS,
    hardLimit: 1_500,
    lagMs: 200,
    onFailure: (on, what) => tell(`a request failed on ${on.region}, which is ${on.state()}: ${what}`),
  })

  /** Nothing is routed to it before it has heard what was purged while it was away. */
  async function up(each: Machine): Promise<void> {
    proxy.cordon(each, true)
    await each.start()
    await answers(`http://127.0.0.1:${each.port}/_cdn/health`)
    await answers(`${each.adminUrl}/health`)
    await purger.returned(each)
    proxy.cordon(each, false)
    await until(() => proxy.isRouted(each), `${each.id} is not routed to`)
  }

  async function down(each: Machine): Promise<void> {
    exits.push(await each.stop())
  }

  const happenings: Promise<unknown>[] = []
  const ending = new AbortController()
  try {
    await Promise.all(machines.map((each) => up(each)))
    tell(`${machines.length} machines answer: ${regions.join(', ')}`)
    const start = performance.now()
    const moment = (share: number): Promise<void> => sleep(Math.max(0, start + share * seconds * 1000 - performance.now()))

    const purged = new Map<number, number>()
    const purgeTimes: number[] = []
    const edges = new Map(regions.map((region) => [region, proxy.edge(region)]))
    const asking = traffic({ edges, site: origin, perSecond, purged }, ending.signal)

    happenings.push(
      (async () => {
        for (let count = 0; count < purges; count++) {
          await moment(0.02 + (0.96 * count) / purges)
          // Pages that are much asked for, so that an old one would be seen.
          const page = count % 20
          const version = origin.change(page)
          const asked = performance.now()
          await purger.purge(`https://cdn.example.com/page/${page}`)
          purgeTimes.push(performance.now() - asked)
          purged.set(page, version)
        }
      })(),
      (async () => {
        const [killed, stopped = machines[0] as Machine] = [machines[1] as Machine, machines[2]]
        await moment(0.15)
        proxy.killed(killed)
        await killed.kill()
        tell(`${killed.region} is killed`)
        await sleep(2_000)
        await up(killed)
        tell(`${killed.region} is back`)

        await moment(AWAY_FROM)
        await down(stopped)
        tell(`${stopped.region} is stopped`)
        await moment(AWAY_UNTIL)
        await up(stopped)
        tell(`${stopped.region} is resumed, and has heard what was purged meanwhile`)

        await moment(0.6)
        for (const each of machines) {
          await down(each)
          await up(each)
          tell(`${each.region} is deployed`)
        }
      })(),
    )
    await Promise.all([...happenings, moment(1)])
    ending.abort()
    const figures = await asking
    tell('the readers have gone')
    await Promise.all(machines.map(down))
    tell('the machines have stopped')
    return {
      traffic: figures,
      proxy: proxy.stats,
      asked: origin.asked(),
      purges: purgeTimes.length,
      purgeMs: { median: median(purgeTimes), most: Math.max(...purgeTimes) },
      exits,
      log: await ledger(secrets),
    }
  } finally {
    ending.abort()
    await proxy.close()
    await Promise.all(machines.map((each) => each.kill()))
    origin.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** What the configuration's own sink says of today, and of yesterday if the run began then; every object is read. */
async function ledger(env: Readonly<Record<string, string>>): Promise<readonly Verified[]> {
  Object.assign(process.env, env)
  const { log = [] } = (config as unknown as (env: object) => ProgramConfig)(env)
  const [sink] = log as readonly LogSink[]
  const days = new Set([0, 86_400_000].map((ago) => new Date(Date.now() - ago).toISOString().slice(0, 10)))
  try {
    return (await Promise.all([...days].map((day) => sink?.verify?.(day, { read: true }) ?? []))).flat()
  } finally {
    await sink?.close()
  }
}

async function answers(url: string): Promise<void> {
  const deadline = performance.now() + START_PATIENCE_MS
  for (;;) {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${TOKEN}` }, signal: AbortSignal.timeout(2_000) }).catch(
      () => undefined,
    )
    await answer?.arrayBuffer().catch(() => undefined)
    if (answer?.ok) return
    if (performance.now() > deadline) throw new Error(`${url} does not answer`)
    await sleep(50)
  }
}

async function until(isSo: () => boolean, otherwise: string): Promise<void> {
  const deadline = performance.now() + START_PATIENCE_MS
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(otherwise)
    await sleep(20)
  }
}

/** What is wrong with a run, in sentences: nothing, when it kept what is promised. */
export function faults({ traffic, proxy, exits, log }: Figures): readonly string[] {
  const sum = (of: (each: Verified) => number): number => log.reduce((total, each) => total + of(each), 0)
  const gaps = log.flatMap((each) => each.gaps.map(([first, last]) => `${each.machine} ${first}-${last}`))
  return [
    ...(traffic.failed > proxy.inFlightOnKilled
      ? [`${traffic.failed - proxy.inFlightOnKilled} requests failed that were not on the killed machine`]
      : []),
    ...(traffic.old > 0 ? [`${traffic.old} answers were old`] : []),
    ...(proxy.unplaced > 0 ? [`${proxy.unplaced} requests found no machine`] : []),
    ...(exits.some((code) => code !== 0) ? [`a machine that was told to stop ended with ${exits}`] : []),
    ...(gaps.length > 0 ? [`log lines are missing: ${gaps.join(', ')}`] : []),
    ...(log.some(({ twice }) => twice.length > 0) ? ['log lines have landed twice'] : []),
    ...(log.some(({ damaged }) => damaged.length > 0) ? ['objects of the log are damaged'] : []),
    ...(log.some(({ served, open }) => served === undefined || open) ? ['a ledger is missing, or has no end'] : []),
    ...(sum(({ served }) => served ?? 0) !== sum(({ landed }) => landed) ? ['served is not landed'] : []),
  ]
}
