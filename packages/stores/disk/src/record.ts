// What a segment consists of: records, each a header that proves itself, the metadata and the body.
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { LRUCache } from 'lru-cache'

/** A response: its metadata, and its body unless that is sliced. */
export const RESPONSE = 1
export const SLICE = 2
/** New metadata for a response whose body stays where it is. */
export const FRESHENED = 3
/** One response has left, or the slices that were written for it. */
export const REMOVED_ID = 4
/** Everything under a key has left. */
export const REMOVED_KEY = 5

export const HEADER_BYTES = 64

/** Begins every record; what looks for the next one after damage goes by it. */
export const MAGIC = Buffer.from([0xc5, 0x5d, 0x9b, 0x01])
const MAGIC_WORD = MAGIC.readUInt32LE(0)

export interface RecordHeader {
  readonly kind: number
  readonly idA: number
  readonly idB: number
  readonly keyA: number
  readonly keyB: number
  /** Stands for the selecting fields: of two responses with the same key and variant, the later replaces the other. */
  readonly variant: number
  /** Of a slice, its number; of a response, how many slices it has, 0 when it is kept in one piece. */
  readonly part: number
  readonly metaBytes: number
  readonly bodyBytes: number
  readonly metaCrc: number
  readonly bodySum: number
  /** Where in its segment the record begins. */
  readonly at: number
}

/** 64 bits of SHA-1: nobody who chooses a URL can choose which others it collides with, and ids are our own. */
export interface Hash {
  readonly a: number
  readonly b: number
}

/** A body in slices is asked for by the same id over and over. */
const recent = new LRUCache<string, Hash>({ max: 256 })

export function hashOf(text: string): Hash {
  const known = recent.get(text)
  if (known !== undefined) return known
  const digest = hash('sha1', text, 'buffer')
  const made = { a: digest.readUInt32LE(0), b: digest.readUInt32LE(4) }
  recent.set(text, made)
  return made
}

export function recordBytes({ metaBytes, bodyBytes }: { readonly metaBytes: number; readonly bodyBytes: number }): number {
  return HEADER_BYTES + metaBytes + bodyBytes
}

/** `nonce` is the segment's own: bytes in a body cannot pass for a record, as nobody who sends a body knows it. */
export function encodeHeader(header: RecordHeader, nonce: number, target: Buffer, offset: number): void {
  target.writeUInt32LE(MAGIC_WORD, offset)
  target.writeUInt32LE(header.kind, offset + 4)
  target.writeUInt32LE(header.idA, offset + 8)
  target.writeUInt32LE(header.idB, offset + 12)
  target.writeUInt32LE(header.keyA, offset + 16)
  target.writeUInt32LE(header.keyB, offset + 20)
  target.writeUInt32LE(header.variant, offset + 24)
  target.writeUInt32LE(header.part, offset + 28)
  target.writeUInt32LE(header.metaBytes, offset + 32)
  target.writeUInt32LE(header.bodyBytes, offset + 36)
  target.writeUInt32LE(header.metaCrc, offset + 40)
  target.writeUInt32LE(header.bodySum, offset + 44)
  target.writeUInt32LE(nonce, offset + 48)
  target.writeUInt32LE(header.at, offset + 52)
  target.writeUInt32LE(0, offset + 56)
  target.writeUInt32LE(crc32(target.subarray(offset, offset + 60)), offset + 60)
}

/** The header at an offset of `source`, without proof: for bytes that were proven as a whole. */
export function decodeHeader(source: Buffer, offset: number): RecordHeader {
  return {
    kind: source.readUInt32LE(offset + 4),
    idA: source.readUInt32LE(offset + 8),
    idB: source.readUInt32LE(offset + 12),
    keyA: source.readUInt32LE(offset + 16),
    keyB: source.readUInt32LE(offset + 20),
    variant: source.readUInt32LE(offset + 24),
    part: source.readUInt32LE(offset + 28),
    metaBytes: source.readUInt32LE(offset + 32),
    bodyBytes: source.readUInt32LE(offset + 36),
    metaCrc: source.readUInt32LE(offset + 40),
    bodySum: source.readUInt32LE(offset + 44),
    at: source.readUInt32LE(offset + 52),
  }
}

/** The header at an offset of `source`, when it is whole, of this segment, and where it says it is. */
export function provenHeader(source: Buffer, offset: number, nonce: number, at: number): RecordHeader | undefined {
  if (offset + HEADER_BYTES > source.byteLength) return undefined
  if (source.readUInt32LE(offset) !== MAGIC_WORD || source.readUInt32LE(offset + 48) !== nonce) return undefined
  if (source.readUInt32LE(offset + 52) !== at) return undefined
  if (source.readUInt32LE(offset + 60) !== crc32(source.subarray(offset, offset + 60))) return undefined
  return decodeHeader(source, offset)
}
