// Whole histories: an origin that changes, fails and takes its time, clients that read and write, and a clock. Whatever the
// order, nobody gets what was not current within its allowed staleness, nor what was there before an acknowledged change.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OriginRequest } from '@simple-cdn/core'
import { type Got, type Player, play, type Scripted, scriptedOrigin, settled } from '@simple-cdn/testing'
import fc from 'fast-check'
import { holdsInTime } from './holds.ts'

/** What the origin says about a response, and what that allows, in seconds. */
interface Label {
  readonly cacheControl: string
  /** Only for the one who asked. */
  readonly unshared?: boolean
  readonly validateAlways?: boolean
  readonly lifetime: number
  readonly whileRevalidate: number
  readonly ifError: number
}

/** The window that the route allows where a response says nothing. */
const IF_ERROR = 40

const LABELS: readonly Label[] = [
  { cacheControl: 'max-age=60', lifetime: 60, whileRevalidate: 0, ifError: IF_ERROR },
  { cacheControl: 'max-age=10', lifetime: 10, whileRevalidate: 0, ifError: IF_ERROR },
  { cacheControl: 'max-age=10, stale-while-revalidate=30', lifetime: 10, whileRevalidate: 30, ifError: IF_ERROR },
  { cacheControl: 'max-age=0, stale-while-revalidate=30, stale-if-error=0', lifetime: 0, whileRevalidate: 30, ifError: 0 },
  { cacheControl: 'max-age=10, stale-if-error=80', lifetime: 10, whileRevalidate: 0, ifError: 80 },
  { cacheControl: 's-maxage=10, max-age=60', lifetime: 10, whileRevalidate: 0, ifError: 0 },
  { cacheControl: 'max-age=10, must-revalidate, stale-while-revalidate=30', lifetime: 10, whileRevalidate: 0, ifError: 0 },
  { cacheControl: 'no-cache', validateAlways: true, lifetime: 0, whileRevalidate: 0, ifError: 0 },
  { cacheControl: 'max-age=60, no-store', unshared: true, lifetime: 0, whileRevalidate: 0, ifError: 0 },
  { cacheControl: 'Private, max-age=60', unshared: true, lifetime: 0, whileRevalidate: 0, ifError: 0 },
  { cacheControl: 'max-age=0', lifetime: 0, whileRevalidate: 0, ifError: IF_ERROR },
]

const PAGES = { a: ['/a', '/%61', '/x/../a'], b: ['/b?c=1&d=2', '/b?d=2&c=1', '/%62?c=%31&d=2'] } as const
type Page = keyof typeof PAGES

/** One request that reached the origin, and what it answered. The response carries its number. */
interface Asked {
  readonly page: Page
  readonly at: number
  answeredAt: number
  readonly version: number
  readonly gzip: boolean
  readonly label: Label
  readonly failed: boolean
  /** How many got this response. */
  delivered: number
}

const BODY_BYTES = 8

/** Every version of a page in either coding is made of a letter of its own. */
function bodyOf({ version, gzip }: Pick<Asked, 'version' | 'gzip'>): string {
  return String.fromCharCode((gzip ? 97 : 65) + (version % 26)).repeat(BODY_BYTES)
}

const pick = <T>(values: readonly T[]) => fc.constantFrom(...values)
const once = (inSoMany: number) => fc.integer({ min: 1, max: inSoMany }).map((value) => value === inSoMany)

/** Most of the time one page, in one coding, asked for plainly: only then does a history have time to be about something. */
const page = pick(['a', 'a', 'a', 'a', 'b'] as const)

const event = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      seconds: pick([0.5, 5, 9.999, 10, 10.001, 20, 30, 40, 50, 79.999, 100]),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('publish' as const), page }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('label' as const), page, label: pick(LABELS) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('origin' as const), health: pick(['up', 'down', '503'] as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('answer' as const) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      page,
      spelling: fc.nat(2),
      method: pick(['GET', 'GET', 'GET', 'GET', 'GET', 'GET', 'HEAD'] as const),
      gzip: once(6),
      range: pick([undefined, undefined, undefined, undefined, undefined, 'bytes=2-5', 'bytes=-3']),
      conditional: once(6),
      cacheControl: pick([...Array<undefined>(9).fill(undefined), 'no-cache', 'max-age=1', 'no-store', 'only-if-cached']),
      slow: once(4),
      leaves: once(12),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      page,
      spelling: fc.nat(2),
      method: pick(['POST', 'PUT', 'DELETE', 'PATCH'] as const),
      /** It changes the other page, too, and says so. */
      both: once(3),
      fails: once(4),
      slow: once(5),
    }),
  },
)

