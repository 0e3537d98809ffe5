// What lies in the folder of a disk store, and in which format: a file names the version.
import { mkdir, open, readdir, readFile, rename, rm, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const FORMAT = 'simple-cdn store-disk 2'
const SEGMENT_NAME = /^[0-9a-f]{8}\.segment$/

/** Files of ours; whatever else lies in the folder is left alone. */
const isOurs = (name: string): boolean => name === 'format' || SEGMENT_NAME.test(name)

export function segmentName(number: number): string {
  return `${number.toString(16).padStart(8, '0')}.segment`
}

/** The numbers of the segments in a folder, the oldest first. */
export async function segmentNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder)
  return names
    .filter((name) => SEGMENT_NAME.test(name))
    .map((name) => Number.parseInt(name, 16))
    .sort((a, b) => a - b)
}

/**
 * Sets aside what another version wrote, in a folder beside this one, or removes it where the disk has no room for both.
 * Misreading it would be worse than losing it: a cache fills again.
 */
export async function ensureFormat(folder: string, maxBytes: number, onMessage: (message: string) => void): Promise<void> {
  const path = join(folder, 'format')
  const found = await readFile(path, 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found === `${FORMAT}\n`) return
  const names = (await readdir(folder)).filter(isOurs)
  if (names.length > 0) {
    const version = /^simple-cdn store-disk ([\w.-]{1,20})\n$/.exec(found ?? '')?.[1] ?? 'unknown'
    const aside = `${resolve(folder)}-set-aside-${version}`
    const told = `${folder} holds format "${version}", and this is "${FORMAT.split(' ').at(-1)}"`
    try {
      const { bavail, bsize } = await statfs(folder)
      if (bavail * bsize < maxBytes) throw new Error('the disk has no room for both')
      await rm(aside, { recursive: true, force: true })
      await mkdir(aside)
      for (const name of names) await rename(join(folder, name), join(aside, name))
      onMessage(`${told}: what was there is now in ${aside}, which you may delete; the store begins empty`)
    } catch (error) {
      for (const name of names) await rm(join(folder, name), { force: true })
      onMessage(`${told}: what was there is removed (${(error as Error).message}); the store begins empty`)
    }
  }
  // Renamed into place, so that a crash leaves either none or all of it.
  const file = await open(`${path}.new`, 'w')
  try {
    await file.writeFile(`${FORMAT}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}
