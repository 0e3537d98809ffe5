// What the files of cacache take on a disk, its folders included, and the removal of folders that have become empty.
//
// cacache spreads its files over two trees of 65,536 folders and never removes one. In a small store that is written to for long,
// empty folders would take more than everything in them.
import { createHash } from 'node:crypto'
import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What file systems give out at a time. */
const BLOCK = 4096
/** A name in a folder: 60 characters, and room to spare. */
const NAME_BYTES = 96

export const INDEX = 'index-v5'
export const CONTENT = join('content-v2', 'sha256')

/** Bytes that a file of this length takes. */
export function onDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK
}

/** The folder of an entry in cacache's index, by its key. */
export function indexFolder(key: string): number {
  return createHash('sha256').update(key).digest().readUInt16BE()
}

/** The folder of a content, by its digest in base64. */
export function contentFolder(digest: string): number {
  return Buffer.from(digest.slice(0, 4), 'base64').readUInt16BE()
}

export class Tree {
  readonly #root: string
  /** Files in each folder. */
  readonly #files = new Uint32Array(65_536)
  /** Folders in each folder above. */
  readonly #folders = new Uint16Array(256)
  #bytes = 0

  constructor(root: string) {
    this.#root = root
  }

  /** What the folders themselves take. */
  get bytes(): number {
    return this.#bytes
  }

  /** Counts a file that is to be written, and keeps its folder. */
  add(folder: number): void {
    const files = (this.#files[folder] as number)++
    this.#bytes += folderBytes(files + 1) - folderBytes(files)
    if (files === 0 && (this.#folders[folder >> 8] as number)++ === 0) this.#bytes += BLOCK
  }

  /** Counts a file that is to be removed. Call `tidy` when it is gone. */
  delete(folder: number): void {
    const files = (this.#files[folder] as number)--
    this.#bytes += folderBytes(files - 1) - folderBytes(files)
    if (files === 1 && --(this.#folders[folder >> 8] as number) === 0) this.#bytes -= BLOCK
  }

  /** Removes a folder that has become empty, and the one above with it. */
  async tidy(folder: number): Promise<void> {
    const [above, name] = names(folder)
    if (this.#files[folder] === 0) await remove(join(this.#root, above, name))
    if (this.#folders[folder >> 8] === 0) await remove(join(this.#root, above))
  }
}

async function remove(path: string): Promise<void> {
  // Another file may be on its way out of it still, and will tidy up after itself.
  await rmdir(path).catch(() => {})
}

function folderBytes(files: number): number {
  return files === 0 ? 0 : onDisk(files * NAME_BYTES)
}

function names(folder: number): [above: string, name: string] {
  const digits = folder.toString(16).padStart(4, '0')
  return [digits.slice(0, 2), digits.slice(2)]
}
