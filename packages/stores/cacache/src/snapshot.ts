// What an orderly end leaves behind, so that the next start need not read cacache's index: one line for each entry.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

/** An entry as far as it is kept in memory. */
export interface Listed {
  readonly id: string
  /** Which slice of the response `id`; -1 for the response itself. */
  readonly slice: number
  /** SHA-256 of the content, in base64. */
  readonly digest: string
  /** Length of the content in bytes. */
  readonly size: number
  /** Length in bytes of the entry in cacache's index. */
  entryBytes: number
  /** Of a response: its cache key, its selecting fields as JSON, whether it is kept in slices. */
  readonly key?: string | undefined
  readonly variant?: string | undefined
  readonly isSliced?: boolean | undefined
}

const FORMAT = 'simple-cdn store-cacache 1'
const NAME = 'simple-cdn-index'

/** Bytes of a line, at most: its strings may have characters that are escaped. */
export function lineBytes({ id, key = '', variant = '' }: Listed): number {
  return 128 + 2 * (id.length + key.length + variant.length)
}

export async function writeSnapshot(folder: string, entries: Iterable<Listed>): Promise<void> {
  const lines: string[] = []
  for (const { id, slice, digest, size, entryBytes, key, variant, isSliced } of entries)
    lines.push(JSON.stringify([id, slice, digest, size, entryBytes, key, variant, isSliced]))
  const text = lines.join('\n')
  const path = join(folder, NAME)
  await writeFile(`${path}.new`, `${FORMAT} ${lines.length} ${crc32(text)}\n${text}`)
  await rename(`${path}.new`, path)
}

/**
 * Reads what an orderly end left, the least recently used first, and removes it: from now on it is out of date. `undefined` when
 * there is none, or it is not whole.
 */
export async function takeSnapshot(folder: string): Promise<Listed[] | undefined> {
  const path = join(folder, NAME)
  const all = await readFile(path, 'utf8').catch(() => undefined)
  await rm(path, { force: true })
  await rm(`${path}.new`, { force: true })
  if (all === undefined) return undefined
  const end = all.indexOf('\n')
  const text = all.slice(end + 1)
  const lines = text === '' ? [] : text.split('\n')
  if (all.slice(0, end) !== `${FORMAT} ${lines.length} ${crc32(text)}`) return undefined
  return lines.map((line) => {
    const [id, slice, digest, size, entryBytes, key, variant, isSliced] = JSON.parse(line)
    return {
      id,
      slice,
      digest,
      size,
      entryBytes,
      key: key ?? undefined,
      variant: variant ?? undefined,
      isSliced: isSliced ?? undefined,
    }
  })
}
