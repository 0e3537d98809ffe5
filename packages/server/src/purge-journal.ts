// Purges beside the cache on disk: what outlives a restart stays purged. A line of JSON for each, safe before it is acknowledged.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { PURGE_KINDS, type Purge, type PurgeJournal } from '@simple-cdn/core'

const HEAD = { format: 'simple-cdn purges', version: 1 }

/** Written anew when so many lines more are there than twice as many as the last time. */
const SLACK = 1_000

export interface PurgeJournalOptions {
  /** Where `purges.jsonl` lies. Made when it is not there. */
  readonly folder: string
  /** Whether anything lies in the cache whose purges these are. */
  readonly hasCache: boolean
  readonly now: () => number
  /** Takes what an operator should know. */
  readonly onMessage: (message: string) => void
}

interface Waiting {
  readonly line: string
  readonly all: () => readonly Purge[]
  readonly cursor: string | undefined
  readonly done: PromiseWithResolvers<void>
}

/** Without a journal, or with one that cannot be read, whatever lies in the cache counts as purged: nobody knows what should. */
export function purgeJournal({ folder, hasCache, now, onMessage }: PurgeJournalOptions): PurgeJournal {
  const path = join(folder, 'purges.jsonl')
  let file: FileHandle | undefined
  let lines = 0
  let limit = 0
  let isBroken = true
  /** That of the last line that is safe. */
  let reached: string | undefined
  /** Bounded by whoever waits: each caller for its own purge, and a bus for a thousand. */
  let waiting: Waiting[] = []
  let writing: Promise<void> | undefined

  const writeAnew = async (purges: readonly Purge[], cursor: string | undefined): Promise<void> => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const unfinished = await open(`${path}.new`, 'w', 0o600)
    try {
      const head = cursor === undefined ? HEAD : { ...HEAD, cursor }
      await unfinished.writeFile(textOf([head, ...purges]))
      await unfinished.datasync()
    } finally {
      await unfinished.close()
    }
    await rename(`${path}.new`, path)
    await file?.close()
    file = await open(path, 'a', 0o600)
    lines = purges.length
    limit = 2 * lines + SLACK
    isBroken = false
  }

  /** So that the next start finds one, though nothing is purged until then. */
  const begin = (gapUntil: number | undefined): void => {
    const gap: Purge[] = gapUntil === undefined ? [] : [{ id: 'gap', at: gapUntil, soft: false, kind: 'everything', value: '' }]
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      writeFileSync(`${path}.new`, textOf([HEAD, ...gap]), { mode: 0o600, flush: true })
      renameSync(`${path}.new`, path)
    } catch (error) {
      onMessage(`${path} cannot be written: ${error instanceof Error ? error.message : error}`)
    }
  }

  const write = async (batch: readonly Waiting[]): Promise<void> => {
    const cursor = batch.findLast((each) => each.cursor !== undefined)?.cursor ?? reached
    // What counts is put in order then, and not for each purge: there may be 200,000.
    if (isBroken || lines > limit) await writeAnew((batch.at(-1) as Waiting).all(), cursor)
    else {
      try {
        await file?.appendFile(batch.map(({ line }) => line).join(''))
        await file?.datasync()
        lines += batch.length
      } catch (error) {
        isBroken = true
        throw error
      }
    }
    reached = cursor
  }

  /** What has come while the disk was busy goes out together. */
  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await write(batch)
        for (const { done } of batch) done.resolve()
      } catch (error) {
        for (const { done } of batch) done.reject(error)
      }
    }
    writing = undefined
  }

  return {
    load() {
      const read = readPurges(path)
      if (read !== undefined) {
        reached = read.cursor
        return { ...read, gapUntil: undefined }
      }
      const gapUntil = hasCache ? now() : undefined
      if (gapUntil !== undefined) onMessage(`${path} is not there or cannot be read: all that lies in the cache counts as purged`)
      begin(gapUntil)
      return { purges: [], gapUntil }
    },
    append(purge, all, cursor) {
      const done = Promise.withResolvers<void>()
      const line = `${JSON.stringify(cursor === undefined ? purge : { ...purge, cursor })}\n`
      waiting.push({ line, all, cursor, done })
      writing ??= writeAll()
      return done.promise
    },
    async close() {
      await writing
      await file?.close()
    },
  }
}

function textOf(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}

/** `undefined`: none, or not ours. What was written last and is not whole was never acknowledged. */
function readPurges(path: string): { purges: readonly Purge[]; cursor: string | undefined } | undefined {
  try {
    const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    const [head, ...lines] = whole.map((line) => JSON.parse(line))
    if (head?.format !== HEAD.format || head.version !== HEAD.version) return undefined
    const isWhole = lines.every(
      ({ at, kind, value }) => Number.isFinite(at) && PURGE_KINDS.has(kind) && typeof value === 'string',
    )
    if (!isWhole) return undefined
    const cursor = lines.findLast((line) => line.cursor !== undefined)?.cursor ?? head.cursor
    return { purges: lines.map(({ cursor: _, ...purge }) => purge), cursor }
  } catch {
    return undefined
  }
}
