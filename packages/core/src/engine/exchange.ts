// One exchange of messages: what is settled about a request, what was answered, and the log entry that says so.
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { asCdnError, CdnError } from '../errors.ts'
import type { Body } from '../http/body.ts'
import { type Fields, fieldValue, withoutFields } from '../http/fields.ts'
import type { CacheKey, StoredHead } from '../http/stored-response.ts'
import type { Millis } from '../http/time.ts'
import { cacheStatus } from '../log/cache-status.ts'
import type { CacheOutcome, LogEntry } from '../log/entry.ts'
import { CORS_FIELDS, corsFields, isPreflight } from '../policy/cors.ts'
import type { Decision, Forward } from '../policy/decide.ts'
import { withRules } from '../policy/field-rules.ts'
import { normalisedAuthority } from '../policy/key.ts'
import type { Reason } from '../policy/reasons.ts'
import type { ErrorPage, Route } from '../policy/route.ts'
import type { Generation } from './generation.ts'
import type { CdnRequest, CdnResponse, Kept } from './messages.ts'
import type { Repeat } from './repeats.ts'
import { RequestWith } from './request-with.ts'

type Rules = Pick<Route, 'cors' | 'requestRules' | 'responseRules' | 'errorPages'>

/** One object for a request's facts and its response: a hit allocates nothing else of its own. */
export class Exchange implements CdnResponse {
  request: CdnRequest
  readonly at: Millis
  /** Normalised, as soon as it is known to be a path. */
  target: string
  /** Normalised. */
  authority: string
  route = ''
  tier: LogEntry['tier'] = 'edge'
  /** Answered at once or not at all: nothing may be waited for. */
  isUrgent = false
  /** Whether its body is counted among those that are being read. */
  isReading = false
  key: CacheKey | undefined
  /** Of the route, once there is one. */
  rules: Rules | undefined
  /** Whether cookies are taken out of what the origin answers. */
  stripsCookies = false
  #id: string | undefined

  // What the cache did and why (LogEntry.cache).
  action: CacheOutcome['action'] = 'respond'
  reason: Reason = 'error'
  hit = false
  fwd: Forward | undefined
  fwdStatus: number | undefined
  stored = false
  notStored: Reason | undefined
  collapsed = false
  ttl: number | undefined
  error: CdnError | undefined
  originAnsweredAt: Millis | undefined

  status = 500
  fields: Fields = []
  body: Body | undefined
  kept: Kept | undefined
  trailers: (() => Fields) | undefined
  tunnel: Duplex | undefined

  /** What it began under. */
  readonly host: Generation
  #ended = false

  constructor(host: Generation, request: CdnRequest) {
    this.host = host
    this.request = request
    this.at = host.clock.now()
    this.target = request.target
    this.authority = normalisedAuthority(request.scheme, request.authority)
  }

  /** Absolute, as the client asked. */
  get url(): string {
    return `${this.request.scheme}://${this.authority}${this.target}`
  }

  /** What a proxy before us, or the client, calls this request; else a name of our own. */
  get id(): string {
    const { fields } = this.request
    this.#id ??= fieldValue(fields, 'fly-request-id') ?? fieldValue(fields, 'x-request-id') ?? randomUUID()
    return this.#id
  }

  /** Goes on without these fields of the client. */
  without(names: ReadonlySet<string>): void {
    this.request = new RequestWith(this.request, { fields: withoutFields(this.request.fields, names) })
  }

  decided(decision: Decision): void {
    this.action = decision.action
    this.reason = decision.reason
    this.hit = decision.action === 'serve'
    if (decision.action === 'fetch' || decision.action === 'revalidate') this.fwd = decision.fwd
  }

  /** Remaining freshness of what is about to be sent. */
  aged(meta: StoredHead, age: number): void {
    this.ttl = Math.floor(meta.freshness.lifetime - age)
  }

  /** Makes this the response. Takes `fields` over and completes them: Age, Via, Cache-Status. */
  respond(status: number, fields: string[], body: Body | undefined, age: number | undefined, failure?: string): this {
    this.status = status
    if (age !== undefined) fields.push('Age', String(Math.floor(age)))
    if (this.rules !== undefined) fields = this.#ruled(fields, this.rules)
    fields.push('Via', `1.1 ${this.host.name}`, 'Cache-Status', cacheStatus(this.host.name, this, failure))
    this.fields = fields
    this.body = body
    return this
  }

