// What an origin is: something that answers requests, over HTTP or in this process.
import type { Fields } from '../http/fields.ts'

export interface OriginRequest {
  readonly method: string
  /** The client's scheme and authority; an HTTP origin maps them to its own. */
  readonly scheme: 'http' | 'https'
  readonly authority: string
  /** Path and query, after rewrites. */
  readonly target: string
  readonly fields: Fields
  readonly body?: AsyncIterable<Uint8Array> | undefined
  /** Takes interim responses (1xx), which go on to the client and are never stored. */
  readonly onInterim?: ((status: number, fields: Fields) => void) | undefined
}

export interface OriginResponse {
  readonly status: number
  readonly fields: Fields
  /** Throws CDN_ORIGIN_BROKE_OFF or CDN_ORIGIN_TIMEOUT when it ends early. Leaving the loop early releases the connection. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface Origin {
  readonly name: string

  /**
   * Rejects with `CDN_ORIGIN_*` when there is no response at all. A 5xx is a response: whether that counts as failure
   * is policy, not transport.
   */
  fetch(request: OriginRequest, signal: AbortSignal): Promise<OriginResponse>

  close?(): Promise<void>
}
