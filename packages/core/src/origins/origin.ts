// What an origin is: something that answers requests, over HTTP or in this process.
import type { Duplex } from 'node:stream'
import { type Fields, fieldValue, isFieldName, isFieldValue } from '../http/fields.ts'

export interface OriginRequest {
  readonly method: string
  /** The client's scheme and authority; an HTTP origin maps them to its own. */
  readonly scheme: 'http' | 'https'
  readonly authority: string
  /** Path and query, after rewrites. */
  readonly target: string
  readonly fields: Fields
  readonly body?: AsyncIterable<Uint8Array> | undefined
  /** What the answer is stored under. Addresses that are chosen by hash are chosen by it. */
  readonly key?: string | undefined
  /** Takes interim responses (1xx), which go on to the client and are never stored. */
  readonly onInterim?: ((status: number, fields: Fields) => void) | undefined
}

export interface OriginResponse {
  readonly status: number
  readonly fields: Fields
  /** Throws CDN_ORIGIN_BROKE_OFF or CDN_ORIGIN_TIMEOUT when it ends early. Leaving the loop early releases the connection. */
  readonly body: AsyncIterable<Uint8Array>
  /** The fields that came after the body, once that has ended. */
  trailers?(): Fields
}

export interface AddressStats {
  readonly url: string
  /** `false`: requests go elsewhere as long as there is somewhere else. */
  readonly healthy: boolean
  /** Requests without an answer and health checks that were not good, since the start. */
  readonly failures: number
}

export interface OriginStats {
  readonly addresses: readonly AddressStats[]
  /** Requests that its fallback answered. */
  readonly fellBack?: number
}

/** `tunnel` is the connection itself, when it has changed its protocol (101); what came after the head is still to be read from it. */
export interface OriginUpgrade extends OriginResponse {
  readonly tunnel?: Duplex | undefined
}

export interface Origin {
  readonly name: string

  /**
   * Rejects with `CDN_ORIGIN_*` when there is no response at all. A 5xx is a response: whether that counts as failure
   * is policy, not transport.
   */
  fetch(request: OriginRequest, signal: AbortSignal): Promise<OriginResponse>

  /** `false`: it has been failing, so far as is known, and who has somebody else to ask had better ask there first. */
  isHealthy?(): boolean

  stats?(): OriginStats

  /**
   * Asks for another protocol, which the fields name. What is no 101 is a response like any other. Without this method, such requests
   * are asked as if they had not named a protocol.
   */
  upgrade?(request: OriginRequest, signal: AbortSignal): Promise<OriginUpgrade>

  close?(): Promise<void>
}

/** What keeps a response from going on to anybody. Over HTTP the parser has seen to most of it; other origins make their own. */
export function responseFault({ status, fields }: Pick<OriginResponse, 'status' | 'fields'>): string | undefined {
  if (!Number.isInteger(status) || status < 200 || status > 999) return `answered with status ${status}`
  const length = fieldValue(fields, 'content-length')
  if (length !== undefined && !/^\d+$/.test(length)) return `sent ${JSON.stringify(length)} as a length`
  // Fly Proxy obeys it, wherever it comes from, and would have another application answer for this one.
  const type = fieldValue(fields, 'content-type')
  if (type !== undefined && /application\/vnd\.fly\.replay/i.test(type)) return 'sent an instruction to Fly Proxy'
  return fieldFault(fields)
}

/** The same for an interim response (1xx). It changes no protocol: nobody asked for that (RFC 9110 §15.2.2). */
export function isInterim(status: number, fields: Fields): boolean {
  return Number.isInteger(status) && status >= 100 && status < 200 && status !== 101 && fieldFault(fields) === undefined
}

function fieldFault(fields: Fields): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    if (!isFieldName(name)) return `sent a field called ${JSON.stringify(name)}`
    if (!isFieldValue(fields[at + 1] as string)) return `sent characters that no field may have, in ${name}`
  }
  return undefined
}
