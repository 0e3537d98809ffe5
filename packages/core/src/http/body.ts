// What a message carries after its fields, and parts of it.

/** Content as bytes: in one piece, or as it comes. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>

/** Offsets in bytes, both inclusive; `first <= last`. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}
