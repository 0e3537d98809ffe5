// One segment file: a head, records one after the other, and at its end a list of them, so that opening it reads no bodies.
import { crc32 } from 'node:zlib'
import type { Files } from './files.ts'
import { HEADER_BYTES, MAGIC, provenHeader, type RecordHeader, recordBytes } from './record.ts'

const SEGMENT_MAGIC = 'scdnseg1'
const TRAILER_MAGIC = 'scdnend1'
/** What a segment begins with, and what ends the list of its records. */
export const HEAD_BYTES = 32
const TRAILER_BYTES = 32

/** Space on disk comes in blocks. */
const BLOCK = 4096

export interface Segment {
  readonly number: number
  readonly path: string
  readonly file: number
  readonly nonce: number
  /** Where the next record goes, or the list of them. */
  end: number
  count: number
  /** The headers of its records, while it is written to. */
  headers: Buffer | undefined
  /** Reads in progress: the file is closed after the last. */
  readers: number
  dropped: boolean
}

/** What the segment takes on disk, with the list of its records that is to come. */
export function footprint(segment: Segment): number {
  return blocks(segment.end + segment.count * HEADER_BYTES + TRAILER_BYTES)
}

export function blocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK
}

export function encodeHead(number: number, nonce: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(SEGMENT_MAGIC, 'latin1')
  head.writeUInt32LE(number, 8)
  head.writeUInt32LE(nonce, 12)
  head.writeUInt32LE(crc32(head.subarray(0, 28)), 28)
  return head
}

/** The segment's nonce, when the head is whole and of this segment. */
export function provenNonce(head: Buffer, number: number): number | undefined {
  if (head.byteLength < HEAD_BYTES || head.toString('latin1', 0, 8) !== SEGMENT_MAGIC) return undefined
  if (head.readUInt32LE(28) !== crc32(head.subarray(0, 28)) || head.readUInt32LE(8) !== number) return undefined
  return head.readUInt32LE(12)
}

/** The list of a segment's records and what proves it. */
export function encodeList(segment: Segment): Buffer[] {
  const headers = (segment.headers as Buffer).subarray(0, segment.count * HEADER_BYTES)
  const trailer = Buffer.alloc(TRAILER_BYTES)
  trailer.write(TRAILER_MAGIC, 'latin1')
  trailer.writeUInt32LE(segment.count, 8)
  trailer.writeUInt32LE(segment.end, 12)
  trailer.writeUInt32LE(segment.nonce, 16)
  trailer.writeUInt32LE(crc32(headers), 20)
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 28)), 28)
  return [headers, trailer]
}

/** Reads the list at the end of a file; `undefined` when there is none, or it is damaged. */
export async function readList(
  files: Files,
  file: number,
  fileBytes: number,
  nonce: number,
): Promise<{ headers: Buffer; end: number } | undefined> {
  if (fileBytes < HEAD_BYTES + TRAILER_BYTES) return undefined
  const trailer = Buffer.alloc(TRAILER_BYTES)
  if ((await files.read(file, trailer, fileBytes - TRAILER_BYTES)) < TRAILER_BYTES) return undefined
  if (trailer.toString('latin1', 0, 8) !== TRAILER_MAGIC || trailer.readUInt32LE(16) !== nonce) return undefined
  if (trailer.readUInt32LE(28) !== crc32(trailer.subarray(0, 28))) return undefined
  const [bytes, end] = [trailer.readUInt32LE(8) * HEADER_BYTES, trailer.readUInt32LE(12)]
  if (end + bytes + TRAILER_BYTES !== fileBytes) return undefined
  const headers = Buffer.allocUnsafeSlow(bytes)
  if ((await files.read(file, headers, end)) < bytes || crc32(headers) !== trailer.readUInt32LE(20)) return undefined
  return { headers, end }
}

/**
 * Finds the records of a file that has no list, as a killed process leaves it. What is damaged in the middle is passed over: a
 * removal that stands behind it must not be lost. What follows the last whole record is torn, and cut by the caller.
 */
export async function scan(
  files: Files,
  file: number,
  fileBytes: number,
  nonce: number,
): Promise<{ headers: Buffer; end: number; gaps: number }> {
  const window = Buffer.allocUnsafeSlow(1024 * 1024)
  let start = 0
  let filled = 0
  /** Makes sure that `window` has the bytes at an offset, so many if the file has them. */
  const load = async (at: number, bytes: number): Promise<void> => {
    if (at >= start && Math.min(at + bytes, fileBytes) <= start + filled) return
    start = at
    filled = await files.read(file, window.subarray(0, Math.min(window.byteLength, Math.max(0, fileBytes - at))), at)
  }

  const found: Buffer[] = []
  let gaps = 0
  let end = HEAD_BYTES
  let at = HEAD_BYTES
  while (at + HEADER_BYTES <= fileBytes) {
    await load(at, HEADER_BYTES)
    const bytes = window.subarray(0, filled)
    const header = provenHeader(bytes, at - start, nonce, at)
    if (header !== undefined && at + recordBytes(header) <= fileBytes) {
      if (at !== end) gaps++
      found.push(Buffer.from(bytes.subarray(at - start, at - start + HEADER_BYTES)))
      at += recordBytes(header)
      end = at
      continue
    }
    const next = bytes.indexOf(MAGIC, at - start + 1)
    // Without one in this window, the next may begin in its last bytes.
    at = next >= 0 ? start + next : Math.max(at + 1, start + filled - MAGIC.byteLength + 1)
    if (next < 0 && filled < HEADER_BYTES) break
  }
  return { headers: Buffer.concat(found), end, gaps }
}

export function* headersIn(headers: Buffer, decode: (source: Buffer, offset: number) => RecordHeader): Iterable<RecordHeader> {
  for (let offset = 0; offset < headers.byteLength; offset += HEADER_BYTES) yield decode(headers, offset)
}
