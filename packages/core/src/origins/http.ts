// An origin over HTTP: one address or several, which of them is asked, and when a request is sent again.
import { CdnError } from '../errors.ts'
import { isSafe } from '../http/invalidation.ts'
import { type Clock, systemClock } from '../http/time.ts'
import { Address, type TlsOptions } from './address.ts'
import type { BreakerOptions } from './breaker.ts'
import { type BucketOptions, bucketOf } from './bucket.ts'
import { type AddressChoice, chooser } from './choice.ts'
import type { HealthOptions } from './health.ts'
import { type Resolve, systemResolve } from './names.ts'
import type { Origin, OriginRequest, OriginResponse } from './origin.ts'

export interface WeightedUrl {
  readonly url: string
  /** Its share of the requests, next to the weights of the others. Default: 1. */
  readonly weight?: number | undefined
}

export interface HttpOriginOptions {
  /** Appears in errors and logs. */
  name: string
  /** "http://host:port" or "https://…", or several; a path is put before that of every request. */
  url: string | readonly (string | WeightedUrl)[]
  /** Which of several addresses is asked. Default: "round-robin". */
  choice?: AddressChoice | undefined
  /** Host to name in requests. Default: that of the address. "client" passes on the client's. */
  host?: string | undefined
  /** Longest wait for a connection, in milliseconds. Default: 5,000. */
  connectTimeoutMs?: number | undefined
  /**
   * Longest wait for the head of the response, with everything before it, in milliseconds. For requests with a body: for a
   * connection, and again from the end of the body. Default: 30,000.
   */
  headTimeoutMs?: number | undefined
  /** Longest silence in the middle of a body, in milliseconds. Default: 30,000. */
  bodyTimeoutMs?: number | undefined
  /**
   * Most connections to an address at a time, each with one request. Four times as many more requests may wait; beyond that
   * they fail at once. Default: 256.
   */
  connections?: number | undefined
  /** How often a safe request is sent again, when no byte of a response has come. Default: 1. */
  retries?: number | undefined
  /** Takes HTTP/2 where it is offered, over TLS. `connections` is then how many requests are under way at a time. Default: false. */
  http2?: boolean | undefined
  tls?: TlsOptions | undefined
  /** After how many milliseconds the host names of addresses are looked up again. Default: 10,000. */
  resolveEveryMs?: number | undefined
  /** Default: addresses are not checked. */
  health?: HealthOptions | undefined
  breaker?: BreakerOptions | undefined
  /** Makes it a private bucket, for GET and HEAD. */
  s3?: BucketOptions | undefined
  /** Passes on transfer codings that are not understood, as if there were none. Default: they are refused (RFC 9112 §6.1). */
  lenientTransferCodings?: boolean | undefined
  /** How host names become IP addresses. Default: the operating system's way. */
  resolve?: Resolve | undefined
  /** For pauses and health checks; timeouts of requests are those of the machine. Default: the machine's. */
  clock?: Clock | undefined
}

/** RFC 9110 §9.2.2. TRACE is never passed on. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

export function httpOrigin(options: HttpOriginOptions): Origin {
  const { name, headTimeoutMs = 30_000, retries = 1, clock = systemClock } = options
  const bucket = options.s3 && bucketOf(name, options.s3, clock)
  const urls = typeof options.url === 'string' ? [options.url] : options.url
  const addresses = urls.map((each) => {
    const { url, weight = 1 } = typeof each === 'string' ? { url: each } : each
    const parsed = new URL(url)
    return new Address({
      name,
      url: bucket?.located(parsed) ?? parsed,
      weight,
      host: options.host,
      connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
      headTimeoutMs,
      bodyTimeoutMs: options.bodyTimeoutMs ?? 30_000,
      connections: options.connections ?? 256,
      lenientTransferCodings: options.lenientTransferCodings ?? false,
      http2: options.http2 ?? false,
      tls: options.tls,
      resolve: options.resolve ?? systemResolve,
      resolveEveryMs: options.resolveEveryMs ?? 10_000,
      health: options.health,
      breaker: options.breaker,
      prepare:
        bucket?.signed ?? (({ target, fields }, { pathname }) => ({ target: pathname.replace(/\/$/, '') + target, fields })),
      clock,
    })
  })
  const choose = chooser<Address>(options.choice ?? 'round-robin')

  /** An address that has not been tried before one that has, a healthy one before one that is not: when none is, all may be. */
  const next = (key: string, tried: ReadonlySet<Address>): Address => {
    const [only] = addresses
    if (addresses.length === 1 && only !== undefined && !only.full) return only
    const free = addresses.filter((each) => !each.full)
    if (free.length === 0) throw new CdnError('CDN_ORIGIN_UNREACHABLE', `${name} has too many requests waiting already`)
    const untried = free.filter((each) => !tried.has(each))
    const healthy = untried.filter((each) => each.isHealthy)
    return choose([healthy, untried, free.filter((each) => each.isHealthy), free].find(({ length }) => length > 0) ?? free, key)
  }

  const ask = async (request: OriginRequest, ending: AbortSignal, started: () => void): Promise<OriginResponse> => {
    const tried = new Set<Address>()
    let address = next(request.key ?? request.target, tried)
    for (let sent = 1; ; sent++) {
      const attempt = await address.ask(request, ending, started)
      if ('response' in attempt) return attempt.response
      ending.throwIfAborted()
      const isOld = attempt.foundClosed && sent === 1
      if (!isOld) tried.add(address)
      const may = isOld
        ? isIdempotent(request)
        : attempt.isRepeatable && sent <= retries && request.body === undefined && isSafe(request.method)
      if (!may) throw attempt.error
      if (!isOld) address = next(request.key ?? request.target, tried)
    }
  }

  return {
    name,
    async fetch(request, signal) {
      const refusal = bucket?.refusal(request)
      if (refusal !== undefined) return refusal
      const ending = new AbortController()
      const leave = (): void => ending.abort(new CdnError('CDN_CLIENT_GONE'))
      if (signal.aborted) leave()
      signal.addEventListener('abort', leave, { once: true })
      const timeout = setTimeout(() => ending.abort(late(name, headTimeoutMs)), headTimeoutMs)
      // An upload takes as long as it takes; undici counts from its end.
      const started = (): void => {
        if (request.body !== undefined) clearTimeout(timeout)
      }
      try {
        const response = await ask(request, ending.signal, started)
        return bucket?.answered(response) ?? response
      } finally {
        clearTimeout(timeout)
        // From here on, leaving the body's loop is what ends it.
        signal.removeEventListener('abort', leave)
      }
    },
    ...(bucket === undefined && {
      upgrade: (request: OriginRequest, signal: AbortSignal) =>
        next(request.key ?? request.target, new Set()).upgrade(request, signal),
    }),
    isHealthy: () => addresses.some((each) => each.isHealthy),
    stats: () => ({ addresses: addresses.map((each) => each.stats()) }),
    async close() {
      await Promise.all(addresses.map((each) => each.close()))
    },
  }
}

/** What means the same sent twice, and still can be: a body has been read by then (RFC 9110 §9.2.2). */
function isIdempotent({ method, body }: OriginRequest): boolean {
  return body === undefined && IDEMPOTENT.has(method)
}

function late(name: string, ms: number): CdnError {
  return new CdnError('CDN_ORIGIN_TIMEOUT', `${name} sent no response within ${ms} ms`)
}
