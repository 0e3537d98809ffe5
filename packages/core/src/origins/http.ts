// An origin over HTTP/1.1, on an undici pool.
import { Client, type Dispatcher, Pool } from 'undici'
import { CdnError } from '../errors.ts'
import { type Fields, fieldLines, fieldValue, withField } from '../http/fields.ts'
import type { Origin, OriginRequest, OriginResponse } from './origin.ts'
import { Slots } from './slots.ts'
import { askForUpgrade } from './upgrade.ts'

export interface HttpOriginOptions {
  /** Appears in errors and logs. */
  name: string
  /** "http://host:port" or "https://…"; a path is put before that of every request. */
  url: string
  /** Host to name in requests. Default: that of `url`. "client" passes on the client's. */
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
  /** Most connections at a time. Four times as many more requests may wait; beyond that they fail at once. Default: 256. */
  connections?: number | undefined
  /** Passes on transfer codings that are not understood, as if there were none. Default: they are refused (RFC 9112 §6.1). */
  lenientTransferCodings?: boolean | undefined
}

/** More requests than this, for each connection, do not wait but fail. */
const WAITING_PER_CONNECTION = 4
/** More than so many 1xx before the final response are an attack or a fault. */
const MAX_INTERIM = 32
const MAX_HEAD_BYTES = 64 * 1024
/** How much of a body waits here for its reader before the connection is paused. */
const WINDOW = 128 * 1024
/** RFC 9110 §9.2.2. TRACE is never passed on. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

export function httpOrigin(options: HttpOriginOptions): Origin {
  const { name, host, connectTimeoutMs = 5_000, headTimeoutMs = 30_000, bodyTimeoutMs = 30_000, connections = 256 } = options
  const base = new URL(options.url)
  const prefix = base.pathname.replace(/\/$/, '')
  const pool = new Pool(base.origin, {
    connections,
    pipelining: 1,
    // undici wants whole milliseconds.
    headersTimeout: Math.ceil(headTimeoutMs),
    bodyTimeout: Math.ceil(bodyTimeoutMs),
    maxHeaderSize: MAX_HEAD_BYTES,
    // Left to itself, undici offers HTTP/2, which hands fields over in another shape and has no connections to count.
    connect: { timeout: connectTimeoutMs, allowH2: false },
    factory: (url, clientOptions) => new Connection(url, clientOptions),
  })
  // The pool's own queue has no bound, and whoever leaves it takes a connection along.
  const slots = new Slots(connections, connections * WAITING_PER_CONNECTION)

  const ask = async (request: OriginRequest, ending: AbortSignal, started: () => void): Promise<Exchange> => {
    await slots.take(ending)
    const exchange = new Exchange(name, request, options.lenientTransferCodings ?? false, {
      started,
      ended: () => slots.release(),
    })
    ending.addEventListener('abort', () => exchange.abort(ending.reason), { once: true })
    pool.dispatch(
      {
        path: prefix + request.target,
        method: request.method as Dispatcher.HttpMethod,
        headers: withField(request.fields, 'host', host === 'client' ? request.authority : (host ?? base.host)),
        // undici takes any async iterable; its types name only Node's own streams.
        body: (request.body ?? null) as Dispatcher.DispatchOptions['body'] & object,
      },
      exchange,
    )
    return exchange
  }

  return {
    name,
    async fetch(request, signal) {
      if (slots.full) throw new CdnError('CDN_ORIGIN_UNREACHABLE', `${name} has too many requests waiting already`)
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
        const first = await ask(request, ending.signal, started)
        return await first.head.promise.catch(async (error) => {
          if (!first.foundClosed || !isRepeatable(request)) throw error
          const second = await ask(request, ending.signal, started)
          return second.head.promise
        })
      } finally {
        clearTimeout(timeout)
        // From here on, leaving the body's loop is what ends it.
        signal.removeEventListener('abort', leave)
      }
    },
    upgrade: (request, signal) =>
      askForUpgrade(
        { name, base, timeoutMs: headTimeoutMs, maxHeadBytes: MAX_HEAD_BYTES },
        {
          path: prefix + request.target,
          method: request.method,
          fields: withField(request.fields, 'host', host === 'client' ? request.authority : (host ?? base.host)),
        },
        signal,
      ),
    close: () => pool.destroy(),
  }
}

/** What may be asked twice, and still can: a body has been read by then (RFC 9110 §9.2.2). */
function isRepeatable({ method, body }: OriginRequest): boolean {
  return body === undefined && IDEMPOTENT.has(method)
}

/** One connection of the pool, and those that come after it in the same place. */
class Connection extends Client {
  /** Whether it has carried a request already. */
  isUsed = false

  constructor(url: URL, options: object) {
    super(url, options)
    this.on('connect', () => {
      this.isUsed = false
    })
  }

  override dispatch(options: Dispatcher.DispatchOptions, exchange: Dispatcher.DispatchHandler): boolean {
    if (exchange instanceof Exchange) exchange.connection = this
    return super.dispatch(options, exchange)
  }
}

interface Progress {
  /** The request is on a connection. */
  started(): void
  /** The connection is free again, or gone. */
  ended(): void
}

