// The log: records go to the end of the newest segment, the oldest segment goes when there is no room. One writer, in order.
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Files } from './files.ts'
import { segmentName, segmentNumbers } from './folder.ts'
import { Reads } from './reads.ts'
import { decodeHeader, encodeHeader, HEADER_BYTES, REMOVED_ID, REMOVED_KEY, type RecordHeader, recordBytes } from './record.ts'
import {
  blocks,
  encodeHead,
  encodeList,
  footprint,
  HEAD_BYTES,
  headersIn,
  provenNonce,
  readList,
  type Segment,
  scan,
} from './segment.ts'

/** What one write call takes at most, unless a single record is larger. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_RECORDS = 256
/** So that the list of a segment stays small whatever it holds. */
const SEGMENT_RECORDS = 65_536
const MOST_OWED = 10_000

export interface Entry {
  readonly header: Omit<RecordHeader, 'at'>
  readonly meta?: Uint8Array
  readonly body?: Uint8Array
  /** Asked just before a record that moves is written, when all earlier ones are applied. */
  readonly wanted?: () => boolean
}

interface Queued extends Entry {
  readonly bytes: number
  readonly settle: (applied: boolean) => void
}

export interface SegmentLogOptions {
  readonly folder: string
  readonly files: Files
  /** All segments together, in whole blocks. */
  readonly maxBytes: number
  readonly segmentBytes: number
  /** Records that wait to be written. */
  readonly queueBytes: number
  readonly syncs: boolean
  /** A record stands in the log. Called in the order of the log, at recovery too, and then unverified. */
  readonly apply: (header: RecordHeader, segment: number, verified: boolean) => boolean
  /** Moves what shall stay, gives up the rest, then calls `drop`. */
  readonly evict: (segment: Segment) => Promise<void>
  readonly onDamage: () => void
  readonly onMessage: (message: string) => void
}

export class SegmentLog {
  readonly #options: SegmentLogOptions
  readonly #segments = new Map<number, Segment>()
  /** Segments that are full, the oldest first. */
  readonly #full: Segment[] = []
  #head: Segment | undefined
  #next = 1
  #used = 0
  /** Lower than the option while the disk itself is full. */
  #maxBytes: number
  #largest = 0
  readonly #writes: Queued[] = []
  readonly #moves: Queued[] = []
  /** Removals that could not be written. They hold already; what is owed is that they hold after a restart. */
  readonly #owed: Queued[] = []
  #queuedBytes = 0
  #pumping = false
  #again = false
  #evicting = false
  /** What the first waiting write lacks. */
  #lacking = 0
  #failing = false
  #closed = false
  #dirty = false
  readonly #idle: (() => void)[] = []
  readonly #reads: Reads

  constructor(options: SegmentLogOptions) {
    this.#options = options
    this.#maxBytes = options.maxBytes
    this.#reads = new Reads(options.files, (segment) => this.#closeUnused(segment))
  }

  /** Bytes on disk, with what is set aside for lists of records. */
  get bytes(): number {
    return this.#used
  }

  get memoryBytes(): number {
    return this.#queuedBytes + (this.#head?.headers?.byteLength ?? 0) + 500 * this.#segments.size
  }

