// The life of one request: route, key, lookup, decide; then serve, revalidate or fetch; admit, fill, deliver, log.
import { randomUUID } from 'node:crypto'
import { asCdnError, CdnError } from '../errors.ts'
import { type Body, type ByteRange, Pieces } from '../http/body.ts'
import { endToEndFields, type Fields, fieldValue, withoutFields } from '../http/fields.ts'
import { identifies, mergedFields } from '../http/freshen.ts'
import { alsoInvalidated, isSafe } from '../http/invalidation.ts'
import { alignedRange, inSlices, isFromEnd, rangeOf } from '../http/ranges.ts'
import {
  type CacheKey,
  currentAge,
  type Freshness,
  type StoredHead,
  type StoredMeta,
  selectStored,
  selects,
} from '../http/stored-response.ts'
import type { Clock, Millis } from '../http/time.ts'
import { passedTrailers, takesTrailers } from '../http/trailers.ts'
import { strongValidator, validationFields } from '../http/validators.ts'
import { thisPlace } from '../log/place.ts'
import type { LogSink } from '../log/sink.ts'
import { isInterim, type Origin, type OriginResponse, type OriginStats, responseFault } from '../origins/origin.ts'
import { type Admission, admit, keptFields, WITHHELD } from '../policy/admit.ts'
import { chosenCoding, compressedFields, freshenedFields, isCompressible, withChosenCoding } from '../policy/compress.ts'
import { isPreflight } from '../policy/cors.ts'
import { type Decision, decide, decideAfterFailure, decideBeforeLookup, isFailure, type Lookup } from '../policy/decide.ts'
import { explainAbsence, explainDecision } from '../policy/explain.ts'
import { cacheKey, countedTarget, normalisedAuthority, normalisedTarget } from '../policy/key.ts'
import type { Reason } from '../policy/reasons.ts'
import { type Route, rewritten } from '../policy/route.ts'
import type { Found } from '../policy/router.ts'
import type { Store, StoredResponse, StoreStats } from '../stores/store.ts'
import { refusalOf, unsigned } from './access.ts'
import { bodyLength, discard, limited, wholeOf } from './answers.ts'
import { type AskForPart, Assembly, type AssemblyOptions } from './assembly.ts'
import { Background } from './background.ts'
import { fromClient, schemeOf } from './client.ts'
import { Flight, type Landing } from './collapse.ts'
import { compressed } from './compressed.ts'
import { asksForLess, type Part, partFor } from './deliver.ts'
import { Exchange } from './exchange.ts'
import { forwardedFields, isLoop } from './forwarded.ts'
import { Generation, type Settings } from './generation.ts'
import type { InFlight } from './in-flight.ts'
import { type Findings, type FindOptions, lookThrough } from './look-through.ts'
import type { CdnRequest, CdnResponse, Handler } from './messages.ts'
import type { PurgeBus, PurgeStatus } from './purge-bus.ts'
import { named, type PurgeWhat, wouldPurge } from './purge-what.ts'
import { type Purge, softened } from './purges.ts'
import { type PurgeJournal, type PurgeStats, Purging } from './purging.ts'
import { Absences, Invalidations } from './recent.ts'
import { RequestWith } from './request-with.ts'

export interface EngineOptions extends Settings {
  readonly store: Store
  readonly log: readonly LogSink[]
  readonly inFlight: InFlight
  /** Where purges outlive the process, as what is stored does. */
  readonly purges: PurgeJournal | undefined
  /** What shares purges with other machines. */
  readonly bus: PurgeBus | undefined
  /** How long what is stored is reused while the bus cannot be heard. */
  readonly trustForMs: Millis
  readonly clock: Clock
  /** Takes what sinks have to say to an operator. */
  readonly onMessage: (message: string) => void
}

export interface PurgeOptions {
  /** Leaves it to be served stale, as its windows allow. Default: false. */
  readonly soft?: boolean
  /** Default: a new one. The same again is the same purge. */
  readonly id?: string
}

export interface Explanation {
  /** The cache key, when the request has one. */
  readonly key: string | undefined
  readonly route: string | undefined
  readonly decision: Decision | undefined
  /** The same, in sentences. */
  readonly lines: readonly string[]
}

export interface EngineStats {
  /** Requests since the start, and how many of them were answered without the origin. */
  readonly requests: number
  readonly hits: number
  /** Requests that are not finished yet. */
  readonly open: number
  /** Connections that have changed their protocol, such as to WebSocket: now, and since the start. They are among the requests. */
  readonly tunnels: { readonly open: number; readonly total: number }
  readonly revalidations: { readonly started: number; readonly skipped: number }
  readonly purges: PurgeStats
  /** Bodies on their way just now, and the bytes of memory that they and their readers hold. */
  readonly inFlight: { readonly bodies: number; readonly bytes: number }
  /** How each origin is doing, by its addresses; one that has none of its own has an empty list. */
  readonly origins: readonly ({ readonly name: string } & OriginStats)[]
  readonly store: StoreStats & { readonly name: string; readonly failures: number }
  readonly log: readonly {
    readonly name: string
    readonly failed: number
    readonly dropped: number
    /** What the sink says of itself. */
    readonly figures?: Readonly<Record<string, number | string>> | undefined
  }[]
}

type Answer = CdnResponse | Promise<CdnResponse>
type OriginRoute = Extract<Route<Origin>, { kind: 'origin' }>

interface Asking {
  readonly method: string
  readonly keep: 'all' | 'range' | 'none'
  /** Whole slices, in place of the client's Range. */
  readonly part: ByteRange | undefined
}

/** A request that goes forward, with what answers it. */
interface Forwarded {
  readonly exchange: Exchange
  readonly route: OriginRoute
  /** What `*` of the route's match stood for. */
  readonly star: string
  readonly decision: Extract<Decision<StoredMeta>, { action: 'fetch' | 'revalidate' }>
}

