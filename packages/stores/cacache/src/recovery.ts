// What is in a folder of cacache's whose process did not end in order: read from cacache's own index, and rid of what nobody finds.
import { createHash } from 'node:crypto'
import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacacheEntry, cacache } from './calls.ts'
import { entryKey, isOurs, listedOf } from './entry.ts'
import { CONTENT, INDEX } from './footprint.ts'
import type { Listed } from './snapshot.ts'

/**
 * Lists the entries, those written longest ago first. Removes temporary files, entries that cannot be read, content without an
 * entry, and empty folders.
 * @throws Error when others have entries in this folder: their content would be removed.
 */
export async function recover(folder: string): Promise<Listed[]> {
  const found: { readonly at: number; readonly listed: Listed }[] = []
  const unreadable: string[] = []
  for await (const entry of cacache.ls.stream(folder)) {
    if (!isOurs(entry)) throw foreign(folder, entry)
    const listed = listedOf(entry)
    if (listed === undefined) unreadable.push(entry.key)
    else found.push({ at: entry.time, listed })
  }
  for (const key of unreadable) await cacache.rm.entry(folder, key, { removeFully: true })
  await rm(join(folder, 'tmp'), { recursive: true, force: true })
  const contents = new Set(found.map(({ listed }) => Buffer.from(listed.digest, 'base64').toString('hex')))
  const buckets = new Set(
    found.map(({ listed: { id, slice } }) => createHash('sha256').update(entryKey(id, slice)).digest('hex')),
  )
  await Promise.all([sweep(join(folder, CONTENT), contents), sweep(join(folder, INDEX), buckets)])
  return found.sort((a, b) => a.at - b.at).map(({ listed }) => listed)
}

function foreign(folder: string, { key }: CacacheEntry): Error {
  return new Error(`${folder} holds entries that others wrote into it ("${key}"): the store needs a folder of its own`)
}

/** Removes from a tree of cacache's what is not known: two levels of folders, and files whose names are the rest of a hash. */
async function sweep(root: string, known: ReadonlySet<string>): Promise<void> {
  await Promise.all(
    (await namesIn(root)).map(async (above) => {
      let isEmpty = true
      for (const below of await namesIn(join(root, above))) {
        const path = join(root, above, below)
        const [kept, unknown] = partition(await namesIn(path), (name) => known.has(above + below + name))
        for (const name of unknown) await rm(join(path, name), { force: true })
        if (kept.length === 0) await removeEmpty(path)
        else isEmpty = false
      }
      if (isEmpty) await removeEmpty(join(root, above))
    }),
  )
}

function partition(names: readonly string[], isKept: (name: string) => boolean): [kept: string[], others: string[]] {
  return [names.filter(isKept), names.filter((name) => !isKept(name))]
}

async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => {})
}

async function namesIn(path: string): Promise<string[]> {
  return readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
}
