// The files of a queue on disk: frames of lines with their numbers and a checksum, so that a torn end is known as one.
import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { Millis } from '../http/time.ts'
import { type Boot, type LogBatch, type Numbers, sha256 } from './batch.ts'

/** The few things that are asked of a file while it is written; tests pass one that fails. */
export interface SpoolFile {
  write(bytes: Uint8Array, at: number): Promise<void>
  truncate(length: number): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

export type OpenSpoolFile = (path: string) => Promise<SpoolFile>

/** @throws Error when there is such a file. */
export const openSpoolFile: OpenSpoolFile = async (path) => {
  const handle = await open(path, 'wx')
  return {
    async write(bytes, at) {
      // A disk that is nearly full takes a part, and refuses the rest the next time.
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, at + done)
        done += bytesWritten
      }
    },
    truncate: (length) => handle.truncate(length),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  }
}

/** The whole file, in `memory` when there is room for it, else in new memory. */
export async function readInto(path: string, memory: ArrayBuffer): Promise<Buffer> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const bytes = size > memory.byteLength ? Buffer.allocUnsafeSlow(size) : Buffer.from(memory, 0, size)
    let filled = 0
    for (let read = -1; filled < size && read !== 0; filled += read)
      read = (await file.read(bytes, filled, size - filled, filled)).bytesRead
    return bytes.subarray(0, filled)
  } finally {
    await file.close()
  }
}

/** What a file begins with. */
export interface SegmentHead extends Boot {
  readonly date: string
  readonly openedAt: Millis
}

const MAGIC = 0x53434c31
const HEAD = 0
const LINES = 1
const DROPPED = 2
const HEADER_BYTES = 28

/** Memory of exactly so many bytes. */
type Room = (bytes: number) => Buffer

/** magic u32, kind u8, first u48, count u40, length u32, crc u32: of what comes before it and the payload. */
function frame(kind: number, first: number, count: number, payload: string, room: Room = Buffer.allocUnsafe): Buffer {
  const length = Buffer.byteLength(payload)
  const bytes = room(HEADER_BYTES + length)
  bytes.write(payload, HEADER_BYTES)
  bytes.writeUInt32BE(MAGIC, 0)
  bytes.writeUInt32BE(kind, 4)
  bytes.writeUIntBE(first, 8, 6)
  bytes.writeUIntBE(count, 14, 6)
  bytes.writeUInt32BE(length, 20)
  bytes.writeUInt32BE(crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, 24))), 24)
  return bytes
}

export function headFrame(head: SegmentHead): Buffer {
  return frame(HEAD, 0, 0, JSON.stringify(head))
}

export function linesFrame(first: number, count: number, lines: string, room?: Room): Buffer {
  return frame(LINES, first, count, lines, room)
}

export function droppedFrame(first: number, count: number): Buffer {
  return frame(DROPPED, first, count, '')
}

export interface Segment {
  /** `undefined` when it holds no numbers at all. */
  readonly batch: LogBatch | undefined
  /** Bytes behind the last whole frame: the end of a file that was being written when the power went. */
  readonly torn: number
}

/** Takes `bytes` over, and puts the lines together there. `undefined` when the file does not begin as one of ours. */
export function parseSegment(bytes: Buffer): Segment | undefined {
  let head: SegmentHead | undefined
  const dropped: Numbers[] = []
  let [first, last, entries, at, length] = [-1, -1, 0, 0, 0]
  while (at + HEADER_BYTES <= bytes.byteLength) {
    const end = at + HEADER_BYTES + bytes.readUInt32BE(at + 20)
    if (bytes.readUInt32BE(at) !== MAGIC || end > bytes.byteLength) break
    const payload = bytes.subarray(at + HEADER_BYTES, end)
    if (crc32(payload, crc32(bytes.subarray(at, at + 24))) !== bytes.readUInt32BE(at + 24)) break
    const [kind, number, count] = [bytes.readUInt32BE(at + 4), bytes.readUIntBE(at + 8, 6), bytes.readUIntBE(at + 14, 6)]
    if (kind === HEAD) head = JSON.parse(payload.toString()) as SegmentHead
    else {
      if (first < 0) first = number
      last = number + count - 1
      if (kind === LINES) {
        // Never to the right of where it was.
        length += payload.copy(bytes, length)
        entries += count
      } else dropped.push([number, last, count])
    }
    at = end
  }
  if (head === undefined) return undefined
  if (first < 0) return { batch: undefined, torn: bytes.byteLength - at }
  const text = bytes.subarray(0, length)
  return { batch: { ...head, first, last, entries, dropped, text, sha256: sha256(text) }, torn: bytes.byteLength - at }
}