/** Reasons that lie in the response, not in who asked: what was stored before has been replaced by something not reusable. */
const SUPERSEDES: ReadonlySet<Reason> = new Set<Reason>([
  'no-store',
  'private',
  'set-cookie',
  'vary-star',
  'too-large',
  'no-lifetime',
])
/** Reasons that lie in the request: they say nothing about the next. */
const OF_THE_REQUEST: ReadonlySet<Reason> = new Set<Reason>(['head', 'not-modified', 'unsafe-method'])
const MISS = { action: 'fetch', reason: 'uri-miss', fwd: 'uri-miss', mayStore: true } as const
const NEVER_FRESH: Freshness = {
  lifetime: 0,
  from: 'none',
  staleWhileRevalidate: 0,
  staleIfError: 0,
  validateAlways: true,
  forbidsStale: true,
}
const RANGE: ReadonlySet<string> = new Set(['range'])
const SET_COOKIE: ReadonlySet<string> = new Set(['set-cookie'])
const COOKIE: ReadonlySet<string> = new Set(['cookie'])
const AUTHORIZATION: ReadonlySet<string> = new Set(['authorization'])
/** What concerns the one who asks, not what is stored for everybody. */
const PERSONAL: ReadonlySet<string> = new Set(['authorization', 'cookie'])
/** Not in an interim response, and not in a 204 (RFC 9110 §8.6). */
const CONTENT_LENGTH: ReadonlySet<string> = new Set(['content-length'])
const AUTHORITY = /^[a-z0-9\-._~%!$&'()*+,;=]+(?::\d{1,5})?$|^\[[0-9a-f:.]+\](?::\d{1,5})?$/

/** Nobody waits longer for a store that is about to have what was asked for. */
const STORING_WAIT: Millis = 1_000

export class Engine implements Handler {
  readonly #options: EngineOptions
  readonly #store: Store
  readonly #clock: Clock
  /** The one that new requests begin under. */
  #host: Generation
  /** With those that are replaced and still needed. */
  readonly #generations = new Set<Generation>()
  readonly #flights = new Map<CacheKey, Flight>()
  /** By the name of the response: those whose bodies are on their way. */
  readonly #assemblies = new Map<string, Assembly>()
  /** Responses that have come to their end, and whose store has not answered yet. */
  readonly #storing = new Map<CacheKey, Promise<void>>()
  readonly #background = new Background()
  readonly #absences = new Absences()
  readonly #purging: Purging
  readonly #invalidations = new Invalidations()
  readonly #sinkFailures: number[]
  #storeFailures = 0
  #requests = 0
  #hits = 0
  #open = 0
  #tunnels = 0
  #openTunnels = 0
  #closing = false
  #idle: (() => void) | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    this.#store = options.store
    this.#clock = options.clock
    this.#sinkFailures = options.log.map(() => 0)
    this.#host = this.#generation(options, randomUUID().slice(0, 8))
    this.#purging = new Purging({
      ...options,
      journal: options.purges,
      onPurge: (purge) => this.#purged(purge),
    })
    for (const sink of options.log) sink.open?.({ clock: options.clock, place: thisPlace, onMessage: options.onMessage })
    options.store.reportEvictions?.((meta) => this.#absences.note(meta.key, 'evicted', this.#clock.now()))
  }

  get name(): string {
    return this.#host.name
  }

  /**
   * New requests begin under `settings`; those under way end as they began. Origins that are not among the new ones are closed
   * when nobody needs them any more. Store, log and all that is known of stored responses stay.
   */
  replace(settings: Settings): void {
    const before = this.#host
    this.#host = this.#generation(settings, before.instance)
    // Who asks from now on does not wait for what was asked in the old way.
    this.#flights.clear()
    before.release()
  }

  #generation(settings: Settings, instance: string): Generation {
    const generation = new Generation({
      settings,
      instance,
      clock: this.#clock,
      ended: (exchange) => this.#ended(exchange),
      over: () => {
        // All are closed together.
        if (this.#closing) return
        this.#generations.delete(generation)
        const needed = new Set([...this.#generations].flatMap(({ settings: { origins } }) => origins))
        for (const origin of settings.origins) if (!needed.has(origin)) void origin.close?.().catch(() => undefined)
      },
    })
    this.#generations.add(generation)
    return generation
  }

  handle(request: CdnRequest): CdnResponse | Promise<CdnResponse> {
    const exchange = new Exchange(this.#host, fromClient(request, this.#host.settings.trust))
    this.#host.hold()
    this.#open++
    try {
      const answer = this.#begin(exchange) as Answer
      return answer instanceof Promise ? answer.catch((error) => exchange.fail(error)) : answer
    } catch (error) {
      return exchange.fail(error)
    }
  }

  handleNow(request: CdnRequest): CdnResponse | undefined {
    const host = this.#host
    const exchange = new Exchange(host, fromClient(request, host.settings.trust))
    exchange.isUrgent = true
    let answer: CdnResponse | undefined
    try {
      answer = this.#begin(exchange) as CdnResponse | undefined
    } catch (error) {
      answer = exchange.fail(error)
    }
    if (answer === undefined) return undefined
    host.hold()
    this.#open++
    return answer
  }

  matches(request: Parameters<Handler['matches']>[0]): boolean {
    const { authority, target, method, fields } = request
    const scheme = schemeOf(request, this.#host.settings.trust)
    const path = normalisedTarget(target)
    if (path === undefined) return false
    return (
      this.#host.router.find(scheme, normalisedAuthority(scheme, authority), path, { method, target: path, fields }) !== undefined
    )
  }

  // ── route, key, lookup, decide ──

  /** `undefined`: what may not wait would have to, and nothing has been done. */
  #begin(exchange: Exchange): Answer | undefined {
    const { request } = exchange
    if (this.#closing) throw new CdnError('CDN_CLOSING')
    const target = normalisedTarget(request.target)
    if (target === undefined) throw new CdnError('CDN_BAD_REQUEST', 'the request target is not a path')
    exchange.target = target
    if (!AUTHORITY.test(exchange.authority)) throw new CdnError('CDN_BAD_REQUEST', 'Host is not a host')
    const passed = fieldValue(request.fields, 'cdn-loop')
    if (passed !== undefined) {
      exchange.tier = 'inner'
      if (isLoop(passed, exchange.host)) throw new CdnError('CDN_LOOP')
    }

    const facts = { method: request.method, target, fields: request.fields }
    const found = exchange.host.router.find(request.scheme, exchange.authority, target, facts)
    if (found === undefined) throw new CdnError('CDN_NO_ROUTE')
    const { route } = found
    exchange.route = route.name
    exchange.rules = route
    if (request.method === 'TRACE' || (route.methods !== undefined && !route.methods.includes(request.method))) {
      return exchange.fail(new CdnError('CDN_METHOD_NOT_ALLOWED'), [
        'Allow',
        (route.methods ?? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).join(', '),
      ])
    }
    if (route.cors !== undefined && isPreflight(request.method, request.fields)) {
      exchange.reason = 'respond'
      return exchange.respond(204, [], undefined, undefined)
    }
    const refused = route.access === undefined ? undefined : this.#refused(exchange, found)
    if (refused !== undefined) return refused
    switch (route.kind) {
      case 'redirect':
        exchange.reason = 'redirect'
        return exchange.respond(
          route.status,
          [
            'Location',
            rewritten(found.entry ?? route.location, found.star, exchange.target, route.keepsQuery).replace(
              '{host}',
              exchange.authority.replace(/:\d+$/, ''),
            ),
            'Content-Length',
            '0',
          ],
          undefined,
          undefined,
        )
      case 'respond':
        exchange.reason = 'respond'
        return this.#respond(exchange, route)
      case 'origin':
        if (request.upgrade !== undefined && route.origin.upgrade !== undefined)
          return this.#upgrade(exchange, toOrigin(route, found.entry), found.star)
        return this.#lookup(exchange, toOrigin(route, found.entry), found.star)
    }
  }

  /** The answer for a client that may not have this. What let others in goes no further than here. */
  #refused(exchange: Exchange, { route }: Found<Origin>): CdnResponse | undefined {
    const { access } = route
    if (access === undefined) return undefined
    switch (refusalOf(access, exchange.request, exchange, exchange.at)) {
      case 'forbidden':
        return exchange.fail(new CdnError('CDN_FORBIDDEN'))
      case 'unauthorized':
        return exchange.fail(new CdnError('CDN_UNAUTHORIZED'), [
          'WWW-Authenticate',
          `Basic realm="${route.name.replace(/["\\]/g, '')}", charset="UTF-8"`,
        ])
      case 'unsigned':
        return exchange.fail(new CdnError('CDN_FORBIDDEN', 'the URL has no valid signature'))
      case 'expired':
        return exchange.fail(new CdnError('CDN_FORBIDDEN', 'the signature of the URL has expired'))
    }
    if (access.basic !== undefined) exchange.without(AUTHORIZATION)
    if (access.signedWith !== undefined) exchange.target = unsigned(exchange.target)
    return undefined
  }

  #respond(exchange: Exchange, route: Extract<Route<Origin>, { kind: 'respond' }>): CdnResponse {
    const body = Buffer.from(route.body)
    const bodiless = route.status === 204 || route.status === 304
    const fields = bodiless ? [...route.fields] : [...route.fields, 'Content-Length', String(body.byteLength)]
    return exchange.respond(route.status, fields, bodiless || exchange.request.method === 'HEAD' ? undefined : body, undefined)
  }

  /** Another protocol is between client and origin; what is no 101 is an answer for the one who asked. */
  async #upgrade(exchange: Exchange, route: OriginRoute, star: string): Promise<CdnResponse> {
    const { request, host } = exchange
    const decision = { action: 'fetch', reason: 'upgrade', fwd: 'bypass', mayStore: false } as const
    exchange.decided(decision)
    const upgrade = ['Connection', 'Upgrade', 'Upgrade', request.upgrade as string]
    const response = await route.origin.upgrade?.(
      {
        method: request.method,
        scheme: request.scheme,
        authority: exchange.authority,
        target: asked(route, star, exchange.target, false),
        fields: [...exchange.ruledRequest(forwardedFields(request, host, 'all', false)), ...upgrade],
      },
      request.signal,
    )
    if (response === undefined) throw new CdnError('CDN_INTERNAL', `${route.origin.name} passes no protocols on`)
    exchange.fwdStatus = response.status
    exchange.originAnsweredAt = this.#clock.now()
    if (response.tunnel === undefined) {
      const fault = responseFault(response)
      if (fault === undefined) return this.#deliver({ exchange, route, star, decision }, { kind: 'unshared', response })
      await discard(response)
      throw new CdnError('CDN_ORIGIN_PROTOCOL', `${route.origin.name} ${fault}`)
    }
    this.#tunnels++
    this.#openTunnels++
    exchange.tunnel = response.tunnel
    return exchange.respond(101, [...endToEndFields(response.fields), ...upgrade], undefined, undefined)
  }

  #lookup(exchange: Exchange, route: OriginRoute, star: string): Answer | undefined {
    const { request } = exchange
    exchange.key = cacheKey(request.scheme, exchange.authority, exchange.target, route.policy.query)
    const before = decideBeforeLookup(request, route.policy)
    if (before !== undefined) {
      if (exchange.isUrgent) return undefined
      exchange.decided(before)
      return this.#alone({ exchange, route, star, decision: before })
    }
    if (route.policy.stripCookies) {
      exchange.without(COOKIE)
      exchange.stripsCookies = true
    }
    if (route.policy.compress)
      exchange.request = new RequestWith(exchange.request, { fields: withChosenCoding(exchange.request.fields) })
    const known = this.#store.peek?.(exchange.key)
    if (known !== undefined) return this.#answer(exchange, route, star, this.#unpurged(known, route))
    if (exchange.isUrgent) return undefined
    return this.#store
      .lookup(exchange.key)
      .catch(() => this.#storeFailed([]))
      .then((found) => this.#answer(exchange, route, star, this.#unpurged(found, route)) as Answer)
  }

  #answer(
    exchange: Exchange,
    route: OriginRoute,
    star: string,
    known: readonly StoredResponse[],
    mayWait = true,
  ): Answer | undefined {
    const { request } = exchange
    const found = selected(known, request, route)
    const lookup: Lookup<StoredMeta> =
      found === undefined ? { miss: known.length === 0 ? 'uri-miss' : 'vary-miss' } : { stored: found.meta }
    const decision = decide(request, lookup, route.policy, exchange.at)
    exchange.decided(decision)
    switch (decision.action) {
      case 'serve': {
        const answer = this.#serve(exchange, route, star, found as StoredResponse, decision.age)
        if (decision.revalidateAfter && answer !== undefined) this.#revalidateLater(exchange, route, star, decision.stored)
        return answer
      }
      case 'refuse':
        return exchange.respond(decision.status, ['Content-Length', '0'], undefined, undefined)
      case 'fetch':
      case 'revalidate': {
        if (exchange.isUrgent) return undefined
        const storing = mayWait ? this.#storing.get(exchange.key as CacheKey) : undefined
        if (storing === undefined) return this.#forward({ exchange, route, star, decision })
        return this.#stored(exchange.key as CacheKey, route, storing).then(
          (now) => this.#answer(exchange, route, star, now, false) as Answer,
        )
      }
    }
  }

  /** What is stored once the store has what it is being given, or has taken too long to take it. */
  async #stored(key: CacheKey, route: OriginRoute, storing: Promise<void>): Promise<readonly StoredResponse[]> {
    await this.#atMost(STORING_WAIT, storing)
    if (this.#storing.get(key) === storing) this.#storing.delete(key)
    return this.#lookedUp(key, route)
  }

  async #atMost(ms: Millis, event: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#clock.after(ms, resolve)
    await Promise.race([event, promise])
    cancel()
  }

  // ── serve ──

  #serve(exchange: Exchange, route: OriginRoute, star: string, found: StoredResponse, age: number): Answer | undefined {
    const { meta } = found
    exchange.aged(meta, age)
    const { reason, ttl } = exchange
    const { repeats } = exchange.host
    const circumstances = { reason, ttl, age: Math.floor(age) }
    const isPlain = exchange.request.method === 'GET' && !exchange.isPersonal && !asksForLess(exchange.request.fields)
    const repeat = isPlain ? repeats.get(meta, circumstances) : undefined
    const again = repeat && found.open?.()
    if (repeat !== undefined && again !== undefined) return exchange.repeat(repeat, again)
    const part = partFor(exchange.request.method, exchange.request.fields, meta, meta.length, exchange.at)
    if (part.body === 'none') return exchange.respond(part.status, part.fields, undefined, age)
    if (meta.sliceBytes !== undefined) {
      const pieces = this.#atHand(meta, part)
      if (pieces !== undefined) return this.#reading(exchange).respond(part.status, part.fields, pieces, age)
      const isStored = this.#isStored(meta, part)
      if (exchange.isUrgent && !isStored) return undefined
      return this.#serveSlices(exchange, route, star, meta, part, age, isStored)
    }
    const whole = found.open?.()
    if (whole !== undefined) {
      const body = part.body === 'whole' ? whole : whole.subarray(part.body.first, part.body.last + 1)
      exchange.respond(part.status, part.fields, body, age)
      if (isPlain) repeats.set(meta, { ...circumstances, status: exchange.status, fields: exchange.fields })
      return exchange
    }
    if (exchange.isUrgent) return undefined
    return this.#store
      .read(meta.id, { range: part.body === 'whole' ? undefined : part.body })
      .catch(() => this.#storeFailed(undefined))
      .then((body) => {
        if (body !== undefined) return exchange.respond(part.status, part.fields, body, age)
        // Evicted between lookup and read: rare, and no reason to fail.
        return this.#forward({ exchange, route, star, decision: MISS })
      })
  }

  /** A body, or a range of it, that lies in memory and is no more than one reader may hold. */
  #atHand({ id, length, sliceBytes = length }: StoredMeta, { body }: Part): Body | undefined {
    const { first, last } = typeof body === 'string' ? { first: 0, last: length - 1 } : body
    if (this.#store.readNow === undefined || last - first >= this.#options.inFlight.window) return undefined
    const pieces: Uint8Array[] = []
    for (const part of inSlices({ first, last }, sliceBytes)) {
      const piece = this.#store.readNow(id, part)
      if (piece === undefined) return undefined
      pieces.push(piece)
    }
    return pieces.length === 1 ? pieces[0] : new Pieces(pieces)
  }

  /** Whether a body in slices, or a range of it, is there without a gap. */
  #isStored({ id, length, sliceBytes = length }: StoredMeta, { body }: Part): boolean {
    const range = typeof body === 'string' ? { first: 0, last: length - 1 } : body
    for (const { slice } of inSlices(range, sliceBytes)) if (!this.#store.has(id, slice)) return false
    return true
  }

  #reading(exchange: Exchange): Exchange {
    exchange.isReading = true
    this.#options.inFlight.reads(1)
    return exchange
  }

  #serveSlices(
    exchange: Exchange,
    route: OriginRoute,
    star: string,
    meta: StoredMeta,
    part: Part,
    age: number,
    isStored: boolean,
  ): CdnResponse | Promise<CdnResponse> {
    const range = typeof part.body === 'string' ? { first: 0, last: meta.length - 1 } : part.body
    const assembly = this.#assemblies.get(meta.id) ?? this.#assembled({ exchange, route, star }, meta)
    const missing = isStored ? undefined : assembly.missing(range)
    if (missing === undefined) return exchange.respond(part.status, part.fields, assembly.read(range), age)
    const release = assembly.claim()
    // Before anything is sent, the origin has to say that it still has this version.
    return assembly
      .fetch(missing, range.last + 1)
      .then(
        () => {
          exchange.decided({ action: 'fetch', reason: 'slice-miss', fwd: 'partial', mayStore: true })
          exchange.fwdStatus = 206
          exchange.originAnsweredAt = this.#clock.now()
          exchange.stored = true
          return exchange.respond(part.status, part.fields, assembly.read(range), age)
        },
        (thrown) => {
          const error = asCdnError(thrown)
          if (error.code !== 'CDN_ORIGIN_CHANGED') throw error
          return this.#store
            .discard(meta.id)
            .catch(() => this.#storeFailed(undefined))
            .then(() => {
              this.#absences.note(meta.key, 'changed', this.#clock.now())
              return this.#forward({ exchange, route, star, decision: MISS })
            })
        },
      )
      .finally(release)
  }

  /** What is stored of a response, ready to have its gaps filled. */
  #assembled(asking: Pick<Forwarded, 'exchange' | 'route' | 'star'>, meta: StoredMeta): Assembly {
    const begun = this.#invalidations.begin()
    return this.#assembly(asking, {
      head: meta,
      length: meta.length,
      sliceBytes: meta.sliceBytes as number,
      isStored: true,
      mayStore: () => this.#invalidations.isCurrent(meta.key, begun),
      settled: () => undefined,
    })
  }

  #assembly(
    { exchange, route, star }: Pick<Forwarded, 'exchange' | 'route' | 'star'>,
    facts: Pick<AssemblyOptions, 'head' | 'length' | 'sliceBytes' | 'isStored' | 'mayStore' | 'settled' | 'ignoresRanges'>,
  ): Assembly {
    const { id, key } = facts.head
    const { promise: storing, resolve: stored } = Promise.withResolvers<void>()
    const { host } = exchange
    host.hold()
    const assembly = new Assembly({
      ...facts,
      storing: () => this.#storing.set(key, storing),
      settled: (result) => {
        if (this.#storing.get(key) === storing) this.#storing.delete(key)
        stored()
        facts.settled(result)
      },
      store: this.#store,
      askForPart: this.#partsOf(exchange, route, star, facts.head, facts.length),
      maxBytes: route.policy.maxBodyBytes,
      finishShare: route.policy.finishShare,
      over: () => {
        this.#assemblies.delete(id)
        host.release()
      },
      memory: this.#options.inFlight,
    })
    this.#assemblies.set(id, assembly)
    return assembly
  }

  /** A stored response by its metadata alone, after a validation or a failure of the origin. Only its body is looked up. */
  async #serveAgain({ exchange, route, star }: Forwarded, meta: StoredHead, extra: readonly string[] = []): Promise<CdnResponse> {
    const known = await this.#lookedUp(meta.key, route)
    const found = known.find((response) => response.meta.id === meta.id)
    if (found === undefined) return this.#forward({ exchange, route, star, decision: MISS })
    const fields = extra.length === 0 ? meta.fields : [...meta.fields, ...extra]
    const again: StoredResponse = { meta: { ...found.meta, ...meta, fields }, open: () => found.open?.() }
    return this.#serve(exchange, route, star, again, currentAge(meta, this.#clock.now())) as Answer
  }

  async #lookedUp(key: CacheKey, route: OriginRoute): Promise<readonly StoredResponse[]> {
    return this.#unpurged(this.#store.peek?.(key) ?? (await this.#store.lookup(key).catch(() => this.#storeFailed([]))), route)
  }

  /** Without what has been purged since it was asked for. */
  #unpurged(found: readonly StoredResponse[], { name }: OriginRoute): readonly StoredResponse[] {
    if (this.#purging.isEmpty || found.every(({ meta }) => this.#purging.of(meta, name) === undefined)) return found
    return found.flatMap((stored) => {
      const purged = this.#purging.of(stored.meta, name)
      if (purged === undefined) return [stored]
      if (!purged.soft) {
        this.#absences.note(stored.meta.key, purged.unknown === true ? 'purges-unknown' : 'purged', purged.at)
        return []
      }
      return [{ meta: softened(stored.meta, purged.at), open: () => stored.open?.() }]
    })
  }

  /**
   * What was asked for until now is not reused any more as soon as this has been called, nor what is under way; when it resolves, that is
   * safe, too. With `soft`, it may be served stale.
   *
   * @throws TypeError when it names nothing.
   * @throws Error when journal or bus cannot take it: it holds on this machine, but would not outlive this process, or reach others.
   */
  async purge(what: PurgeWhat, { soft = false, id = randomUUID() }: PurgeOptions = {}): Promise<Purge> {
    const [first, ...more] = named(what, this.#host)
    // The one that is told of goes last: who has applied it has applied all.
    const others = more.map((each, index) => this.#purging.purge({ id: `${id}.${index + 1}`, soft, ...each }))
    const [purged] = await Promise.all([this.#purging.purge({ id, soft, ...first }), ...others])
    return purged
  }

  /** @throws Error when the bus cannot be asked. */
  purgeStatus(id: string, options?: { waitMs?: Millis }): Promise<PurgeStatus> {
    return this.#purging.status(id, options)
  }

  /** What a purge of all these would concern. `undefined`: this store cannot tell. */
  async find(whats: readonly PurgeWhat[], options?: FindOptions): Promise<Findings | undefined> {
    const concerns = wouldPurge(whats, this.#host)
    return this.#store.all === undefined ? undefined : lookThrough(this.#store.all(), concerns, this.#clock, options)
  }

  #purged({ kind, value, soft }: Purge): void {
    // Whoever asks from now on does not join what began before.
    this.#flights.clear()
    if (kind !== 'url' || soft) return
    for (const scheme of ['http', 'https'])
      void this.#store.remove(`${scheme}://${value}` as CacheKey).catch(() => this.#storeFailed(0))
  }

  #storeFailed<T>(instead: T): T {
    this.#storeFailures++
    return instead
  }

  // ── revalidate and fetch ──

  #forward(forwarded: Forwarded): Promise<CdnResponse> {
    const { exchange, decision } = forwarded
    const key = exchange.key as CacheKey
    // Others may wait for what is asked for as everybody would.
    if (this.#asking(forwarded).keep !== 'none') return this.#alone(forwarded)
    const flight = this.#flights.get(key)
    return flight === undefined ? this.#lead(forwarded, this.#newFlight(key)) : this.#follow(forwarded, flight, decision)
  }

  /** Whether the answer may turn out to be for everybody, as far as is known before it is there. */
  #mayShare(exchange: Exchange, decision: Forwarded['decision']): boolean {
    if (decision.action === 'revalidate') return true
    return decision.mayStore && !this.#absences.isUnshareable(exchange.key as CacheKey, exchange.at)
  }

  #newFlight(key: CacheKey, unattended = false): Flight {
    const flight = new Flight({ unattended })
    this.#flights.set(key, flight)
    return flight
  }

  #endFlight(key: CacheKey, flight: Flight): void {
    // After an invalidation the key may have another flight.
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }

  async #lead(forwarded: Forwarded, flight: Flight): Promise<CdnResponse> {
    const { leave } = flight.join(forwarded.exchange.request.signal)
    try {
      return await this.#delivered(forwarded, await this.#land(forwarded, flight))
    } finally {
      leave()
    }
  }

  async #land(forwarded: Forwarded, flight: Flight): Promise<Landing> {
    const key = forwarded.exchange.key as CacheKey
    let landing: Landing
    try {
      landing = await this.#ask(forwarded, flight.signal, () => this.#endFlight(key, flight))
    } catch (error) {
      landing = { kind: 'failed', error: asCdnError(error) }
    }
    if (landing.kind !== 'fill') this.#endFlight(key, flight)
    flight.land(landing)
    return landing
  }

  async #follow(forwarded: Forwarded, flight: Flight, decision: Forwarded['decision']): Promise<CdnResponse> {
    const { exchange, route } = forwarded
    const { request } = exchange
    const { leave } = flight.join(request.signal)
    let landing: Landing
    try {
      landing = await flight.landing(request.signal)
    } finally {
      leave()
    }
    if (landing.kind === 'failed') {
      exchange.collapsed = true
      return this.#deliver(forwarded, landing)
    }
    const meta = landing.kind === 'fill' ? landing.assembly.head : landing.kind === 'freshened' ? landing.meta : undefined
    const mayReuse =
      meta !== undefined &&
      selects(meta, request.fields, route.policy.normalise) &&
      decide(request, { stored: meta }, route.policy, this.#clock.now()).action === 'serve'
    if (!mayReuse || (landing.kind === 'fill' && !landing.assembly.isJoinable)) return this.#alone({ ...forwarded, decision })
    exchange.collapsed = true
    return this.#deliver(forwarded, landing)
  }

  async #alone(forwarded: Forwarded): Promise<CdnResponse> {
    return this.#delivered(forwarded, await this.#ask(forwarded, forwarded.exchange.request.signal, () => undefined))
  }

  /** The answer of the one whose request it was; only then may what is coming end for want of readers. */
  async #delivered(forwarded: Forwarded, landing: Landing): Promise<CdnResponse> {
    try {
      return await this.#deliver(forwarded, landing)
    } finally {
      if (landing.kind === 'fill') landing.release()
    }
  }

  #revalidateLater(exchange: Exchange, route: OriginRoute, star: string, stored: StoredMeta): void {
    if (this.#flights.has(stored.key)) return
    const flight = this.#newFlight(stored.key, true)
    const request: CdnRequest = { ...plainRequest(exchange.request), signal: flight.signal }
    const { host } = exchange
    const own = new Exchange(host, request)
    own.target = exchange.target
    own.rules = exchange.rules
    own.stripsCookies = exchange.stripsCookies
    own.key = stored.key
    const forwarded: Forwarded = {
      exchange: own,
      route,
      star,
      decision: { action: 'revalidate', reason: 'stale', fwd: 'stale', stored, age: 0 },
    }
    host.hold()
    const started = this.#background.start(async () => {
      try {
        const landing = await this.#land(forwarded, flight)
        if (landing.kind === 'fill') {
          await landing.assembly.ended()
          landing.release()
        }
        if (landing.kind === 'unshared') await discard(landing.response)
      } finally {
        host.release()
      }
    })
    if (started) return
    host.release()
    this.#endFlight(stored.key, flight)
  }

  // ── admit, fill ──

  /** Asks the origin, and keeps what may be kept. `filled` is called when a fill that was started has ended. */
  async #ask(forwarded: Forwarded, signal: AbortSignal, filled: () => void): Promise<Landing> {
    const { exchange, route, star, decision } = forwarded
    const { request } = exchange
    const key = exchange.key as CacheKey
    const stored = decision.action === 'revalidate' ? decision.stored : undefined
    const mayStore = decision.action === 'revalidate' || decision.mayStore
    const { method, keep, part } = this.#asking(forwarded)
    let begun = this.#invalidations.begin()
    const requestedAt = this.#clock.now()
    this.#purging.asked(requestedAt)

    let response: OriginResponse
    try {
      response = await route.origin.fetch(
        {
          method,
          scheme: request.scheme,
          authority: exchange.authority,
          target: asked(route, star, exchange.target, mayStore),
          key,
          fields: [
            ...exchange.ruledRequest(forwardedFields(request, exchange.host, keep, mayStore)),
            ...(stored === undefined ? [] : validationFields([stored])),
            ...(part === undefined ? [] : ['Range', rangeOf(part)]),
          ],
          body:
            request.body === undefined
              ? undefined
              : limited(request.body, request.fields, exchange.host.settings.maxRequestBodyBytes),
          onInterim: (status, fields) => {
            if (isInterim(status, fields)) request.onInterim?.(status, withoutFields(endToEndFields(fields), CONTENT_LENGTH))
          },
        },
        signal,
      )
    } catch (error) {
      return { kind: 'failed', error: asCdnError(error) }
    }

    if (exchange.stripsCookies) response = { ...response, fields: withoutFields(response.fields, SET_COOKIE) }
    const fault = responseFault(response)
    if (fault !== undefined) {
      await discard(response)
      return { kind: 'failed', error: new CdnError('CDN_ORIGIN_PROTOCOL', `${route.origin.name} ${fault}`) }
    }

    const receivedAt = this.#clock.now()
    exchange.fwdStatus = response.status
    exchange.originAnsweredAt = receivedAt
    if (stored !== undefined && response.status === 304) {
      await discard(response)
      if (route.policy.compress) response = { ...response, fields: freshenedFields(response.fields, stored.fields) }
      // Not about what is stored here: ask again, for the whole (RFC 9111 §4.3.4).
      if (!identifies(response.fields, stored))
        return this.#ask({ ...forwarded, decision: { ...decision, action: 'fetch', mayStore: true } }, signal, filled)
      return this.#freshen(forwarded, stored, response.fields, { requestedAt, receivedAt, begun })
    }
    if (stored !== undefined && isFailure(response.status) && decideAfterFailure(stored, receivedAt) !== undefined) {
      await discard(response)
      return { kind: 'failed', error: new CdnError('CDN_ORIGIN_FAILED', `${route.origin.name} answered ${response.status}`) }
    }
    // This response is what came of the change; only what began before it is out of date.
    if (!isSafe(request.method) && response.status < 400) begun = await this.#invalidate(exchange, response.fields)

    const whole = response.status === 206 && part !== undefined ? wholeOf(response, part) : undefined
    if (response.status === 206 && part !== undefined && whole === undefined) {
      // Such a part can be put together with nothing: from now on each client's Range goes to the origin as it is.
      await discard(response)
      this.#absences.note(key, 'unsliceable', receivedAt, true)
      return this.#ask(
        { ...forwarded, decision: { action: 'fetch', reason: decision.reason, fwd: decision.fwd, mayStore } },
        signal,
        filled,
      )
    }
    const answered = { method, url: exchange.url, fields: request.fields }
    const compresses = route.policy.compress && mayStore && whole === undefined && method === 'GET' && isCompressible(response)
    const coding = compresses ? chosenCoding(request.fields) : undefined
    const { status } = whole ?? response
    const fields = compresses ? compressedFields(response.fields, coding) : (whole ?? response).fields
    const admission: Admission = mayStore
      ? admit(key, answered, { status, fields, requestedAt, receivedAt }, route.policy, randomUUID)
      : { store: false, reason: decision.reason }
    if (admission.store && coding !== undefined) response = { status, fields, body: compressed(response.body, coding) }
    const length = whole?.length ?? bodyLength(response)
    const isTooLarge = (length ?? 0) > Math.min(route.policy.maxBodyBytes, this.#store.stats().maxBytes)
    if (!admission.store || isTooLarge) {
      const reason = admission.store ? 'too-large' : admission.reason
      if (whole === undefined) return this.#unshared(forwarded, response, reason)
      // The client asked for another part than came.
      await discard(response)
      this.#absences.note(key, reason, receivedAt, true)
      return this.#ask(forwarded, signal, filled)
    }

    exchange.stored = true
    const assembly = this.#assembly(forwarded, {
      head: admission.meta,
      length,
      sliceBytes: this.#sliceBytes(exchange),
      isStored: false,
      ignoresRanges: part !== undefined && whole === undefined,
      mayStore: () => this.#invalidations.isCurrent(key, begun),
      settled: (result) => {
        filled()
        exchange.stored = result.stored
        if (result.stored) {
          // A part by itself says nothing of the others.
          if (status !== 206) this.#absences.forget(key)
          return
        }
        exchange.notStored = result.reason
        if (result.reason === 'store-failed') this.#storeFailures++
        this.#absences.note(key, result.reason, this.#clock.now(), result.reason === 'too-large')
      },
    })
    const release = assembly.claim()
    // What can be completed later is there for everybody at once, and each client asks for the slices it needs.
    if (assembly.canHaveGaps) await assembly.announce()
    assembly.take(whole?.incoming ?? { first: 0, end: length, source: response.body })
    return { kind: 'fill', assembly, release }
  }

  /** Asks the origin for parts of what is stored; `undefined` when nothing would tie them to it. */
  #partsOf(
    exchange: Exchange,
    route: OriginRoute,
    star: string,
    head: StoredHead,
    length: number | undefined,
  ): AskForPart | undefined {
    const validator = head.status === 200 ? strongValidator(head.fields) : undefined
    if (validator === undefined || length === undefined || fieldValue(head.fields, 'accept-ranges') === 'none') return undefined
    const { request, authority, target } = exchange
    return async (range, signal) => {
      const fields = exchange.ruledRequest(forwardedFields(request, exchange.host, 'none', true))
      const response = await route.origin.fetch(
        {
          method: 'GET',
          scheme: request.scheme,
          authority,
          target: asked(route, star, target, true),
          key: head.key,
          fields: [...fields, 'If-Range', validator, 'Range', rangeOf(range)],
        },
        signal,
      )
      const part = response.status === 206 ? wholeOf(response, range) : undefined
      const isSame = (part ?? response).fields !== undefined && strongValidator((part ?? response).fields) === validator
      if (part !== undefined && isSame && part.length === length) return part.incoming
      // An origin that does not know ranges: the same body from its beginning will do, too.
      if (response.status === 200 && isSame) return { first: 0, end: length, source: response.body }
      await discard(response)
      const { name } = route.origin
      if (isFailure(response.status)) throw new CdnError('CDN_ORIGIN_FAILED', `${name} answered ${response.status}`)
      throw new CdnError('CDN_ORIGIN_CHANGED', `${name} answered ${response.status} when a part was asked for`)
    }
  }

  /**
   * How to ask the origin: with which method, which of the client's conditions, and for which slices. What may be stored has
   * to come whole, or in whole slices, whoever asks; so a HEAD asks for what the next GET will want.
   */
  #asking({ exchange, decision }: Forwarded): Asking {
    const { method, fields } = exchange.request
    if (!this.#mayShare(exchange, decision)) return { method, keep: 'all', part: undefined }
    if (method !== 'GET')
      return method === 'HEAD' ? { method: 'GET', keep: 'none', part: undefined } : { method, keep: 'all', part: undefined }
    const range = fieldValue(fields, 'range')
    const part = range === undefined ? undefined : alignedRange(range, this.#sliceBytes(exchange))
    if (decision.action === 'revalidate')
      return { method, keep: 'none', part: decision.stored.sliceBytes === undefined ? undefined : part }
    // Nobody knows yet where the last bytes begin, so they are asked for as they are; several ranges are answered with the whole.
    return { method, keep: range !== undefined && isFromEnd(range) ? 'range' : 'none', part }
  }

  #sliceBytes({ host }: Exchange): number {
    return host.settings.sliceBytes ?? this.#options.inFlight.sliceBytes
  }

  async #unshared({ exchange, decision }: Forwarded, response: OriginResponse, reason: Reason): Promise<Landing> {
    const key = exchange.key as CacheKey
    if (decision.action === 'revalidate' || decision.mayStore) {
      exchange.notStored = reason
      // Who asks next for what only one may have does not wait for it.
      if (!OF_THE_REQUEST.has(reason)) this.#absences.note(key, reason, this.#clock.now(), true)
      if (decision.action === 'revalidate' && SUPERSEDES.has(reason))
        await this.#store.remove(key).catch(() => this.#storeFailed(0))
    }
    return { kind: 'unshared', response }
  }

  /** RFC 9111 §4.3.4: the stored response, with what the 304 says anew. */
  async #freshen(
    { exchange, route }: Forwarded,
    stored: StoredMeta,
    update: Fields,
    { requestedAt, receivedAt, begun }: { requestedAt: number; receivedAt: number; begun: number },
  ): Promise<Landing> {
    const key = stored.key
    // A cookie is for the one who asked. It goes along with this answer, and not into the store.
    const merged = mergedFields([...stored.fields, ...stored.withheld], withoutFields(endToEndFields(update), SET_COOKIE))
    // What was stored has been found fit for everybody; who asked this time does not matter.
    const answered = { method: 'GET', url: exchange.url, fields: withoutFields(exchange.request.fields, PERSONAL) }
    const response = { status: stored.status, fields: merged, requestedAt, receivedAt }
    const admission = admit(key, answered, response, route.policy, () => stored.id)
    // What may no longer be kept still answers this client, with what the origin says of it now. For others, it is as it was,
    // and never fresh again.
    const { length, sliceBytes } = stored
    // What may no longer be kept still answers this client, with what the origin says of it now. For others, it is as it was,
    // and never fresh again.
    const meta: StoredMeta = admission.store
      ? { ...admission.meta, selecting: stored.selecting, length, sliceBytes }
      : { ...stored, requestedAt, receivedAt, fields: keptFields(merged, receivedAt), initialAge: 0, freshness: NEVER_FRESH }
    const kept = admission.store ? meta : { ...stored, freshness: NEVER_FRESH }
    const updated =
      this.#invalidations.isCurrent(key, begun) && (await this.#store.freshen(kept).catch(() => this.#storeFailed(false)))
    if (admission.store) exchange.stored = updated
    else exchange.notStored = admission.reason
    const cookies: string[] = []
    for (let at = 0; at < update.length; at += 2)
      if (update[at]?.toLowerCase() === 'set-cookie') cookies.push('Set-Cookie', update[at + 1] as string)
    return { kind: 'freshened', meta, updated: cookies }
  }

  /** Resolves, when everything invalidated has left the store, to the number of what begins right after. */
  async #invalidate(exchange: Exchange, response: Fields): Promise<number> {
    const keys = [exchange.key as CacheKey]
    for (const href of alsoInvalidated(exchange.url, response)) {
      const url = new URL(href)
      const scheme = url.protocol.slice(0, -1)
      // Not `search`: that has no "?" where nothing follows.
      const target = normalisedTarget(href.slice(url.origin.length))
      const found = target === undefined ? undefined : this.#host.router.find(scheme, url.host, target)?.route
      if (target === undefined || found?.kind !== 'origin') continue
      keys.push(cacheKey(scheme, url.host, target, found.policy.query))
    }
    for (const key of keys) {
      this.#invalidations.invalidate(key)
      // Whoever asks from now on does not join what began before.
      this.#flights.delete(key)
    }
    const begun = this.#invalidations.begin()
    for (const key of keys) {
      const removed = await this.#store.remove(key).catch(() => this.#storeFailed(0))
      if (removed > 0) this.#absences.note(key, 'invalidated', this.#clock.now())
    }
    return begun
  }

  // ── deliver ──

  async #deliver(forwarded: Forwarded, landing: Landing): Promise<CdnResponse> {
    const { exchange, decision } = forwarded
    const { request } = exchange
    const now = this.#clock.now()
    switch (landing.kind) {
      case 'fill': {
        const { head, length } = landing.assembly
        const age = currentAge(head, now)
        exchange.aged(head, age)
        const part = partFor(request.method, request.fields, head, length, now)
        const reading = landing.assembly.read(typeof part.body === 'string' ? undefined : part.body)
        // Who takes nothing of the body has left already: a large one is not fetched for nobody.
        if (part.body === 'none') void reading.return?.()
        const body: Body | undefined = part.body === 'none' ? undefined : reading
        return exchange.respond(part.status, part.fields, body, age >= 1 ? age : undefined)
      }
      case 'freshened':
        return this.#serveAgain(forwarded, landing.meta, exchange.collapsed ? [] : landing.updated)
      case 'unshared': {
        const { response } = landing
        let fields = withoutFields(endToEndFields(response.fields), WITHHELD)
        if (response.status === 204) fields = withoutFields(fields, CONTENT_LENGTH)
        const bodiless = request.method === 'HEAD' || response.status === 204 || response.status === 304
        if (bodiless) await discard(response)
        else if (response.trailers !== undefined && takesTrailers(request.fields))
          exchange.trailers = () => passedTrailers(response.trailers?.() ?? [])
        return exchange.respond(response.status, fields, bodiless ? undefined : response.body, undefined)
      }
      case 'failed': {
        const stale = decision.action === 'revalidate' ? decideAfterFailure(decision.stored, now) : undefined
        if (stale === undefined || landing.error.source !== 'origin') throw landing.error
        exchange.reason = stale.reason
        exchange.error = landing.error
        return this.#serveAgain(forwarded, stale.stored)
      }
    }
  }

  // ── log, explain, close ──

  #ended(exchange: Exchange): void {
    this.#open--
    if (exchange.hit) this.#hits++
    if (exchange.tunnel !== undefined) this.#openTunnels--
    if (exchange.isReading) this.#options.inFlight.reads(-1)
    const entry = exchange.entry(this.#requests++)
    this.#options.log.forEach((sink, at) => {
      try {
        sink.write(entry)
      } catch {
        this.#sinkFailures[at] = (this.#sinkFailures[at] ?? 0) + 1
      }
    })
    if (this.#open === 0) this.#idle?.()
  }

  async explain(request: Pick<CdnRequest, 'method' | 'scheme' | 'authority' | 'target' | 'fields'>): Promise<Explanation> {
    const target = normalisedTarget(request.target)
    const authority = normalisedAuthority(request.scheme, request.authority)
    const facts = { method: request.method, target: target ?? '', fields: request.fields }
    const found = target === undefined ? undefined : this.#host.router.find(request.scheme, authority, target, facts)
    if (target === undefined || found === undefined)
      return {
        key: undefined,
        route: undefined,
        decision: undefined,
        lines: [new CdnError(target === undefined ? 'CDN_BAD_REQUEST' : 'CDN_NO_ROUTE').message],
      }
    const { route } = found
    const first = `route "${route.name}"`
    if (route.kind !== 'origin')
      return {
        key: undefined,
        route: route.name,
        decision: undefined,
        lines: [first, route.kind === 'redirect' ? `redirects with ${route.status}` : `answers itself with ${route.status}`],
      }
    const key = cacheKey(request.scheme, authority, target, route.policy.query)
    const known = await this.#lookedUp(key, route)
    const stored = selected(known, request, route)
    const now = this.#clock.now()
    const decision = decide(
      request,
      stored === undefined ? { miss: known.length === 0 ? 'uri-miss' : 'vary-miss' } : { stored: stored.meta },
      route.policy,
      now,
    )
    const absence = this.#absences.get(key)
    const memory =
      decision.action !== 'fetch' || (decision.fwd !== 'uri-miss' && decision.fwd !== 'vary-miss')
        ? []
        : explainAbsence(absence && { reason: absence.reason, secondsAgo: (now - absence.at) / 1000 })
    return {
      key,
      route: route.name,
      decision,
      lines: [`${first}, origin "${route.origin.name}", key ${key}`, ...explainDecision(decision), ...memory],
    }
  }

  stats(): EngineStats {
    return {
      requests: this.#requests,
      hits: this.#hits,
      open: this.#open,
      tunnels: { open: this.#openTunnels, total: this.#tunnels },
      revalidations: { started: this.#background.started, skipped: this.#background.skipped },
      purges: this.#purging.stats(),
      inFlight: { bodies: this.#assemblies.size, bytes: this.#options.inFlight.used },
      origins: this.#host.settings.origins.map((origin) => ({ name: origin.name, ...(origin.stats?.() ?? { addresses: [] }) })),
      store: { ...this.#store.stats(), name: this.#store.name, failures: this.#storeFailures },
      log: this.#options.log.map((sink, at) => ({
        name: sink.name,
        failed: this.#sinkFailures[at] ?? 0,
        dropped: sink.dropped ?? 0,
        ...(sink.stats === undefined ? {} : { figures: figuresOf(sink) }),
      })),
    }
  }

  async close({ graceMs = 30_000 }: { graceMs?: number } = {}): Promise<void> {
    this.#closing = true
    await this.#atMost(graceMs, this.#drained())
    for (const flight of this.#flights.values()) flight.abort()
    const { log } = this.#options
    const origins = new Set([...this.#generations].flatMap(({ settings }) => settings.origins))
    await Promise.allSettled([...origins].map((origin) => origin.close?.()))
    await this.#store.close().catch(() => this.#storeFailed(undefined))
    await this.#purging.close()
    await Promise.allSettled(log.map((sink) => sink.close()))
  }

  async #drained(): Promise<void> {
    if (this.#open > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle = resolve
      await promise
    }
    await this.#background.drained()
    await Promise.all([...this.#assemblies.values()].map((assembly) => assembly.ended()))
  }
}

/** A route whose table says where this path leads. */
function toOrigin(route: OriginRoute, entry: string | undefined): OriginRoute {
  return entry === undefined ? route : { ...route, rewrite: entry }
}

/** The path and query to ask the origin for. On behalf of everybody, it gets only what counts. */
function asked({ rewrite, keepsQuery, policy }: OriginRoute, star: string, target: string, mayStore: boolean): string {
  return rewritten(rewrite, star, mayStore ? countedTarget(target, policy.query) : target, keepsQuery)
}

function selected(
  known: readonly StoredResponse[],
  { method, fields }: Pick<CdnRequest, 'method' | 'fields'>,
  { policy }: OriginRoute,
): StoredResponse | undefined {
  if (known.length === 0) return undefined
  const [only] = known
  if (known.length === 1 && only?.meta.selecting.length === 0) return only
  const meta = selectStored(
    known.map((response) => response.meta),
    // Only GET has ranges: no HEAD is answered with what a part was stored as (RFC 9110 §14.2).
    method === 'HEAD' ? withoutFields(fields, RANGE) : fields,
    policy.normalise,
  )
  return meta === undefined ? undefined : known.find((response) => response.meta === meta)
}

/** A client's request as the cache asks it on its own account: nobody waits for it, so it has no body and no interims. */
function plainRequest({ scheme, authority, target, httpVersion, fields, clientAddress, signal }: CdnRequest): CdnRequest {
  return { method: 'GET', scheme, authority, target, httpVersion, fields, clientAddress, signal }
}

/** A sink of somebody's own may fail to say how it is; everything else is told all the same. */
function figuresOf(sink: LogSink): Readonly<Record<string, number | string>> | undefined {
  try {
    return sink.stats?.()
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
