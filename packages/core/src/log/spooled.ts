// spooled(): a queue on disk before a sink that uploads. What it has taken survives a crash, and a sink that is down for days.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Millis, systemClock } from '../http/time.ts'
import { type BatchSink, type Boot, DeliveryError } from './batch.ts'
import { checkedSink } from './checked.ts'
import type { LogEntry } from './entry.ts'
import { lockFolder } from './folder-lock.ts'
import { thisPlace } from './place.ts'
import { replay } from './replay.ts'
import type { LogSink, SinkHost } from './sink.ts'
import { droppedFrame, headFrame, linesFrame, parseSegment, readInto, type Segment, type SpoolFile } from './spool-file.ts'
import { Ledger } from './spool-ledger.ts'
import { type SpoolOptions, spoolCheck, withDefaults } from './spool-options.ts'

/** Lines go to the file when there are so many characters of them, or a quarter of what may be in memory. */
const BATCH = 256 * 1024
/** How long to leave a disk alone that has failed. */
const DISK_RETRY_MS = 1_000
const PUBLISH_RETRY_MS = 30_000
const MAX_LEDGERS = 1_000

/** Lines, or numbers that were given up, on their way to the file as a frame. */
interface Waiting {
  readonly date: string
  readonly openedAt: Millis
  readonly first: number
  count: number
  /** `undefined`: given up. */
  readonly frame: Buffer | undefined
}

interface Active {
  readonly path: string
  readonly file: SpoolFile
  readonly date: string
  readonly headBytes: number
  readonly stopAging: () => void
  length: number
  isDirty: boolean
  /** Resolves when all syncs that were begun have ended. */
  synced: Promise<void>
}

interface Queued {
  readonly path: string
  readonly bytes: number
  readonly boot: string
}

/**
 * Every entry gets a number. It is written to a file, the file to the disk, and as a batch to `sink`, until that has it. A sink
 * that fails is asked again for as long as it takes; serving goes on, and memory does not grow.
 */
export function spooled(sink: BatchSink, options: SpoolOptions): LogSink & { readonly dropped: number } {
  return checkedSink(sink.name, spoolCheck, options, (options) => spooledOf(sink, options))
}

function spooledOf(sink: BatchSink, options: SpoolOptions): LogSink & { readonly dropped: number } {
  const spool = new Spool(sink, options)
  return {
    name: sink.name,
    open: (host) => spool.open(host),
    write: (entry) => spool.write(entry),
    flush: () => spool.flush(),
    close: () => spool.close(),
    get dropped() {
      return spool.dropped
    },
    stats: () => spool.stats(),
    replay: (folder) => replay(sink, folder),
    ...(sink.verify && { verify: sink.verify }),
    ...(sink.read && { read: sink.read }),
  }
}

class Spool {
  dropped = 0
  readonly #sink: BatchSink
  readonly #options: Required<SpoolOptions>
  #host: SinkHost = { clock: systemClock, place: thisPlace, onMessage: () => {} }
  #boot: Boot = { machine: '', region: '', boot: '' }

  #next = 0
  /** Lines that wait for the next write, and the first one's number and time. */
  #lines = ''
  #count = 0
  #first = 0
  #openedAt: Millis = 0
  #isScheduled = false

  /** In the order of their numbers; the first may be being written. */
  readonly #waiting: Waiting[] = []
  #memoryBytes = 0
  #diskBytes = 0
  #active: Active | undefined
  /** What is done to files is done one after another. */
  #work: Promise<void> | undefined
  #isWriting = false
  #isSyncing = false

  // Some megabytes of new buffers a second would keep the collector busy.
  /** What a frame was in before it was written, for the next one. */
  #spare = new ArrayBuffer(0)
  /** What the last file was read into, for the next one. */
  #file = new ArrayBuffer(0)

  readonly #queue: Queued[] = []
  readonly #ledgers = new Map<string, Ledger>()
  readonly #unpublished = new Map<Ledger, Set<string>>()
  #sending: Promise<void> | undefined
  #failures = 0
  #publishesLater = false
  #publishing: Promise<void> = Promise.resolve()
  readonly #stop = new AbortController()
  /** Ends every pause. */
  readonly #wake = new Set<() => void>()
  #closing: Promise<void> | undefined
  #unlock: (() => Promise<void>) | undefined

