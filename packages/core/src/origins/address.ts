// One address of an origin: its connections, how many requests they may carry, and whether it is worth asking.
import { Client, type Dispatcher, Pool } from 'undici'
import { CdnError } from '../errors.ts'
import { type Fields, withField } from '../http/fields.ts'
import type { Clock } from '../http/time.ts'
import { Breaker, type BreakerOptions } from './breaker.ts'
import { HealthCheck, type HealthOptions } from './health.ts'
import { type Carrier, HttpExchange } from './http-exchange.ts'
import { Name, type NameOptions } from './names.ts'
import type { AddressStats, OriginRequest, OriginResponse, OriginUpgrade } from './origin.ts'
import { Slots } from './slots.ts'
import { askForUpgrade } from './upgrade.ts'

export interface TlsOptions {
  /** Certificates of authorities to trust in place of Node's, as PEM text. */
  readonly ca?: string | readonly string[] | undefined
  /** Our own certificate, with those between it and its authority, as PEM text. Together with `key`. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name to ask for and to find in the certificate. Default: that of the `Host` of the request. */
  readonly servername?: string | undefined
  /** `false` takes any certificate. Default: true. */
  readonly rejectUnauthorized?: boolean | undefined
}

/** What goes over the wire of a request: the target as it is sent, and the fields. */
export interface Prepared {
  readonly target: string
  readonly fields: Fields
}

export interface AddressOptions extends Omit<NameOptions, 'moved' | 'everyMs'> {
  /** Of the origin. */
  readonly name: string
  readonly url: URL
  readonly weight: number
  readonly host: string | undefined
  readonly connectTimeoutMs: number
  readonly headTimeoutMs: number
  readonly bodyTimeoutMs: number
  readonly connections: number
  readonly lenientTransferCodings: boolean
  readonly http2: boolean
  readonly tls: TlsOptions | undefined
  readonly resolveEveryMs: number
  readonly health: HealthOptions | undefined
  readonly breaker: BreakerOptions | undefined
  readonly prepare: (request: Pick<OriginRequest, 'method' | 'target' | 'fields'>, url: URL) => Prepared | Promise<Prepared>
  readonly clock: Clock
}

/** More requests than this, for each connection, do not wait but fail. */
const WAITING_PER_CONNECTION = 4
const MAX_HEAD_BYTES = 64 * 1024

/** What came of a request: an answer, or why there is none and whether the same request may be sent again. */
export type Attempt =
  | { readonly response: OriginResponse }
  | { readonly error: unknown; readonly foundClosed: boolean; readonly isRepeatable: boolean }

export class Address {
  readonly url: string
  readonly weight: number
  readonly #options: AddressOptions
  /** The pool's own queue has no bound, and whoever leaves it takes a connection along. */
  readonly #slots: Slots
  readonly #breaker: Breaker
  readonly #health: HealthCheck | undefined
  readonly #host: Name
  readonly #connect: object
  readonly #checks = new Set<Client>()
  /** Pools that take nothing new, and whose last requests are not over. */
  readonly #leaving = new Set<Pool>()
  #pool: Pool
  #failures = 0

  constructor(options: AddressOptions) {
    const { url, connections, tls, clock, resolve } = options
    this.url = url.href
    this.weight = options.weight
    this.#options = options
    this.#slots = new Slots(connections, connections * WAITING_PER_CONNECTION)
    this.#breaker = new Breaker(options.breaker)
    const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1')
    this.#host = new Name(hostname, { everyMs: options.resolveEveryMs, resolve, clock, moved: () => this.#renew() })
    this.#connect = {
      timeout: options.connectTimeoutMs,
      // Left to itself, undici offers HTTP/2, with the more careful settings of neither.
      allowH2: options.http2,
      preferH2: options.http2,
      lookup: this.#host.lookup,
      autoSelectFamily: true,
      ...definedOnly({ ca: tls?.ca, cert: tls?.cert, key: tls?.key, rejectUnauthorized: tls?.rejectUnauthorized }),
    }
    this.#pool = this.#newPool()
    this.#health =
      options.health && new HealthCheck(options.health, (path, timeoutMs) => this.#probe(path, timeoutMs), options.clock)
  }

  /** Whether another request would have to wait, with as many waiting already as may. */
  get full(): boolean {
    return this.#slots.full
  }

