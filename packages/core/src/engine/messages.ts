// The requests and responses the engine works with. Adapters translate to and from other people's types.
import type { Duplex } from 'node:stream'
import type { Body } from '../http/body.ts'
import type { Fields } from '../http/fields.ts'

export interface CdnRequest {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Host and port as the client named them. */
  readonly authority: string
  /** Path and query as the client sent them, starting with "/". */
  readonly target: string
  readonly httpVersion: string
  readonly fields: Fields
  readonly body?: AsyncIterable<Uint8Array> | undefined
  readonly clientAddress?: string | undefined
  /** Aborted when the client has gone. Read only when somebody has to wait, so an adapter may make it on demand. */
  readonly signal: AbortSignal
  /** Takes interim responses (1xx), where the protocol can carry them. */
  readonly onInterim?: ((status: number, fields: Fields) => void) | undefined
  /** The protocol that this connection is to speak from now on, where the adapter can pass that on (RFC 9110 §7.8). */
  readonly upgrade?: string | undefined
}

export interface Kept {
  /** Who has made them. */
  by?: object
  bytes?: Uint8Array
}

export interface CdnResponse {
  readonly status: number
  /** Everything to be sent, in order. Framing is the adapter's: Transfer-Encoding and Connection are never here. */
  readonly fields: Fields
  /**
   * `undefined`: the message has no body. A body that throws was broken off, and has to reach the client as broken. Of one that comes,
   * a piece is written over as soon as the next is asked for, or the end: it has to have been sent, or copied, by then.
   */
  readonly body: Body | undefined
  /**
   * The same object for responses that are the same in everything that is sent: status, fields and body, all bytes. An adapter may keep there
   * what it makes of them.
   */
  readonly kept?: Kept | undefined
  /** The fields to send after the body, where the protocol can carry them: asked for when that has ended. */
  readonly trailers?: (() => Fields) | undefined
  /** The origin's end of a connection that has changed its protocol: with status 101, and only when `upgrade` was asked for. */
  readonly tunnel?: Duplex | undefined
  /**
   * What to send in place of this response when it cannot be sent: the error as a response, in the log as well. Only
   * before anything of it is out.
   */
  fail(error: unknown): CdnResponse
  /**
   * The adapter calls this once, when the last byte is out or the client has gone. The log entry is written then; `error`
   * is what the body was broken off with.
   */
  finished(bytes: number, complete: boolean, error?: unknown): void
}

export interface Handler {
  /**
   * Answers a request. Never rejects: what goes wrong becomes a response with an error status. A hit in memory is
   * answered at once, everything else by a promise.
   */
  handle(request: CdnRequest): CdnResponse | Promise<CdnResponse>

  /**
   * Answers a request whose answer is at hand: a hit, a redirect, a refusal. Its body is bytes, Pieces of them, or, of a body in slices that
   * a store has without a gap, what is read as it goes out; then the first bytes are near, and Content-Length says how many there are.
   * `undefined`: it is not, nothing has been done or counted, and `handle` is for it.
   */
  handleNow(request: CdnRequest): CdnResponse | undefined

  /** Whether any route is for this request. Middleware hands on what has none. */
  matches(
    request: Pick<CdnRequest, 'method' | 'scheme' | 'authority' | 'target' | 'fields'> &
      Partial<Pick<CdnRequest, 'clientAddress'>>,
  ): boolean
}