  #landedObjects = 0
  #landedEntries = 0
  #deliveryFailures = 0
  #setAside = 0
  #lastError = ''

  constructor(sink: BatchSink, options: SpoolOptions) {
    this.#sink = sink
    this.#options = withDefaults(options)
  }

  open(host: SinkHost): void {
    if (this.#work !== undefined) return
    this.#host = host
    const begun = new Date(host.clock.now()).toISOString().replace(/[-:]|\..*/g, '')
    this.#boot = { ...host.place, boot: `${begun}-${randomBytes(3).toString('hex')}` }
    this.#work = this.#begin()
  }

  write(entry: LogEntry): void {
    const line = this.#sink.format(entry)
    if (this.#closing !== undefined) {
      this.dropped++
      return
    }
    if (this.#work === undefined) this.open(this.#host)
    const { maxBytes, maxMemoryBytes } = this.#options
    const memory = this.#memoryBytes + this.#lines.length
    if (memory > maxMemoryBytes || this.#diskBytes + memory > maxBytes) {
      this.#drop()
      return
    }
    if (this.#count === 0) {
      this.#first = this.#next
      this.#openedAt = this.#host.clock.now()
    }
    this.#next++
    this.#count++
    this.#lines += line
    if (this.#lines.length >= Math.min(BATCH, maxMemoryBytes / 4)) this.#enqueue()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      this.#host.clock.after(this.#options.writeMs, () => {
        this.#isScheduled = false
        this.#enqueue()
      })
    }
  }

