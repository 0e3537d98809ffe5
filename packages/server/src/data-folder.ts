// The folder .simple-cdn/ beside the configuration: where `simple-cdn explain` finds the server that runs there.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the admin listener of a running server is, and what opens it. */
export interface AdminAccess {
  readonly url: string
  /** `undefined`: whoever configured it knows it. */
  readonly token: string | undefined
}

export function dataFolder(project: string): string {
  return join(project, '.simple-cdn')
}

/** Only the owner can read it, and it stays out of version control. */
export async function writeAdminAccess(folder: string, access: AdminAccess): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, '.gitignore'), '*\n')
  // A new file, since an old one would keep its mode; renamed, so that nobody reads half of it.
  const unfinished = join(folder, `admin.${process.pid}.json`)
  await rm(unfinished, { force: true })
  await writeFile(unfinished, `${JSON.stringify(access)}\n`, { mode: 0o600, flag: 'wx' })
  await rename(unfinished, join(folder, 'admin.json'))
}

/** `undefined` when no server has left word there. */
export async function readAdminAccess(folder: string): Promise<AdminAccess | undefined> {
  try {
    const { url, token } = JSON.parse(await readFile(join(folder, 'admin.json'), 'utf8'))
    return typeof url === 'string' ? { url, token } : undefined
  } catch {
    return undefined
  }
}

/** Removes the word of this server; a later one's stays. */
export async function removeAdminAccess(folder: string, access: AdminAccess): Promise<void> {
  if ((await readAdminAccess(folder))?.url === access.url) await rm(join(folder, 'admin.json'), { force: true })
}