type Event = typeof event extends fc.Arbitrary<infer E> ? E : never
type Read = Extract<Event, { kind: 'read' }>
type Write = Extract<Event, { kind: 'write' }>

const world = fc.record({
  hears: fc.boolean(),
  knowsRanges: fc.boolean(),
  labels: fc.record({ a: pick(LABELS), b: pick(LABELS) }),
  events: fc.array(event, { minLength: 10, maxLength: 40, size: 'max' }),
})

interface World {
  readonly hears: boolean
  readonly knowsRanges: boolean
  readonly labels: Readonly<Record<Page, Label>>
}

/** Also when it is up, some writes fail. */
const FAILURES = { up: { status: 503 }, down: { fails: 'CDN_ORIGIN_UNREACHABLE' }, '503': { status: 503 } } as const

class History {
  readonly #world: World
  readonly #player: Player
  readonly #versions: Record<Page, number> = { a: 0, b: 0 }
  readonly #labels: Record<Page, Label>
  readonly #asked: Asked[] = []
  /** Since a change was acknowledged, nobody may get less than this. */
  readonly #least: Record<Page, number> = { a: 0, b: 0 }
  readonly #lastTag: Record<Page, string> = { a: '"none"', b: '"none"' }
  readonly #pending = new Set<Promise<unknown>>()
  readonly #wrong: unknown[] = []
  #health: 'up' | 'down' | '503' = 'up'
  #gate = Promise.withResolvers<void>()

