// Whose folder it is, and in which format: a lock that names its holder, and a file that names the version.
import { readFileSync } from 'node:fs'
import { link, mkdir, open, readdir, readFile, rename, rm, statfs, unlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const FORMAT = 'simple-cdn store-disk 1'
const SEGMENT_NAME = /^[0-9a-f]{8}\.segment$/

/** Files of ours; whatever else lies in the folder is left alone. */
const isOurs = (name: string): boolean => name === 'format' || SEGMENT_NAME.test(name)

/** Folders that this process has open, which its own process id in a lock does not tell. */
const open_ = new Set<string>()

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
 * Makes the folder, and holds it until the returned function is called.
 * @throws Error when another process holds it.
 */
export async function takeFolder(folder: string): Promise<() => Promise<void>> {
  const place = resolve(folder)
  await mkdir(place, { recursive: true })
  if (open_.has(place)) throw inUse(folder, process.pid)
  open_.add(place)
  try {
    await takeLock(folder, join(place, 'lock'))
  } catch (error) {
    open_.delete(place)
    throw error
  }
  return async () => {
    await unlink(join(place, 'lock')).catch(() => {})
    open_.delete(place)
  }
}

async function takeLock(folder: string, lock: string): Promise<void> {
  const own = `${lock}.${process.pid}`
  // Linking it makes it appear with its text, or not at all.
  await writeFile(own, identity(process.pid))
  try {
    for (;;) {
      try {
        return await link(own, lock)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const holder = await readFile(lock, 'latin1').catch(() => '')
      if (isAlive(holder)) throw inUse(folder, Number.parseInt(holder, 10))
      const stale = `${own}.stale`
      await rename(lock, stale).catch(() => {})
      const moved = await readFile(stale, 'latin1').catch(() => holder)
      // Another process was quicker, and what was moved is its new lock.
      if (moved !== holder) await link(stale, lock).catch(() => {})
      await rm(stale, { force: true })
    }
  } finally {
    await rm(own, { force: true })
  }
}

function inUse(folder: string, pid: number): Error {
  return new Error(`${folder} is in use by process ${pid}: a disk store's folder belongs to one process at a time`)
}

/** A process id, and what tells it from an earlier process that had the same: in a container, everybody is number 1. */
function identity(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program, in parentheses, may itself have spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // One that has ended, and whose parent has not asked about it yet, is the same as none.
    return `${pid} ${boot} ${fields[0] === 'Z' ? 'ended' : fields[19]}`
  } catch {
    return `${pid}`
  }
}

function isAlive(holder: string): boolean {
  const pid = Number.parseInt(holder, 10)
  // This process holds no lock on the folder, or `open_` would have said so.
  if (!(pid > 0) || pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = identity(pid)
  return !now.includes(' ') || !holder.includes(' ') || now === holder
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
