// Purges that are asked for over the network: who may, how often, what is told of it, and what is done.
import { createHash, timingSafeEqual } from 'node:crypto'
import { type Cdn, type Clock, type Purge, type PurgeStatus, type PurgeWhat, systemClock } from '@simple-cdn/core'
import type { PurgeHook, PurgeHookStats } from './purge-hooks.ts'
import { type RateLimit, rateLimit } from './rate-limit.ts'
import { MAX_REFRESHED, type Refreshed, refresh, type Wanted } from './refresh.ts'

/** What somebody wants purged, and how. */
export interface PurgeOrder {
  readonly purge: readonly PurgeWhat[]
  readonly soft?: boolean
  /** Purges nothing, and says what would be. */
  readonly dryRun?: boolean
  /** Longest wait for every machine to have applied it, in milliseconds. */
  readonly waitMs?: number
  /** Fetches again what was purged. */
  readonly refresh?: boolean
}

interface Caller {
  /** The address of the peer. */
  readonly from: string | undefined
  /** By which way it came. */
  readonly via: 'admin' | 'fastly' | 'PURGE'
}

export interface Answer {
  readonly status: number
  /** Sent as JSON; text as it is. */
  readonly body: object | string
  readonly retryAfter?: number
}

export interface PurgeApiStats {
  /** Requests without the token, and those that came too often. */
  readonly refused: number
  readonly limited: number
  readonly hooks: readonly PurgeHookStats[]
}

export interface PurgeApi {
  /** Whether one of the tokens was given. If not, that is told. */
  admits(given: string | undefined, tokens: readonly (string | undefined)[], caller: Caller): boolean
  /** All of it is purged, or, where something in it is wrong, nothing. Never rejects. */
  order(order: PurgeOrder, caller: Caller): Promise<Answer>
  status(id: string, waitMs: number): Promise<Answer>
  stats(): PurgeApiStats
  close(): void
}

export interface PurgeApiOptions {
  readonly cdn: Pick<Cdn, 'purge' | 'purgeStatus' | 'find' | 'handle'>
  readonly perMinute: number
  readonly hooks: readonly PurgeHook[]
  /** Takes what was done, and by whom, for the operational log. */
  audit(facts: object, message: string): void
  readonly clock?: Clock
}

/** More at once are several requests. */
const MAX_SELECTORS = 1_000
const MAX_WAIT_MS = 60_000
const SAMPLE = 20
/** Lines about refusals: an attacker is not to fill the log. What is not told is counted. */
const REFUSALS_PER_MINUTE = 60