  /** The answer that somebody else got a moment ago. */
  repeat({ status, fields, kept }: Repeat, body: Uint8Array): this {
    this.status = status
    this.fields = fields
    this.kept = kept
    this.body = body
    return this
  }

  /** Whether what is answered depends on more of the request than which stored response it selects. */
  get isPersonal(): boolean {
    return this.rules !== undefined && (this.rules.cors !== undefined || this.rules.responseRules.length > 0)
  }

  #ruled(fields: string[], { cors, responseRules }: Rules): string[] {
    let ruled = fields
    if (cors !== undefined) {
      const { method, fields: asked } = this.request
      ruled = [...withoutFields(ruled, CORS_FIELDS), ...corsFields(cors, asked, isPreflight(method, asked))]
    }
    return responseRules.length === 0 ? ruled : withRules(ruled, responseRules, this)
  }

  /** What goes to the origin, as the route wants it. */
  ruledRequest(fields: string[]): string[] {
    const rules = this.rules?.requestRules ?? []
    return rules.length === 0 ? fields : withRules(fields, rules, this)
  }

  /** An answer of our own to what went wrong. */
  fail(thrown: unknown, extra: readonly string[] = []): this {
    const error: CdnError = asCdnError(thrown)
    this.error = error
    this.stored = false
    this.kept = undefined
    // Details of origins and configuration are for the log, not for clients.
    const said = `${error.status} ${error.source === 'client' ? error.message : error.summary} (${error.code})\n`
    const page = this.#pageFor(error.status)
    const text = new TextEncoder().encode(page?.body ?? said)
    const fields = [
      'Content-Type',
      page?.type ?? 'text/plain; charset=utf-8',
      'Content-Length',
      String(text.byteLength),
      'Cache-Control',
      'no-store',
      ...extra,
    ]
    return this.respond(error.status, fields, this.request.method === 'HEAD' ? undefined : text, undefined, error.code)
  }

  #pageFor(status: number): ErrorPage | undefined {
    const pages = this.rules?.errorPages
    return pages?.get(String(status)) ?? pages?.get(`${Math.floor(status / 100)}xx`)
  }

  finished(bytes: number, complete: boolean, error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    if (!complete) this.error ??= asEnding(error)
    this.bytes = bytes
    this.complete = complete
    this.host.ended(this)
  }

  bytes = 0
  complete = false

  entry(sequence: number): LogEntry {
    const { request, at } = this
    return {
      at,
      instance: this.host.instance,
      sequence,
      machine: this.host.place.machine,
      region: this.host.place.region,
      tier: this.tier,
      method: request.method,
      url: this.url,
      httpVersion: request.httpVersion,
      clientAddress: request.clientAddress,
      userAgent: fieldValue(request.fields, 'user-agent'),
      referer: fieldValue(request.fields, 'referer'),
      range: fieldValue(request.fields, 'range'),
      route: this.route,
      status: this.status,
      bytes: this.bytes,
      contentType: fieldValue(this.fields, 'content-type'),
      complete: this.complete,
      cache: {
        key: this.key ?? '',
        action: this.action,
        reason: this.reason,
        hit: this.hit,
        fwd: this.fwd,
        fwdStatus: this.fwdStatus,
        stored: this.stored,
        notStored: this.notStored,
        collapsed: this.collapsed,
        ttl: this.ttl,
      },
      error: this.error === undefined ? undefined : { code: this.error.code, message: this.error.message },
      timing: {
        originAnswered: this.originAnsweredAt === undefined ? undefined : this.originAnsweredAt - at,
        lastByte: this.host.clock.now() - at,
      },
    }
  }
}

/** Why a response ended early. What makes a body throw and is no error of ours comes from an origin in this process. */
function asEnding(error: unknown): CdnError {
  if (error === undefined) return new CdnError('CDN_CLIENT_GONE')
  if (error instanceof CdnError) return error
  return new CdnError('CDN_ORIGIN_BROKE_OFF', error instanceof Error ? error.message : String(error), error)
}
