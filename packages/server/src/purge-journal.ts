// Purges beside the cache on disk: what outlives a restart stays purged. A line of JSON for each, safe before it is acknowledged.
import { mkdirSync, readFileSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Purge, PurgeJournal } from '@simple-cdn/core'

const HEAD = { format: 'simple-cdn purges', version: 1 }
const KINDS: ReadonlySet<unknown> = new Set(['url', 'surrogate-key', 'prefix', 'everything'])

/** Written anew when so many lines more are there than purges that count. */
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

/** Without a journal, or with one that cannot be read, whatever lies in the cache counts as purged: nobody knows what should. */
export function purgeJournal({ folder, hasCache, now, onMessage }: PurgeJournalOptions): PurgeJournal {
  const path = join(folder, 'purges.jsonl')
  let file: FileHandle | undefined
  let lines = 0
  let isBroken = true
  let last: Promise<void> = Promise.resolve()

  const writeAnew = async (purges: readonly Purge[]): Promise<void> => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const unfinished = await open(`${path}.new`, 'w', 0o600)
    try {
      await unfinished.writeFile([HEAD, ...purges].map((each) => `${JSON.stringify(each)}\n`).join(''))
      await unfinished.datasync()
    } finally {
      await unfinished.close()
    }
    await rename(`${path}.new`, path)
    await file?.close()
    file = await open(path, 'a', 0o600)
    lines = purges.length
    isBroken = false
  }

  return {
    load() {
      const read = readPurges(path)
      if (read !== undefined) {
        lines = read.length
        return { purges: read, gapUntil: undefined }
      }
      if (!hasCache) return { purges: [], gapUntil: undefined }
      onMessage(`${path} is not there or cannot be read: all that lies in the cache counts as purged`)
      return { purges: [], gapUntil: now() }
    },
    append(purge, all) {
      // One after the other, so that a line is whole.
      const appended = last
        .catch(() => undefined)
        .then(async () => {
          if (isBroken || lines > 2 * all().length + SLACK) return writeAnew(all())
          try {
            await file?.appendFile(`${JSON.stringify(purge)}\n`)
            await file?.datasync()
            lines++
          } catch (error) {
            isBroken = true
            throw error
          }
        })
      last = appended
      return appended
    },
    async close() {
      await last.catch(() => undefined)
      await file?.close()
    },
  }
}

/** `undefined`: none, or not ours. What was written last and is not whole was never acknowledged. */
function readPurges(path: string): readonly Purge[] | undefined {
  try {
    const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    const [head, ...purges] = whole.map((line) => JSON.parse(line))
    if (head?.format !== HEAD.format || head.version !== HEAD.version) return undefined
    return purges.every(({ at, kind, value }) => Number.isFinite(at) && KINDS.has(kind) && typeof value === 'string')
      ? purges
      : undefined
  } catch {
    return undefined
  }
}