export function purgeApi({ cdn, perMinute, hooks, audit, clock = systemClock }: PurgeApiOptions): PurgeApi {
  const limit: RateLimit = rateLimit(perMinute, clock)
  const refusals = rateLimit(REFUSALS_PER_MINUTE, clock)
  const counts = { refused: 0, limited: 0 }

  async function dryRun(what: readonly PurgeWhat[]): Promise<Answer> {
    const findings = await cdn.find(what, { sample: SAMPLE })
    if (findings === undefined) return { status: 501, body: { error: 'the store cannot be looked through' } }
    const { found, looked, complete, sample } = findings
    return { status: 200, body: { found, looked, complete, sample: sample.map(({ key }) => key) } }
  }

  async function purgeAll({ purge, soft = false }: PurgeOrder, caller: Caller, done: Purge[]): Promise<void> {
    for (const what of purge) {
      const purged = await cdn.purge(what, { soft })
      done.push(purged)
      audit({ purge: purged, ...caller }, `purged ${purged.kind} ${purged.value}`.trimEnd())
      for (const hook of hooks) hook.tell(purged)
    }
  }

  /** What the purge is going to take, as far as it is fetched again. */
  async function wantedOf({ purge }: PurgeOrder): Promise<{ readonly wanted: readonly Wanted[]; readonly found: number }> {
    const findings = await cdn.find(purge, { sample: MAX_REFRESHED })
    const stored = findings?.sample ?? []
    const urls = purge.flatMap((what) => ('url' in what ? [new URL(what.url).href] : []))
    const others = urls.filter((url) => !stored.some(({ key }) => key === url))
    return { wanted: [...stored, ...others], found: findings?.found ?? 0 }
  }

  async function run(order: PurgeOrder, caller: Caller): Promise<Answer> {
    // Says what is wrong before anything is purged, and looks at nothing that is stored.
    await cdn.find(order.purge, { maxLooked: 0 })
    if (order.dryRun === true) return dryRun(order.purge)
    const before = order.refresh === true ? await wantedOf(order) : undefined
    const purged: Purge[] = []
    let receipts: PurgeStatus | undefined
    let refreshed: readonly Refreshed[] | undefined
    try {
      await purgeAll(order, caller, purged)
      const last = purged.at(-1) as Purge
      // Machines apply them in their order: who has the last has them all.
      if (order.waitMs !== undefined) receipts = await cdn.purgeStatus(last.id, { waitMs: Math.min(order.waitMs, MAX_WAIT_MS) })
      if (before !== undefined) {
        // What is asked for in the same millisecond counts as asked for before.
        await after(clock, Math.min(1_000, Math.max(1, last.at - clock.now() + 1)))
        refreshed = await refresh(cdn, before.wanted)
      }
    } catch (error) {
      const { message } = error as Error
      audit({ ...caller, error: message }, 'a purge did not reach everybody')
      return { status: 503, body: { error: message, purged } }
    }
    return {
      status: 200,
      body: {
        purged,
        ...(receipts !== undefined && { receipts }),
        ...(refreshed !== undefined && { refreshed, found: before?.found }),
      },
    }
  }

  return {
    admits(given, tokens, caller) {
      // Each is compared, whatever came of those before it.
      const matching = tokens.filter((token) => token !== undefined && isSame(given ?? '', token))
      if (matching.length > 0) return true
      counts.refused++
      if (refusals.take(1) === 0) audit({ ...caller, refused: counts.refused }, `a purge was refused: without the token`)
      return false
    },
    async order(order, caller) {
      // What is never granted is not to be waited for.
      const most = Math.min(MAX_SELECTORS, perMinute)
      if (order.purge.length > most) return { status: 413, body: { error: `more than ${most} at once; ask several times` } }
      const retryAfter = limit.take(order.purge.length)
      if (retryAfter > 0) {
        counts.limited++
        const error = `more than ${perMinute} purges in a minute; try again in ${retryAfter} s, or purge by surrogate key or prefix`
        return { status: 429, body: { error }, retryAfter }
      }
      try {
        return await run(order, caller)
      } catch (error) {
        // What names nothing is the caller's mistake.
        const status = error instanceof TypeError ? 400 : 500
        return { status, body: { error: (error as Error).message } }
      }
    },
    async status(id, waitMs) {
      try {
        const status = await cdn.purgeStatus(id, { waitMs: Math.min(waitMs, MAX_WAIT_MS) })
        const isKnown = status.machines.length > 0
        return isKnown ? { status: 200, body: status } : { status: 404, body: { error: `no machine remembers a purge ${id}` } }
      } catch (error) {
        return { status: 503, body: { error: (error as Error).message } }
      }
    },
    stats: () => ({ ...counts, hooks: hooks.map((hook) => hook.stats()) }),
    close() {
      for (const hook of hooks) hook.close()
    },
  }
}

function after(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve))
}

/** Of the same length, whatever was given: the time it takes tells nothing about the token. */
export function isSame(given: string, token: string): boolean {
  return timingSafeEqual(digest(given), digest(token))
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

const EXAMPLE =
  '{ "purge": [{ "url": "https://example.com/" }, { "surrogateKey": "pages" }, { "prefix": "https://example.com/blog/" }, { "pattern": "https://example.com/*.css" }, { "host": "example.com" }, { "route": "/blog/*" }, { "everything": true }], "soft": false }'
const NAMES: ReadonlySet<string> = new Set(['surrogateKey', 'pattern', 'host', 'route'])
const FLAGS = ['soft', 'dryRun', 'refresh'] as const

/** @throws Error that says what is wrong. */
export function orderOf(text: string): PurgeOrder {
  const asked = Object(JSON.parse(text)) as Readonly<Record<string, unknown>>
  const list = Array.isArray(asked.purge) ? (asked.purge as Record<string, unknown>[]) : []
  if (list.length === 0) throw new Error(`write ${EXAMPLE}`)
  for (const flag of FLAGS)
    if (asked[flag] !== undefined && typeof asked[flag] !== 'boolean') throw new Error(`${flag} is true or false`)
  if (asked.waitMs !== undefined && !((asked.waitMs as number) >= 0)) throw new Error('waitMs is a number of milliseconds')
  for (const what of list) {
    const [name = '', ...more] = Object.keys(Object(what))
    const value = what[name]
    const isUrl =
      (name === 'url' || name === 'prefix') && typeof value === 'string' && /^https?:\/\/./i.test(value) && URL.canParse(value)
    const isName = NAMES.has(name) && typeof value === 'string' && value !== ''
    if (more.length > 0 || !(isUrl || isName || (name === 'everything' && value === true)))
      throw new Error(`${JSON.stringify(what)} names nothing; write ${EXAMPLE}`)
  }
  return asked as unknown as PurgeOrder
}
