// Whose folder it is: a lock that names the process that holds it, and is worth nothing once that process is gone.
import { readFileSync } from 'node:fs'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** Folders that this process holds. */
const held = new Set<string>()

/**
 * Holds a folder, which is there, until the returned function is called.
 * @throws Error when somebody else holds it, this process included.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const place = resolve(folder)
  if (held.has(place))
    throw new Error(`${folder} is in use by this process already; give everything that needs one a folder of its own`)
  held.add(place)
  const lock = join(place, 'lock')
  const own = `${lock}.${process.pid}`
  try {
    // Linked, it appears with its text, or not at all.
    await writeFile(own, identity(process.pid))
    for (let tries = 0; !(await linked(own, lock)); tries++) {
      const holder = await readFile(lock, 'latin1').catch(() => '')
      if (tries > 10 || isAlive(holder)) throw new Error(`${folder} is in use by process ${Number.parseInt(holder, 10)}`)
      await rename(lock, `${own}.stale`).catch(() => {})
      const moved = await readFile(`${own}.stale`, 'latin1').catch(() => holder)
      // Another process was quicker, and what was moved is its new lock.
      if (moved !== holder) await linked(`${own}.stale`, lock)
      await rm(`${own}.stale`, { force: true })
    }
  } catch (error) {
    held.delete(place)
    throw error
  } finally {
    await rm(own, { force: true })
  }
  return async () => {
    await rm(lock, { force: true })
    held.delete(place)
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** A process id, and what tells it from an earlier process that had the same: in a container, everybody is number 1. */
function identity(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program, in parentheses, may itself have spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return `${pid} ${boot} ${fields[0] === 'Z' ? 'ended' : fields[19]}`
  } catch {
    return `${pid}`
  }
}

function isAlive(holder: string): boolean {
  const pid = Number.parseInt(holder, 10)
  // This process holds no lock on the folder, or `held` would have said so.
  if (!(pid > 0) || pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = identity(pid)
  return !now.includes(' ') || !holder.includes(' ') || now === holder
}
