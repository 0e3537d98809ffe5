// What an origin's answer is to the cache before it is stored or passed on: its parts, its length, its end.
import { CdnError } from '../errors.ts'
import type { ByteRange } from '../http/body.ts'
import { type Fields, fieldValue, withoutFields } from '../http/fields.ts'
import { parseContentRange } from '../http/ranges.ts'
import { strongValidator } from '../http/validators.ts'
import type { OriginResponse } from '../origins/origin.ts'
import type { Incoming } from './assembly.ts'

const OF_A_PART: ReadonlySet<string> = new Set(['content-length', 'content-range'])

/** Enough to drain what is left of a response without giving its connection up. */
const WORTH_DRAINING = 64 * 1024

/**
 * What a 206 says about the whole, and which bytes of it come. `undefined` when it is not the part that was asked for, or nothing
 * ties it to the other parts of the same version.
 */
export function wholeOf(
  { fields, body }: OriginResponse,
  asked: ByteRange,
): { fields: Fields; status: 200; length: number; incoming: Incoming } | undefined {
  const came = parseContentRange(fieldValue(fields, 'content-range') ?? '')
  if (came?.length === undefined || came.first !== asked.first) return undefined
  if (came.last !== Math.min(asked.last, came.length - 1)) return undefined
  const isWhole = came.first === 0 && came.last === came.length - 1
  if (!isWhole && strongValidator(fields) === undefined) return undefined
  return {
    status: 200,
    fields: withoutFields(fields, OF_A_PART),
    length: came.length,
    incoming: { first: came.first, end: came.last + 1, source: body },
  }
}

export function bodyLength({ status, fields }: OriginResponse): number | undefined {
  if (status === 204) return 0
  const declared = fieldValue(fields, 'content-length')
  return declared === undefined || !/^\d+$/.test(declared) ? undefined : Number(declared)
}

/** Lets go of a response that nobody gets: to its end when that is near, so that its connection can be used again. */
export async function discard({ body }: OriginResponse): Promise<void> {
  let seen = 0
  try {
    for await (const chunk of body) {
      seen += chunk.byteLength
      if (seen > WORTH_DRAINING) return
    }
  } catch {
    // It was not wanted anyway.
  }
}

/** A client's body, up to so many bytes. Whatever ends it early is the client's doing. */
export function limited(body: AsyncIterable<Uint8Array>, fields: Fields, maxBytes: number): AsyncIterable<Uint8Array> {
  if (Number(fieldValue(fields, 'content-length') ?? 0) > maxBytes)
    throw new CdnError('CDN_BODY_TOO_LARGE', `more than ${maxBytes} bytes`)
  return (async function* () {
    let seen = 0
    try {
      for await (const chunk of body) {
        seen += chunk.byteLength
        if (seen > maxBytes) throw new CdnError('CDN_BODY_TOO_LARGE', `more than ${maxBytes} bytes`)
        yield chunk
      }
    } catch (error) {
      // Whatever ends a client's body early is the client's doing.
      throw error instanceof CdnError ? error : new CdnError('CDN_CLIENT_GONE', 'in the middle of its body', error)
    }
  })()
}