  flush(): Promise<void> {
    return this.#atMost(this.#options.maxFlushMs, this.#delivered())
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  stats(): Readonly<Record<string, number | string>> {
    return {
      taken: this.#next,
      dropped: this.dropped,
      memoryBytes: this.#memoryBytes + this.#lines.length,
      diskBytes: this.#diskBytes,
      queuedFiles: this.#queue.length,
      landedObjects: this.#landedObjects,
      landedEntries: this.#landedEntries,
      deliveryFailures: this.#deliveryFailures,
      setAside: this.#setAside,
      ...(this.#lastError === '' ? {} : { lastError: this.#lastError }),
    }
  }

  // ── into the file ──

  #drop(): void {
    this.dropped++
    this.#enqueue()
    const number = this.#next++
    const openedAt = this.#host.clock.now()
    const date = dateOf(openedAt)
    const last = this.#waiting.at(-1)
    // The one at the front may be on its way to the file as it is.
    if (this.#waiting.length > 1 && last?.frame === undefined && last?.date === date) last.count++
    else this.#waiting.push({ date, openedAt, first: number, count: 1, frame: undefined })
    this.#write()
  }

  #enqueue(): void {
    if (this.#count === 0) return
    const frame = linesFrame(this.#first, this.#count, this.#lines, (bytes) => this.#room(bytes))
    const date = dateOf(this.#host.clock.now())
    this.#waiting.push({ date, openedAt: this.#openedAt, first: this.#first, count: this.#count, frame })
    this.#memoryBytes += frame.byteLength
    this.#lines = ''
    this.#count = 0
    this.#write()
  }

  #room(bytes: number): Buffer {
    const spare = this.#spare
    if (spare.byteLength < bytes) return Buffer.allocUnsafeSlow(bytes)
    this.#spare = new ArrayBuffer(0)
    return Buffer.from(spare, 0, bytes)
  }

  #write(): void {
    if (this.#isWriting) return
    this.#isWriting = true
    this.#then(async () => {
      while (this.#waiting.length > 0 && this.#unlock !== undefined) await this.#writeOne(this.#waiting[0] as Waiting)
      this.#isWriting = false
    })
  }

  async #writeOne(item: Waiting): Promise<void> {
    const { date, first, count, frame } = item
    try {
      if (this.#active !== undefined && this.#active.date !== date) await this.#rotate()
      const active = this.#active ?? (await this.#newFile(date, item.openedAt, first))
      const bytes = frame ?? droppedFrame(first, count)
      await active.file.write(bytes, active.length)
      active.length += bytes.byteLength
      active.isDirty = true
      this.#diskBytes += bytes.byteLength
    } catch (error) {
      this.#trouble(`cannot write to ${this.#options.folder}`, error)
      await this.#endBroken()
      // Nobody waits for ever for a disk that is broken; what it did not take is lost, and counted.
      if (this.#stop.signal.aborted) this.#giveUp()
      else await this.#pause(DISK_RETRY_MS)
      return
    }
    this.#waiting.shift()
    this.#memoryBytes -= frame?.byteLength ?? 0
    if (frame !== undefined && frame.buffer.byteLength > this.#spare.byteLength) this.#spare = frame.buffer as ArrayBuffer
    const ledger = this.#own()
    ledger.took(date, first, first + count)
    if (frame === undefined) ledger.dropped(date, [first, first + count - 1, count])
    this.#syncSoon()
    if (this.#active !== undefined && this.#active.length >= this.#options.rotateBytes) await this.#rotate()
  }

  async #newFile(date: string, openedAt: Millis, first: number): Promise<Active> {
    const path = join(this.#options.folder, `${this.#boot.boot}-${String(first).padStart(12, '0')}.segment`)
    const file = await this.#options.openFile(path)
    const head = headFrame({ ...this.#boot, date, openedAt })
    try {
      await file.write(head, 0)
    } catch (error) {
      await file.close().catch(() => {})
      await unlink(path).catch(() => {})
      throw error
    }
    const stopAging = this.#host.clock.after(this.#options.rotateMs, () => this.#then(() => this.#rotate(path)))
    this.#active = {
      path,
      file,
      date,
      headBytes: head.byteLength,
      stopAging,
      length: head.byteLength,
      isDirty: true,
      synced: Promise.resolve(),
    }
    this.#diskBytes += head.byteLength
    return this.#active
  }

  #syncSoon(): void {
    if (this.#isSyncing) return
    this.#isSyncing = true
    this.#host.clock.after(this.#options.fsyncMs, () => {
      this.#isSyncing = false
      const active = this.#active
      if (active === undefined || !active.isDirty) return
      active.isDirty = false
      // Not in line with what is written: a disk that takes its time for this must not hold up the lines that come meanwhile.
      active.synced = active.synced
        .then(() => active.file.sync())
        .catch((error) => this.#trouble(`cannot sync ${active.path}`, error))
    })
  }

  /** Closes the file that is being written, or nothing when it is not `path` any more, and has it delivered. */
  async #rotate(path?: string): Promise<void> {
    const active = this.#active
    if (active === undefined || (path !== undefined && active.path !== path)) return
    this.#active = undefined
    active.stopAging()
    await active.synced
    try {
      await active.file.sync()
    } catch (error) {
      this.#trouble(`cannot sync ${active.path}`, error)
    }
    await active.file.close().catch(() => {})
    await this.#own()
      .save()
      .catch((error) => this.#trouble('cannot write the ledger', error))
    this.#queue.push({ path: active.path, bytes: active.length, boot: this.#boot.boot })
    this.#send()
  }

  /** After a write that failed: what the file has is delivered, which also makes room. */
  async #endBroken(): Promise<void> {
    const active = this.#active
    if (active === undefined) return
    await active.file.truncate(active.length).catch(() => {})
    if (active.length > active.headBytes) return this.#rotate()
    this.#active = undefined
    active.stopAging()
    await active.synced
    this.#diskBytes -= active.length
    await active.file.close().catch(() => {})
    await unlink(active.path).catch(() => {})
  }

  #giveUp(): void {
    for (const { frame, count } of this.#waiting.splice(0)) {
      if (frame !== undefined) this.dropped += count
      this.#memoryBytes -= frame?.byteLength ?? 0
    }
  }

  // ── out of the folder ──

  #send(): void {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
      // What was queued while this one ended.
      if (this.#queue.length > 0 && !this.#stop.signal.aborted) this.#send()
    })
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      const sent = this.#queue[0] as Queued
      const isDone = await this.#sendOne(sent)
      if (!isDone) continue
      this.#queue.shift()
      this.#diskBytes -= sent.bytes
      this.#endOthers()
      // Once for many, while there is much to catch up with.
      if (this.#queue.length % 8 === 0) await this.#publish()
    }
  }

  async #sendOne({ path, boot }: Queued): Promise<boolean> {
    let segment: Segment | undefined
    try {
      segment = parseSegment(await this.#read(path))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
      this.#trouble(`cannot read ${path}`, error)
      await this.#pause(DISK_RETRY_MS)
      return false
    }
    if (segment === undefined) {
      this.#say(`${path} has no beginning: it was empty when the power went`)
      return this.#putAside(path)
    }
    const { batch, torn } = segment
    if (torn > 0) this.#say(`${path} ends with ${torn} bytes of what was being written when the process was ended`)
    if (batch !== undefined && batch.entries > 0) {
      try {
        await this.#sink.deliver(batch, this.#attempt())
        this.#failures = 0
      } catch (error) {
        if (this.#stop.signal.aborted) return false
        this.#deliveryFailures++
        this.#trouble(`"${this.#sink.name}" did not take ${batch.entries} entries`, error)
        if (error instanceof DeliveryError && !error.retry) return this.#putAside(path)
        await this.#pause(this.#backoff(error))
        return false
      }
      this.#landedObjects++
      this.#landedEntries += batch.entries
    }
    await unlink(path).catch((error) => this.#trouble(`cannot remove ${path}`, error))
    if (batch !== undefined) {
      const ledger = this.#ledgers.get(boot) ?? Ledger.begun(this.#ledgerPath(boot), batch)
      this.#ledgers.set(boot, ledger)
      ledger.landed(batch)
      await ledger.save().catch((error) => this.#trouble('cannot write the ledger', error))
      this.#toPublish(ledger, batch.date)
    }
    return true
  }

  /** The file, where the one before it was, if the sink has no use for that any more. */
  async #read(path: string): Promise<Buffer> {
    if (this.#sink.copies !== true) return readFile(path)
    const bytes = await readInto(path, this.#file)
    // One that was written under other options is no measure for those to come.
    if (bytes.buffer.byteLength <= 2 * this.#options.rotateBytes) this.#file = bytes.buffer as ArrayBuffer
    return bytes
  }

  #attempt(): AbortSignal {
    return AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#options.deliverMs)])
  }

  #backoff(error: unknown): Millis {
    const [least, most] = this.#options.retryMs
    const wait = Math.min(most, least * 2 ** Math.min(this.#failures++, 30))
    const asked = error instanceof DeliveryError ? (error.retryAfterMs ?? 0) : 0
    // Machines that failed together do not come back together.
    return Math.max(Math.min(asked, most), wait * (0.5 + Math.random() / 2))
  }

  /** What is refused for good is kept, and can be sent again by hand; it stands in nobody's way. */
  async #putAside(path: string): Promise<boolean> {
    this.#setAside++
    const folder = join(this.#options.folder, 'set-aside')
    await mkdir(folder, { recursive: true }).catch(() => {})
    await rename(path, join(folder, basename(path))).catch((error) => this.#trouble(`cannot set ${path} aside`, error))
    return true
  }

  // ── ledgers ──

  #own(): Ledger {
    const { boot } = this.#boot
    const known = this.#ledgers.get(boot) ?? Ledger.begun(this.#ledgerPath(boot), this.#boot)
    this.#ledgers.set(boot, known)
    return known
  }

  #ledgerPath(boot: string): string {
    return join(this.#options.folder, `${boot}.ledger`)
  }

  #toPublish(ledger: Ledger, date: string): void {
    const dates = this.#unpublished.get(ledger) ?? new Set()
    this.#unpublished.set(ledger, dates.add(date))
  }

  /** Of earlier processes, which add nothing: with nothing of theirs left, that was all. */
  #endOthers(): void {
    for (const [boot, ledger] of this.#ledgers) {
      if (boot === this.#boot.boot || ledger.ended || this.#queue.some((queued) => queued.boot === boot)) continue
      ledger.ended = true
      for (const date of ledger.dates) this.#toPublish(ledger, date)
    }
  }

  /** One after another, so that no earlier word replaces a later one. */
  #publish(): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#publishAll())
    return this.#publishing
  }

  async #publishAll(): Promise<void> {
    for (const [ledger, dates] of this.#unpublished) {
      for (const date of [...dates]) {
        // What changes while this is on its way is published again.
        dates.delete(date)
        try {
          await this.#sink.publish?.(ledger.day(date, this.#host.clock.now()), this.#attempt())
        } catch (error) {
          dates.add(date)
          this.#publishLater(error)
          return
        }
      }
      if (dates.size > 0) continue
      this.#unpublished.delete(ledger)
      if (!ledger.ended) continue
      // On disk it has ended when that is known: killed before, the next process says so again.
      await ledger.save().catch((error) => this.#trouble('cannot write the ledger', error))
      if (ledger !== this.#own()) this.#ledgers.delete(ledger.boot.boot)
    }
  }

  #publishLater(error: unknown): void {
    if (this.#stop.signal.aborted) return
    this.#trouble('the ledger could not be published', error)
    if (this.#publishesLater) return
    this.#publishesLater = true
    this.#host.clock.after(PUBLISH_RETRY_MS, () => {
      this.#publishesLater = false
      if (!this.#stop.signal.aborted) void this.#publish()
    })
  }

  // ── begin, end ──

  async #begin(): Promise<void> {
    const { folder } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        this.#unlock = await lockFolder(folder)
        await this.#recover()
        return
      } catch (error) {
        await this.#unlock?.()
        this.#unlock = undefined
        this.#trouble(`${folder} cannot be used`, error)
        await this.#pause(DISK_RETRY_MS)
      }
    }
  }

  async #recover(): Promise<void> {
    const { folder } = this.#options
    const names = (await readdir(folder)).sort()
    const ledgers = names.filter((name) => /^\d{8}T\d{6}-[0-9a-f]{6}\.ledger$/.test(name))
    const segments = names.filter((name) => /^\d{8}T\d{6}-[0-9a-f]{6}-\d{12}\.segment$/.test(name))
    for (const name of ledgers.slice(0, -MAX_LEDGERS)) await unlink(join(folder, name)).catch(() => {})
    for (const name of ledgers.slice(-MAX_LEDGERS)) {
      const ledger = await Ledger.read(join(folder, name))
      if (ledger !== undefined && !ledger.ended) this.#ledgers.set(ledger.boot.boot, ledger)
    }
    this.#queue.length = 0
    for (const name of segments) {
      const path = join(folder, name)
      this.#queue.push({ path, bytes: (await stat(path)).size, boot: name.slice(0, 22) })
    }
    this.#diskBytes = this.#queue.reduce((sum, { bytes }) => sum + bytes, 0)
    await this.#own().save()
    if (segments.length > 0) this.#say(`${segments.length} files of earlier runs are delivered now`)
    this.#endOthers()
    if (segments.length > 0) this.#send()
    else void this.#publish()
  }

  /** Everything taken so far is delivered. */
  async #delivered(): Promise<void> {
    if (this.#work === undefined) return
    this.#enqueue()
    await this.#work
    this.#then(() => this.#rotate())
    await this.#work
    while (this.#sending !== undefined) await this.#sending
  }

  async #end(): Promise<void> {
    if (this.#work === undefined) return this.#sink.close?.()
    await this.#atMost(this.#options.maxFlushMs, this.#delivered())
    const ledger = this.#own()
    if (this.#unlock !== undefined) await ledger.save().catch((error) => this.#trouble('cannot write the ledger', error))
    ledger.ended = this.#unlock !== undefined && this.#waiting.length === 0 && this.#queue.length === 0
    for (const date of ledger.dates) this.#toPublish(ledger, date)
    await this.#atMost(this.#options.maxFlushMs, this.#publish())
    this.#stop.abort()
    for (const wake of this.#wake) wake()
    // What is in memory has had its time; what is in the file is safe there.
    await this.#work
    this.#giveUp()
    await this.#sending
    await this.#rotate()
    await this.#sending
    await this.#publishing
    await this.#unlock?.()
    this.#unlock = undefined
    await this.#sink.close?.()
  }

  #then(task: () => Promise<void>): void {
    this.#work = (this.#work as Promise<void>).then(task).catch((error) => this.#trouble('something went wrong', error))
  }

  async #pause(ms: Millis): Promise<void> {
    if (this.#stop.signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#host.clock.after(ms, resolve)
    this.#wake.add(resolve)
    await promise
    this.#wake.delete(resolve)
    cancel()
  }

  async #atMost(ms: Millis, event: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#host.clock.after(ms, resolve)
    await Promise.race([event, promise])
    cancel()
  }

  #trouble(what: string, error: unknown): void {
    const message = `${what}: ${error instanceof Error ? error.message : String(error)}`
    // Said once, however often it is tried again.
    if (message !== this.#lastError) this.#say(message)
    this.#lastError = message
  }

  #say(message: string): void {
    this.#host.onMessage(`log sink "${this.#sink.name}": ${message}`)
  }
}

function dateOf(at: Millis): string {
  return new Date(at).toISOString().slice(0, 10)
}