  /** Room that only moving records may take: what survives a segment is written before the segment goes. */
  get reserve(): number {
    const { maxBytes, segmentBytes } = this.#options
    return blocks(Math.max(segmentBytes / 3, Math.min(maxBytes / 8, this.#largest + 1024)))
  }

  /** Reads the segments that are there, and tells `apply` of every record. */
  async recover(): Promise<void> {
    const { folder, maxBytes, onMessage, files } = this.#options
    const found: { number: number; path: string; bytes: number }[] = []
    for (const number of await segmentNumbers(folder)) {
      const path = join(folder, segmentName(number))
      found.push({ number, path, bytes: (await stat(path)).size })
    }
    let total = found.reduce((sum, { bytes }) => sum + blocks(bytes), 0)
    while (total > maxBytes) {
      const { path, bytes } = found.shift() as (typeof found)[0]
      await files.unlink(path)
      total -= blocks(bytes)
      onMessage(`${path} is removed: the store has been given less room`)
    }
    for (const each of found) await this.#recoverSegment(each, each === found.at(-1))
    this.#next = (found.at(-1)?.number ?? 0) + 1
  }

  async #recoverSegment(found: { number: number; path: string; bytes: number }, isLast: boolean): Promise<void> {
    const { files, apply, onDamage, onMessage, segmentBytes } = this.#options
    const { number, path } = found
    const file = await files.open(path, 'r+')
    const head = Buffer.alloc(HEAD_BYTES)
    const read = await files.read(file, head, 0).catch(() => 0)
    const nonce = provenNonce(head.subarray(0, read), number)
    const listed = nonce === undefined ? undefined : await readList(files, file, found.bytes, nonce).catch(() => undefined)
    const scanned =
      nonce === undefined || listed !== undefined
        ? undefined
        : await scan(files, file, found.bytes, nonce).catch((error: Error) => {
            onMessage(`${path} cannot be read: ${error.message}`)
            return undefined
          })
    const content = listed ?? scanned
    if (nonce === undefined || content === undefined || (content.headers.byteLength === 0 && !isLast)) {
      // A file without a whole head is what a kill leaves when it has just been made.
      if (found.bytes > HEAD_BYTES) {
        onDamage()
        onMessage(`${path} is not what was written: it is removed`)
      }
      await files.close(file)
      await files.unlink(path)
      return
    }
    if (scanned !== undefined && scanned.gaps > 0) {
      for (let gap = 0; gap < scanned.gaps; gap++) onDamage()
      onMessage(`${path} has ${scanned.gaps} damaged places: what is there is lost`)
    }
    const { headers, end } = content
    const count = headers.byteLength / HEADER_BYTES
    const segment: Segment = { number, path, file, nonce, end, count, headers: undefined, readers: 0, dropped: false }
    this.#segments.set(number, segment)
    for (const header of headersIn(headers, decodeHeader)) {
      this.#largest = Math.max(this.#largest, recordBytes(header))
      apply(header, number, false)
    }
    const goesOn = isLast && footprint(segment) < (segmentBytes * 3) / 4
    if (goesOn || scanned !== undefined) {
      // What is torn, or a list that will be longer, must not be taken for more records.
      await files.truncate(file, end)
      segment.headers = headers
    }
    this.#used += footprint(segment)
    this.#head = segment
    if (!goesOn) await this.#seal()
  }

  /** Writes a record. `false` when there is no room, or `apply` said so. */
  append(entry: Entry): Promise<boolean> {
    const bytes = recordBytes(entry.header)
    const isRemoval = entry.header.kind === REMOVED_ID || entry.header.kind === REMOVED_KEY
    // A larger one would empty the store for everybody else.
    if (this.#closed || blocks(bytes + 2 * HEADER_BYTES + HEAD_BYTES) > this.#options.maxBytes / 2) return Promise.resolve(false)
    if (!isRemoval && this.#queuedBytes > 0 && this.#queuedBytes + bytes > this.#options.queueBytes) return Promise.resolve(false)
    this.#largest = Math.max(this.#largest, bytes)
    for (const owed of this.#owed.splice(0)) {
      this.#queuedBytes += owed.bytes
      this.#writes.push(owed)
    }
    return this.#enqueue(this.#writes, entry, bytes)
  }

  /** Writes a record again, before the segment in which it lies goes. */
  move(entry: Entry): Promise<boolean> {
    return this.#enqueue(this.#moves, entry, recordBytes(entry.header))
  }

  /** Fills `into`; `false` when that cannot be done. What is asked for in the same turn and lies together is read together. */
  read(number: number, into: Uint8Array, at: number): Promise<boolean> {
    const segment = this.#segments.get(number)
    return segment === undefined ? Promise.resolve(false) : this.#reads.read(segment, into, at)
  }

  nonceOf(number: number): number | undefined {
    return this.#segments.get(number)?.nonce
  }

  /** Removes a segment that holds nothing any more. */
  async drop(segment: Segment): Promise<void> {
    try {
      await this.#options.files.unlink(segment.path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return this.#tellFailure(error as Error)
    }
    this.#segments.delete(segment.number)
    this.#full.splice(this.#full.indexOf(segment), 1)
    this.#used -= footprint(segment)
    segment.dropped = true
    this.#closeUnused(segment)
  }

  /** Whether everything is written. */
  get isIdle(): boolean {
    return this.#queuedBytes === 0
  }

  /** Asks the disk to keep what was written, for the case that the machine loses power. */
  async sync(): Promise<void> {
    if (!this.#dirty || this.#head === undefined) return
    this.#dirty = false
    const segment = this.#head
    segment.readers++
    await this.#options.files.sync(segment.file).catch((error: Error) => this.#tellFailure(error))
    segment.readers--
    this.#closeUnused(segment)
  }

  /** Takes no more, writes what waits, and leaves lists for a quick start. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#pumping || this.#evicting) await new Promise<void>((resolve) => this.#idle.push(resolve))
    for (const waiting of [...this.#writes.splice(0), ...this.#moves.splice(0)]) this.#settle(waiting, false)
    if (this.#options.syncs) await this.sync()
    await this.#seal()
    for (const segment of this.#segments.values()) {
      segment.dropped = true
      this.#closeUnused(segment)
    }
    this.#segments.clear()
  }

  #closeUnused(segment: Segment): void {
    if (segment.dropped && segment.readers === 0) this.#options.files.close(segment.file).catch(() => {})
  }

  #enqueue(queue: Queued[], entry: Entry, bytes: number): Promise<boolean> {
    this.#queuedBytes += bytes
    return new Promise((settle) => {
      queue.push({ ...entry, bytes, settle })
      this.#pump()
    })
  }

  #settle(queued: Queued, applied: boolean): void {
    this.#queuedBytes -= queued.bytes
    queued.settle(applied)
  }

  async #pump(): Promise<void> {
    this.#again = true
    if (this.#pumping) return
    this.#pumping = true
    while (this.#again) {
      this.#again = false
      // Records that come in one turn of the event loop are written in one call.
      await undefined
      while (await this.#writeBatch()) {}
    }
    this.#pumping = false
    this.#tellIdle()
  }

  #tellIdle(): void {
    if (!this.#pumping && !this.#evicting) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Writes what is next. `false` when nothing is, or there is no room for it yet. */
  async #writeBatch(): Promise<boolean> {
    // Moves have batches of their own, so that all earlier writes are applied when they are asked whether they still matter.
    const moving = this.#moves.length > 0
    const queue = moving ? this.#moves : this.#writes
    while (queue[0]?.wanted?.() === false) this.#settle(queue.shift() as Queued, false)
    const first = queue[0]
    if (first === undefined) return queue !== this.#writes && this.#writes.length > 0
    if (this.#head !== undefined && this.#head.count > 0 && !this.#fits(this.#head, first.bytes, 1)) await this.#seal()
    const room = this.#maxBytes - this.#used - (moving ? 0 : this.reserve)
    const extra = this.#growth(first.bytes, 1)
    if (extra > room) {
      if (moving) {
        this.#settle(queue.shift() as Queued, false)
        return true
      }
      if (this.#full.length === 0 && this.#head !== undefined && this.#head.count > 0) await this.#seal()
      this.#lacking = extra
      this.evictAhead()
      return false
    }
    if (!moving) this.#lacking = 0

    let bytes = 0
    let count = 0
    for (const queued of queue) {
      const more = bytes + queued.bytes
      if (count > 0) {
        if (count === BATCH_RECORDS || more > BATCH_BYTES || this.#growth(more, count + 1) > room) break
        if (this.#head !== undefined && !this.#fits(this.#head, more, count + 1)) break
        if (this.#head === undefined && more > this.#options.segmentBytes / 2) break
      }
      bytes = more
      count++
    }
    const batch = queue.splice(0, count).filter((queued) => {
      if (queued.wanted?.() !== false) return true
      this.#settle(queued, false)
      return false
    })
    await this.#writeRecords(batch)
    this.evictAhead()
    return true
  }

  async #writeRecords(batch: readonly Queued[]): Promise<void> {
    const { files, apply, onMessage } = this.#options
    try {
      this.#head ??= await this.#newSegment()
      const head = this.#head
      const encoded = Buffer.allocUnsafe(batch.length * HEADER_BYTES)
      const headers: RecordHeader[] = []
      const parts: Uint8Array[] = []
      let at = head.end
      for (const [position, { header, meta, body, bytes }] of batch.entries()) {
        const placed = { ...header, at }
        headers.push(placed)
        encodeHeader(placed, head.nonce, encoded, position * HEADER_BYTES)
        parts.push(encoded.subarray(position * HEADER_BYTES, (position + 1) * HEADER_BYTES))
        if (meta !== undefined) parts.push(meta)
        if (body !== undefined) parts.push(body)
        at += bytes
      }
      await files.write(head.file, parts, head.end)
      const before = footprint(head)
      this.#list(head, encoded)
      head.end = at
      head.count += batch.length
      this.#used += footprint(head) - before
      this.#dirty = true
      if (this.#failing) onMessage(`${this.#options.folder} can be written to again`)
      this.#failing = false
      for (const [position, queued] of batch.entries())
        this.#settle(queued, apply(headers[position] as RecordHeader, head.number, true))
    } catch (error) {
      await this.#failed(batch, error as NodeJS.ErrnoException)
    }
  }

  async #failed(batch: readonly Queued[], error: NodeJS.ErrnoException): Promise<void> {
    const { files } = this.#options
    const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT'
    this.#tellFailure(error)
    const head = this.#head
    if (head !== undefined) {
      // Records that were refused must not come back at the next start.
      await files.truncate(head.file, head.end).catch(() => {})
      if (!isFull) await this.#seal()
    }
    // The disk is smaller than the bound says: live with what we have, and try for more when a segment has been filled.
    if (isFull) this.#maxBytes = Math.min(this.#maxBytes, Math.max(this.#used, this.#options.maxBytes / 16))
    const removals = batch.filter(({ header }) => header.kind === REMOVED_ID || header.kind === REMOVED_KEY)
    for (const queued of batch) this.#settle(queued, false)
    if (this.#owed.length + removals.length > MOST_OWED)
      this.#options.onMessage('removals could not be written: what they removed may be back after a restart')
    else this.#owed.push(...removals.map((queued) => ({ ...queued, settle: () => {} })))
  }

  #tellFailure(error: Error): void {
    if (!this.#failing) this.#options.onMessage(`${this.#options.folder}: ${error.message}; what cannot be written is not stored`)
    this.#failing = true
  }

  async #newSegment(): Promise<Segment> {
    const { files, folder, segmentBytes } = this.#options
    const number = this.#next++
    const path = join(folder, segmentName(number))
    const nonce = randomBytes(4).readUInt32LE(0)
    const file = await files.open(path, 'wx+')
    try {
      await files.write(file, [encodeHead(number, nonce)], 0)
    } catch (error) {
      await files.close(file).catch(() => {})
      await files.unlink(path).catch(() => {})
      throw error
    }
    const headers = Buffer.allocUnsafeSlow(Math.min(segmentBytes / 64, 65_536))
    const segment = { number, path, file, nonce, end: HEAD_BYTES, count: 0, headers, readers: 0, dropped: false }
    this.#segments.set(number, segment)
    this.#used += footprint(segment)
    return segment
  }

  #list(head: Segment, encoded: Buffer): void {
    const at = head.count * HEADER_BYTES
    let headers = head.headers as Buffer
    if (at + encoded.byteLength > headers.byteLength) {
      headers = Buffer.allocUnsafeSlow(2 * (at + encoded.byteLength))
      head.headers?.copy(headers, 0, 0, at)
      head.headers = headers
    }
    encoded.copy(headers, at)
  }

  /** Ends the segment that is written to. Without its list, as on a disk that is full, it is scanned at the next start. */
  async #seal(): Promise<void> {
    const { files, maxBytes, segmentBytes, syncs } = this.#options
    const head = this.#head
    if (head === undefined) return
    this.#head = undefined
    this.#full.push(head)
    if (head.headers !== undefined) {
      const list = encodeList(head)
      head.headers = undefined
      await files.write(head.file, list, head.end).catch(() => files.truncate(head.file, head.end).catch(() => {}))
    }
    if (syncs) await files.sync(head.file).catch((error: Error) => this.#tellFailure(error))
    this.#maxBytes = Math.min(maxBytes, this.#maxBytes + segmentBytes)
    if (head.count === 0) await this.drop(head)
  }

  #fits(head: Segment, bytes: number, count: number): boolean {
    const full = head.end + bytes + (head.count + count + 1) * HEADER_BYTES > this.#options.segmentBytes
    return !full && head.count + count <= SEGMENT_RECORDS
  }

  /** By how much the segments grow with so many bytes in so many records. */
  #growth(bytes: number, count: number): number {
    const head = this.#head
    if (head === undefined) return blocks(HEAD_BYTES + bytes + (count + 1) * HEADER_BYTES)
    return footprint({ ...head, end: head.end + bytes, count: head.count + count }) - footprint(head)
  }

  /** Makes room in the background, before it is needed, so that a write rarely waits. */
  async evictAhead(): Promise<void> {
    const missing = (): boolean => {
      const low = this.#closed ? 0 : Math.min(this.#options.segmentBytes / 2, this.#maxBytes / 32)
      return this.#maxBytes - this.#used - this.reserve < Math.max(this.#lacking, low)
    }
    if (this.#evicting || !missing()) return
    this.#evicting = true
    try {
      for (let oldest = this.#full[0]; oldest !== undefined && missing(); oldest = this.#full[0]) {
        await this.#options.evict(oldest)
        // It could not be removed.
        if (this.#full[0] === oldest) break
        this.#pump()
      }
    } catch (error) {
      this.#tellFailure(error as Error)
    }
    this.#evicting = false
    if (this.#lacking > 0 && missing() && (this.#head === undefined || this.#head.count === 0 || this.#failing)) {
      // Nothing is left to go, so nothing is gained by waiting; perhaps the disk has room again for the next one.
      const first = this.#writes.shift()
      if (first !== undefined) this.#settle(first, false)
      this.#lacking = 0
      this.#maxBytes = this.#options.maxBytes
    }
    this.#pump()
  }
}
