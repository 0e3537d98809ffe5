// What a message carries after its fields, and parts of it.

/** Content as bytes: in one piece, or as it comes. A piece that comes may be written over as soon as the next one is asked for. */
export type Body = Uint8Array | Coming

export interface Coming extends AsyncIterable<Uint8Array> {
  /** Its first bytes are read as soon as they are asked for, and nobody has to send them first: a head may wait for them. */
  readonly isNear?: boolean
}

/** A body that is all there, in several pieces that stay as they are. */
export class Pieces implements AsyncIterable<Uint8Array> {
  readonly pieces: readonly Uint8Array[]
  readonly byteLength: number

  constructor(pieces: readonly Uint8Array[]) {
    this.pieces = pieces
    this.byteLength = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    yield* this.pieces
  }
}

/** For a body that nobody is going to read: whoever makes it is told. */
export function letGo(body: Body | undefined): void {
  if (body !== undefined && !(body instanceof Uint8Array)) leave(body[Symbol.asyncIterator]())
}

/** Ends a body in the middle. What goes wrong in letting go of something is nobody's concern any more. */
export function leave(iterator: AsyncIterator<Uint8Array>): void {
  void iterator.return?.().catch(() => undefined)
}

/** Offsets in bytes, both inclusive; `first <= last`. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}