/** One request on its way through undici: the head as a promise, then the body as an iterable with a window. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly head = Promise.withResolvers<OriginResponse>()
  /** The connection had been used before, and ended without a byte of a response: most likely it had ended before it was asked. */
  foundClosed = false
  connection: Connection | undefined
  readonly #origin: string
  readonly #onInterim: OriginRequest['onInterim']
  readonly #lenient: boolean
  readonly #progress: Progress
  #controller: Dispatcher.DispatchController | undefined
  #interims = 0
  #onUsedConnection = false
  #begun = false
  #answered = false
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #receivedBytes = 0
  #declaredBytes = Number.NaN
  #trailers: Fields = []
  #ended = false
  #failure: CdnError | undefined
  #wake: (() => void) | undefined

  constructor(origin: string, request: OriginRequest, lenient: boolean, progress: Progress) {
    this.#origin = origin
    this.#onInterim = request.onInterim
    this.#lenient = lenient
    this.#progress = progress
  }

  abort(reason: CdnError): void {
    this.#fail(reason)
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#failure !== undefined) return void controller.abort(this.#failure)
    this.#onUsedConnection = this.connection?.isUsed ?? false
    if (this.connection !== undefined) this.connection.isUsed = true
    this.#progress.started()
  }

  onResponseStarted(): void {
    this.#begun = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const fields = decoded(controller.rawHeaders as Buffer[])
    // Nobody asked for another protocol, and there are no statuses below 100 (RFC 9110 §15.2.2, §15).
    if (status === 101 || status < 100) return void this.#refuse(`answered with status ${status}`)
    if (status < 200) {
      if (++this.#interims > MAX_INTERIM) return void this.#refuse(`sent more than ${MAX_INTERIM} interim responses`)
      this.#onInterim?.(status, fields)
      return
    }
    const codings = fieldLines(fields, 'transfer-encoding')
    if (!this.#lenient && codings.length > 0 && codings.join(',').trim().toLowerCase() !== 'chunked')
      return void this.#refuse(`used the transfer coding "${codings.join(', ')}"`)
    this.#answered = true
    this.#declaredBytes = Number(fieldValue(fields, 'content-length') ?? Number.NaN)
    this.head.resolve({ status, fields, body: this.#body(), trailers: () => this.#trailers })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#receivedBytes += chunk.byteLength
    this.#queue.push(chunk)
    this.#queuedBytes += chunk.byteLength
    if (this.#queuedBytes >= WINDOW) controller.pause()
    this.#wake?.()
  }

  onResponseEnd(controller?: Dispatcher.DispatchController): void {
    this.#trailers = decoded((controller?.rawTrailers ?? []) as Buffer[])
    this.#ended = true
    this.#wake?.()
    this.#progress.ended()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    // undici takes white space after the digits of Content-Length for another digit (RFC 9110 §5.5 allows it there).
    if (error.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && this.#receivedBytes === this.#declaredBytes)
      return void this.onResponseEnd()
    this.foundClosed = this.#onUsedConnection && !this.#begun && CLOSED.has(error.code ?? '')
    this.#fail(this.#explained(error))
    this.#progress.ended()
  }

  #refuse(what: string): void {
    this.abort(new CdnError('CDN_ORIGIN_PROTOCOL', `${this.#origin} ${what}`))
  }

  #fail(error: CdnError): void {
    this.#failure ??= error
    if (!this.#answered) this.head.reject(this.#failure)
    this.#wake?.()
  }

  #explained(error: Error & { code?: string }): CdnError {
    if (error instanceof CdnError) return error
    const detail = `${this.#origin}: ${error.message}`
    if (TOO_LATE.has(error.code ?? '')) return new CdnError('CDN_ORIGIN_TIMEOUT', detail, error)
    if (this.#answered) return new CdnError('CDN_ORIGIN_BROKE_OFF', detail, error)
    // What has begun and came to no head is not HTTP, whatever the parser stumbled over.
    return new CdnError(this.#begun ? 'CDN_ORIGIN_PROTOCOL' : 'CDN_ORIGIN_UNREACHABLE', detail, error)
  }

  #body(): AsyncIterableIterator<Uint8Array> {
    const done = { done: true, value: undefined } as const
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: async () => {
        for (;;) {
          const value = this.#queue.shift()
          if (value !== undefined) {
            this.#queuedBytes -= value.byteLength
            if (this.#queuedBytes < WINDOW / 2) this.#controller?.resume()
            return { done: false, value }
          }
          if (this.#failure !== undefined) throw this.#failure
          if (this.#ended) return done
          const { promise, resolve } = Promise.withResolvers<void>()
          this.#wake = resolve
          await promise
        }
      },
      return: async () => {
        if (!this.#ended) this.abort(new CdnError('CDN_CLIENT_GONE'))
        this.#queue = []
        return done
      },
    }
  }
}

const TOO_LATE: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT'])
const CLOSED: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])
const SPACE = 32
const TAB = 9

function decoded(raw: readonly Buffer[]): Fields {
  return raw.map((part) => {
    // White space around a value is no part of it (RFC 9110 §5.5); undici leaves what comes after it.
    let end = part.length
    while (end > 0 && (part[end - 1] === SPACE || part[end - 1] === TAB)) end--
    return part.toString('latin1', 0, end)
  })
}

function late(name: string, ms: number): CdnError {
  return new CdnError('CDN_ORIGIN_TIMEOUT', `${name} sent no response within ${ms} ms`)
}
