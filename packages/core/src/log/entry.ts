// One wide entry for each client request, written when the last byte is out or the client has gone.
import type { ErrorCode } from '../errors.ts'
import type { Millis } from '../http/time.ts'
import type { Forward } from '../policy/decide.ts'
import type { Reason } from '../policy/reasons.ts'
import type { Geo } from './geo.ts'

export interface LogEntry {
  /** When the request arrived. */
  readonly at: Millis
  /** Which process wrote this, and the how-manieth of its entries it is: a gap shows that one was lost. */
  readonly instance: string
  readonly sequence: number
  readonly machine: string
  readonly region: string
  /** "inner" when another cache had the request before: what is counted for clients is counted at the edge. */
  readonly tier: 'edge' | 'inner'
  readonly method: string
  /** As the client asked for it, absolute. */
  readonly url: string
  readonly httpVersion: string
  readonly clientAddress: string | undefined
  readonly userAgent: string | undefined
  readonly referer: string | undefined
  /** The request's Range, as it came. */
  readonly range: string | undefined
  readonly route: string
  readonly status: number
  /** Body bytes handed to the client's connection. */
  readonly bytes: number
  /** The response's Content-Type. */
  readonly contentType: string | undefined
  /** Whether the whole response went out. */
  readonly complete: boolean
  readonly cache: CacheOutcome
  /** What ended or replaced the response; docs/errors.md lists the codes. */
  readonly error?: { readonly code: ErrorCode; readonly message: string } | undefined
  /** Milliseconds from arrival to each of these moments, as far as the request got there. */
  readonly timing: { readonly originAnswered?: number | undefined; readonly lastByte: number }
  /** Where the client is, as far as `located()` knows. */
  readonly geo?: Geo | undefined
  /** This entry stands for so many, of which the others were left out by sampling. */
  readonly sampleRate?: number | undefined
}

/** What the cache did and why: the same value that Cache-Status and `explain` show. */
export interface CacheOutcome {
  readonly key: string
  readonly action: 'serve' | 'revalidate' | 'fetch' | 'refuse' | 'respond'
  readonly reason: Reason
  /** Answered without asking the origin. */
  readonly hit: boolean
  readonly fwd?: Forward | undefined
  /** The status that the origin answered with, when it was asked. */
  readonly fwdStatus?: number | undefined
  readonly stored: boolean
  /** Why a response that was fetched was not stored. */
  readonly notStored?: Reason | undefined
  /** Waited for another request's answer instead of asking again. */
  readonly collapsed: boolean
  /** Remaining freshness lifetime of what was sent, in seconds; negative when stale (RFC 9211 §2.4). */
  readonly ttl?: number | undefined
}