  constructor(world: World) {
    this.#world = world
    this.#labels = { ...world.labels }
    const origin = scriptedOrigin()
    origin.answer((request) => this.#answer(request))
    this.#player = play({
      origins: { origin },
      routes: [{ match: '/*', origin: 'origin', cache: { staleIfError: IF_ERROR, honorRequestDirectives: world.hears } }],
    })
  }

  async run(events: readonly Event[]): Promise<void> {
    for (const each of events) await this.#happens(each)
    await this.#letAnswer()
    // What clients left behind, and what nobody waits for, has to end, too.
    await this.#meanwhile(this.#player.close())
    await this.#letAnswer()
    if (this.#wrong.length > 0) throw this.#wrong[0]
  }

  async #happens(each: Event): Promise<void> {
    switch (each.kind) {
      case 'wait':
        return this.#player.clock.advance(each.seconds * 1000)
      case 'publish':
        this.#versions[each.page]++
        return
      case 'label':
        this.#labels[each.page] = each.label
        return
      case 'origin':
        this.#health = each.health
        return
      case 'answer':
        return this.#letAnswer()
      case 'read':
        return this.#meanwhile(this.#read(each))
      case 'write':
        return this.#meanwhile(this.#write(each))
    }
  }

  /** Until it is done, or waits for something slow; that goes on while other things happen. */
  async #meanwhile(running: Promise<void>): Promise<void> {
    const done = running.catch((error) => this.#wrong.push(error)).finally(() => this.#pending.delete(done))
    this.#pending.add(done)
    for (let turn = 0; turn < 4 && this.#pending.has(done); turn++) await settled()
  }

  async #letAnswer(): Promise<void> {
    // Whoever waited for an answer that was not for him asks for one of his own.
    for (let turn = 0; this.#pending.size > 0; turn++) {
      assert.ok(turn < 100, 'some requests are never answered')
      this.#gate.resolve()
      this.#gate = Promise.withResolvers()
      await settled()
    }
  }

  // ── the origin ──

  #answer({ method, target, fields }: OriginRequest): Scripted {
    const asks = (name: string) => fields.find((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name)
    const page: Page = target.startsWith('/a') ? 'a' : 'b'
    const changes: readonly Page[] =
      method === 'GET' || method === 'HEAD' ? [] : asks('x-both') === undefined ? [page] : ['a', 'b']
    const failed = this.#health !== 'up' || asks('x-fails') !== undefined
    if (!failed) for (const each of changes) this.#versions[each]++
    const now = this.#player.clock.now()
    const asked: Asked = {
      page,
      at: now,
      answeredAt: now,
      version: this.#versions[page],
      gzip: asks('accept-encoding') !== undefined,
      label: this.#labels[page],
      failed,
      delivered: 0,
    }
    const number = this.#asked.push(asked) - 1
    const answer = failed
      ? FAILURES[this.#health]
      : changes.length > 0
        ? this.#done(page, changes)
        : this.#page(asked, number, method, asks)
    if (asks('x-slow') === undefined) return answer
    asked.answeredAt = Number.POSITIVE_INFINITY
    const after = this.#gate.promise.then(() => {
      asked.answeredAt = this.#player.clock.now()
    })
    return { ...answer, after }
  }

  #done(page: Page, changes: readonly Page[]): Scripted {
    const versions = Object.fromEntries(changes.map((each) => [`X-Now-${each}`, String(this.#versions[each])]))
    return {
      status: 204,
      headers: changes.length === 1 ? versions : { ...versions, Location: PAGES[page === 'a' ? 'b' : 'a'][1] },
    }
  }

  #page(asked: Asked, number: number, method: string, asks: (name: string) => string | undefined): Scripted {
    const tag = `"${asked.page}${asked.version}${asked.gzip ? 'z' : ''}"`
    const headers = { 'Cache-Control': asked.label.cacheControl, ETag: tag, Vary: 'Accept-Encoding', 'X-Asked': String(number) }
    const body = bodyOf(asked)
    if (asks('if-none-match') === tag) return { status: 304, headers }
    if (this.#world.knowsRanges && method === 'GET' && asks('range') === 'bytes=2-5')
      return { status: 206, headers: { ...headers, 'Content-Range': `bytes 2-5/${BODY_BYTES}` }, body: body.slice(2, 6) }
    return { headers, body }
  }

  // ── clients ──

  async #read(read: Read): Promise<void> {
    const { page, method, gzip, range, cacheControl } = read
    const [start, least] = [this.#player.clock.now(), this.#least[page]]
    const leaving = new AbortController()
    const getting = this.#player.get(PAGES[page][read.spelling] ?? '', {
      method,
      signal: leaving.signal,
      headers: {
        ...(gzip ? { 'Accept-Encoding': 'gzip' } : {}),
        ...(range === undefined ? {} : { Range: range }),
        ...(read.conditional ? { 'If-None-Match': this.#lastTag[page] } : {}),
        ...(cacheControl === undefined ? {} : { 'Cache-Control': cacheControl }),
        ...(read.slow ? { 'X-Slow': '1' } : {}),
      },
    })
    if (read.leaves) {
      await settled()
      leaving.abort()
    }
    const got = await getting
    if (!read.leaves) this.#check(read, got, start, least)
  }

  #check(read: Read, got: Got, start: number, least: number): void {
    const { page, gzip } = read
    const end = this.#player.clock.now()
    const failed = this.#asked.some((each) => each.failed && each.page === page && each.answeredAt >= start)
    const says = `${read.method} ${page} at ${start / 1000} got ${got.status} "${got.text}" at ${end / 1000}: ${got.fields.join(' | ')}`
    if (got.status >= 500) {
      const refused = this.#world.hears && read.cacheControl === 'only-if-cached'
      assert.ok(refused || failed, `an error without cause: ${says}`)
      return
    }
    const asked = this.#asked[Number(got.header('x-asked'))]
    assert.ok(asked !== undefined && got.header('x-asked') !== '', says)
    assert.equal(asked.page, page, says)
    assert.equal(asked.gzip, gzip, `the other coding: ${says}`)
    this.#lastTag[page] = got.header('etag')

    const whole = bodyOf(asked)
    if (got.status === 200) assert.equal(got.text, read.method === 'HEAD' ? '' : whole, says)
    else if (got.status === 206) assert.equal(got.text, read.range === 'bytes=-3' ? whole.slice(-3) : whole.slice(2, 6), says)
    else assert.equal(got.status, 304, says)

    assert.ok(asked.version >= least, `version ${asked.version}, though ${least} was acknowledged: ${says}`)

    const { label } = asked
    asked.delivered++
    if (label.unshared) assert.equal(asked.delivered, 1, `somebody else's: ${says}`)
    if (asked.at >= start) return
    assert.ok(!label.unshared && !label.validateAlways, `not validated: ${says}`)
    const age = (end - asked.at) / 1000
    const allowed = label.lifetime + Math.max(label.whileRevalidate, failed ? label.ifError : 0)
    assert.ok(age < allowed, `${age} s old, where ${allowed} are allowed: ${says}`)
  }

  async #write(write: Write): Promise<void> {
    const { page, method, both, fails, slow } = write
    const got = await this.#player.get(PAGES[page][write.spelling] ?? '', {
      method,
      body: 'x',
      headers: { ...(both ? { 'X-Both': '1' } : {}), ...(fails ? { 'X-Fails': '1' } : {}), ...(slow ? { 'X-Slow': '1' } : {}) },
    })
    if (got.status >= 400) return
    for (const each of ['a', 'b'] as const) this.#least[each] = Math.max(this.#least[each], Number(got.header(`x-now-${each}`)))
  }
}

describe('a history of origin and clients', () => {
  it('gives nobody what was not current, not theirs, or changed before they asked', { timeout: 110_000 }, () =>
    holdsInTime(
      fc.asyncProperty(world, async ({ events, ...own }) => new History(own).run(events)),
      300,
    ),
  )
})
