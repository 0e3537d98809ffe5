// One request on its way through undici: its answer as an origin's response, or as the error that says what went wrong.
import type { Dispatcher } from 'undici'
import { CdnError } from '../errors.ts'
import { type Fields, fieldLines, fieldValue } from '../http/fields.ts'
import type { OriginRequest, OriginResponse } from './origin.ts'

/** More than so many 1xx before the final response are an attack or a fault. */
const MAX_INTERIM = 32
/** How much of a body waits here for its reader before the connection is paused. */
const WINDOW = 128 * 1024

export interface Progress {
  /** The request is on a connection. */
  started(): void
  /** The connection is free again, or gone. */
  ended(): void
}

/** What carries requests, and whether it has carried one already. */
export interface Carrier {
  readonly isUsed: boolean
  use(): void
}

/** The head as a promise, then the body as an iterable with a window. */
export class HttpExchange implements Dispatcher.DispatchHandler {
  readonly head = Promise.withResolvers<OriginResponse>()
  /** The connection had been used before, and ended without a byte of a response: most likely it had ended before it was asked. */
  foundClosed = false
  /** It failed before a byte of a response, in a way that another connection may be spared. */
  isRepeatable = false
  connection: Carrier | undefined
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
    this.connection?.use()
    this.#progress.started()
  }

  onResponseStarted(): void {
    this.#begun = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const fields = decoded(controller.rawHeaders)
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
    this.isRepeatable = !this.#begun && this.#failure === undefined && isOfTheConnection(error)
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
/** Whether it is about the connection, not about how undici was asked or closed, nor about what came on it. */
function isOfTheConnection({ code = '' }: Error & { code?: string }): boolean {
  return CONNECTION.has(code) || (code !== '' && !/^(UND_ERR_|CDN_|HPE_)/.test(code))
}

/** UND_ERR_INFO is how an HTTP/2 stream ends that the origin did not begin to answer. */
const CONNECTION: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_INFO'])
const SPACE = 32
const TAB = 9

/** Over HTTP/1.1, undici hands on what came, part by part; over HTTP/2 what Node makes of it, with names in lower case. */
type RawFields = Dispatcher.DispatchController['rawHeaders']

function decoded(raw: RawFields): Fields {
  if (!Array.isArray(raw)) {
    const combined = Object.entries(raw ?? {})
    return combined.flatMap(([name, value]) => [value ?? []].flat().flatMap((line) => [name, String(line)]))
  }
  return raw.map((part) => {
    if (typeof part === 'string') return part
    // White space around a value is no part of it (RFC 9110 §5.5); undici leaves what comes after it.
    let end = part.length
    while (end > 0 && (part[end - 1] === SPACE || part[end - 1] === TAB)) end--
    return part.toString('latin1', 0, end)
  })
}
