// The entries and contents of cacache: written, read and removed, each counted with what it takes on the disk.
//
// Counting comes first, and at once: what is counted is not removed. Who counts what is to be written, and then waits for the
// removals that have begun, sees neither a content that two entries share nor a folder go away under the write.
import { join } from 'node:path'
import { cacache } from './calls.ts'
import { entryKey, integrityOf } from './entry.ts'
import { CONTENT, contentFolder, INDEX, indexFolder, onDisk, Tree } from './footprint.ts'
import { type Listed, lineBytes } from './snapshot.ts'

/** cacache opens a file for each write; more at the same time are not quicker. */
const WRITES = 16

interface Content {
  /** Entries that refer to it. */
  refs: number
  /** Settled when it is there, or could not be written. */
  written: Promise<unknown> | undefined
}

const WRITTEN = Promise.resolve()

export class Files {
  readonly #folder: string
  readonly #index: Tree
  readonly #content: Tree
  readonly #contents = new Map<string, Content>()
  readonly #waiting: (() => void)[] = []
  #free = WRITES
  #bytes = 0

  constructor(folder: string) {
    this.#folder = folder
    this.#index = new Tree(join(folder, INDEX))
    this.#content = new Tree(join(folder, CONTENT))
  }

  /** What everything that is counted takes on the disk. */
  get bytes(): number {
    return this.#bytes + this.#index.bytes + this.#content.bytes
  }

  /** How many entries share a content. */
  refs(digest: string): number {
    return this.#contents.get(digest)?.refs ?? 0
  }

  /** Counts an entry that is there, or is to be written. */
  add(entry: Listed, isThere = false): void {
    this.#bytes += entryCost(entry)
    this.#index.add(indexFolder(entryKey(entry.id, entry.slice)))
    const content = this.#contents.get(entry.digest)
    if (content !== undefined) content.refs++
    else {
      this.#contents.set(entry.digest, { refs: 1, written: isThere ? WRITTEN : undefined })
      this.#bytes += onDisk(entry.size)
      this.#content.add(contentFolder(entry.digest))
    }
  }

  /** Counts an entry no longer; says whether its content has no other. */
  delete(entry: Listed): boolean {
    this.#bytes -= entryCost(entry)
    this.#index.delete(indexFolder(entryKey(entry.id, entry.slice)))
    const content = this.#contents.get(entry.digest) as Content
    if (--content.refs > 0) return false
    this.#contents.delete(entry.digest)
    this.#bytes -= onDisk(entry.size)
    this.#content.delete(contentFolder(entry.digest))
    return true
  }

  /** Room for an entry that is written beside itself. */
  reserve(bytes: number): void {
    this.#bytes += bytes
  }

  /** Writes an entry that is counted, and its content if that is not there yet. Removals begun before it was counted must be over. */
  async write(entry: Listed, data: Uint8Array, metadata: object): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      await this.#write(entry, data, metadata)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }

  async #write({ id, slice, digest, size }: Listed, data: Uint8Array, metadata: object): Promise<void> {
    const key = entryKey(id, slice)
    const content = this.#contents.get(digest) as Content
    while (content.written !== undefined) {
      const wasWritten = await content.written.then(
        () => true,
        () => false,
      )
      if (wasWritten) return this.#insert(key, digest, { metadata, size })
    }
    content.written = cacache.put(this.#folder, key, data, { algorithms: ['sha256'], metadata, size, memoize: false })
    try {
      await content.written
      content.written = WRITTEN
    } catch (error) {
      content.written = undefined
      throw error
    }
  }

  /** Replaces the metadata of an entry; both are there for a moment, and the new one counts. */
  async rewrite({ id, slice, digest, size }: Listed, metadata: object): Promise<void> {
    const key = entryKey(id, slice)
    await this.#insert(key, digest, { metadata, size })
    await cacache.index.compact(this.#folder, key, (a, b) => a.key === b.key)
  }

  async #insert(key: string, digest: string, written: { metadata: object; size: number }): Promise<void> {
    const entry = await cacache.index.insert(this.#folder, key, integrityOf(digest), written)
    if (entry === undefined) throw new Error(`${this.#folder} is gone`)
  }

  /** Removes an entry that is no longer counted, after `before`; and its content, if nothing counted has it. */
  async remove({ id, slice, digest }: Listed, before: Promise<unknown>): Promise<void> {
    const isLast = this.refs(digest) === 0
    await before
    const key = entryKey(id, slice)
    // The entry first: a content without an entry is found at the next start, an entry without content only when it is read.
    await cacache.rm.entry(this.#folder, key, { removeFully: true })
    if (isLast) await cacache.rm.content(this.#folder, integrityOf(digest))
    await this.#index.tidy(indexFolder(key))
    if (isLast) await this.#content.tidy(contentFolder(digest))
  }
}

function entryCost(entry: Listed): number {
  return onDisk(entry.entryBytes) + lineBytes(entry)
}
