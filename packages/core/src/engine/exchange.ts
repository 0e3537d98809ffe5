// One exchange of messages: what is settled about a request, what was answered, and the log entry that says so.
import type { Duplex } from 'node:stream'
import { asCdnError, CdnError } from '../errors.ts'
import type { Body } from '../http/body.ts'
import { type Fields, fieldValue } from '../http/fields.ts'
import type { CacheKey, StoredHead } from '../http/stored-response.ts'
import type { Clock, Millis } from '../http/time.ts'
import { cacheStatus } from '../log/cache-status.ts'
import type { CacheOutcome, LogEntry } from '../log/entry.ts'
import type { Decision, Forward } from '../policy/decide.ts'
import { normalisedAuthority } from '../policy/key.ts'
import type { Reason } from '../policy/reasons.ts'
import type { CdnRequest, CdnResponse } from './messages.ts'

export interface ExchangeHost {
  readonly name: string
  readonly instance: string
  readonly clock: Clock
  /** Called once for each exchange. */
  ended(exchange: Exchange): void
}

/** One object for a request's facts and its response: a hit allocates nothing else of its own. */
export class Exchange implements CdnResponse {
  readonly request: CdnRequest
  readonly at: Millis
  /** Normalised, as soon as it is known to be a path. */
  target: string
  /** Normalised. */
  authority: string
  route = ''
  key: CacheKey | undefined

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
  trailers: (() => Fields) | undefined
  tunnel: Duplex | undefined

  /** What it began under. */
  readonly host: ExchangeHost
  #ended = false

  constructor(host: ExchangeHost, request: CdnRequest) {
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
    fields.push('Via', `1.1 ${this.host.name}`, 'Cache-Status', cacheStatus(this.host.name, this, failure))
    this.fields = fields
    this.body = body
    return this
  }

  /** An answer of our own to what went wrong. */
  fail(thrown: unknown, extra: readonly string[] = []): this {
    const error: CdnError = asCdnError(thrown)
    this.error = error
    this.stored = false
    // Details of origins and configuration are for the log, not for clients.
    const text = new TextEncoder().encode(
      `${error.status} ${error.source === 'client' ? error.message : error.summary} (${error.code})\n`,
    )
    const fields = [
      'Content-Type',
      'text/plain; charset=utf-8',
      'Content-Length',
      String(text.byteLength),
      'Cache-Control',
      'no-store',
      ...extra,
    ]
    return this.respond(error.status, fields, this.request.method === 'HEAD' ? undefined : text, undefined, error.code)
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
      method: request.method,
      url: this.url,
      httpVersion: request.httpVersion,
      clientAddress: request.clientAddress,
      userAgent: fieldValue(request.fields, 'user-agent'),
      referer: fieldValue(request.fields, 'referer'),
      route: this.route,
      status: this.status,
      bytes: this.bytes,
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