  /** Whether it has been answering lately, so far as is known. */
  get isHealthy(): boolean {
    return (this.#health?.healthy ?? true) && this.#breaker.admits(this.#options.clock.now())
  }

  stats(): AddressStats {
    return { url: this.url, healthy: this.isHealthy, failures: this.#failures + (this.#health?.failures ?? 0) }
  }

  /** Rejects only when there was no place for the request before `ending` was aborted. */
  async ask(request: OriginRequest, ending: AbortSignal, started: () => void): Promise<Attempt> {
    const { clock, prepare, name, lenientTransferCodings } = this.#options
    this.#host.refresh()
    const { target, fields } = await prepare(request, this.#options.url)
    await this.#slots.take(ending)
    const settle = this.#breaker.begin(clock.now())
    const exchange = new HttpExchange(name, request, lenientTransferCodings, { started, ended: () => this.#slots.release() })
    ending.addEventListener('abort', () => exchange.abort(ending.reason), { once: true })
    this.#pool.dispatch(this.#dispatched(request, target, fields), exchange)
    try {
      const response = await exchange.head.promise
      settle('answered', clock.now())
      return { response }
    } catch (error) {
      const { foundClosed, isRepeatable } = exchange
      // What ends an upload may be the client's doing, and a connection may have been idle for too long.
      const isFailure = (error as CdnError).source === 'origin' && request.body === undefined && !foundClosed
      settle(isFailure ? 'failed' : 'left', clock.now())
      if (isFailure) this.#failures++
      return { error, foundClosed, isRepeatable }
    }
  }

  /** Asks for another protocol, on a connection of its own. */
  async upgrade(request: OriginRequest, signal: AbortSignal): Promise<OriginUpgrade> {
    const { name, url, host, tls, headTimeoutMs, prepare } = this.#options
    const { target, fields } = await prepare(request, url)
    const named = withField(fields, 'host', host === 'client' ? request.authority : (host ?? url.host))
    return askForUpgrade(
      { name, base: new URL(url.origin), timeoutMs: headTimeoutMs, maxHeadBytes: MAX_HEAD_BYTES, tls, lookup: this.#host.lookup },
      { path: target, method: request.method, fields: named },
      signal,
    )
  }

  async close(): Promise<void> {
    this.#health?.stop()
    await Promise.all([this.#pool, ...this.#leaving, ...this.#checks].map((each) => each.destroy()))
  }

  #dispatched(request: OriginRequest, target: string, fields: Fields): Dispatcher.DispatchOptions {
    const { host, url, http2, tls } = this.#options
    const named = withField(fields, 'host', host === 'client' ? request.authority : (host ?? url.host))
    return {
      path: target,
      method: request.method as Dispatcher.HttpMethod,
      headers: http2 ? combined(named) : named,
      // undici takes any async iterable; its types name only Node's own streams.
      body: (request.body ?? null) as Dispatcher.DispatchOptions['body'] & object,
      // undici's types have forgotten it.
      ...definedOnly({ servername: tls?.servername }),
    }
  }

  #newPool(): Pool {
    const { url, connections, headTimeoutMs, bodyTimeoutMs } = this.#options
    return new Pool(url.origin, {
      connections,
      pipelining: 1,
      // undici wants whole milliseconds.
      headersTimeout: Math.ceil(headTimeoutMs),
      bodyTimeout: Math.ceil(bodyTimeoutMs),
      maxHeaderSize: MAX_HEAD_BYTES,
      allowH2: this.#options.http2,
      connect: this.#connect,
      factory: (origin, clientOptions) => new Connection(origin, clientOptions),
    })
  }

  /** Nothing new goes to where the host no longer is; what is under way there ends in peace. */
  #renew(): void {
    const old = this.#pool
    this.#pool = this.#newPool()
    this.#leaving.add(old)
    void old
      .close()
      .catch(() => undefined)
      .finally(() => this.#leaving.delete(old))
  }

  /** On a connection of its own: to get one is part of what is checked, and it waits behind nobody. */
  async #probe(path: string, timeoutMs: number): Promise<number> {
    const { name, url, clock, prepare, headTimeoutMs, bodyTimeoutMs, http2 } = this.#options
    const request = {
      method: 'GET',
      scheme: 'http',
      authority: url.host,
      target: path,
      fields: ['User-Agent', 'simple-cdn'],
    } as const
    const client = new Client(url.origin, {
      headersTimeout: Math.ceil(headTimeoutMs),
      bodyTimeout: Math.ceil(bodyTimeoutMs),
      maxHeaderSize: MAX_HEAD_BYTES,
      allowH2: http2,
      connect: this.#connect,
    })
    this.#checks.add(client)
    const exchange = new HttpExchange(name, request, false, { started: () => undefined, ended: () => undefined })
    const cancel = clock.after(timeoutMs, () =>
      exchange.abort(new CdnError('CDN_ORIGIN_TIMEOUT', `${name} sent no answer to a health check within ${timeoutMs} ms`)),
    )
    try {
      const { target, fields } = await prepare(request, url)
      client.dispatch(this.#dispatched(request, target, fields), exchange)
      return (await exchange.head.promise).status
    } finally {
      cancel()
      await client.destroy()
      this.#checks.delete(client)
    }
  }
}

/** One connection of the pool, and those that come after it in the same place. */
class Connection extends Client implements Carrier {
  isUsed = false

  constructor(url: URL, options: object) {
    super(url, options)
    this.on('connect', () => {
      this.isUsed = false
    })
  }

  use(): void {
    this.isUsed = true
  }

  override dispatch(options: Dispatcher.DispatchOptions, exchange: Dispatcher.DispatchHandler): boolean {
    if (exchange instanceof HttpExchange) exchange.connection = this
    return super.dispatch(options, exchange)
  }
}

/** Over HTTP/2 names are in lower case (RFC 9113 §8.2.1), and Node refuses some that come twice. */
function combined(fields: Fields): string[] {
  const values = new Map<string, string>()
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase()
    const before = values.get(name)
    values.set(
      name,
      before === undefined ? (fields[at + 1] as string) : `${before}${name === 'cookie' ? '; ' : ', '}${fields[at + 1]}`,
    )
  }
  return [...values].flat()
}

function definedOnly(options: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
