// The few things the store asks of the file system while it runs; tests pass one that fails.
import fs from 'node:fs'

export interface Files {
  open(path: string, flags: string): Promise<number>
  close(file: number): Promise<void>
  /** Fills `into` from `at`; fewer bytes only where the file ends. */
  read(file: number, into: Uint8Array, at: number): Promise<number>
  /** Fills one after the other from `at`; fewer bytes also where it is more trouble to go on. */
  readv(file: number, into: readonly Uint8Array[], at: number): Promise<number>
  /** Writes all of it, or rejects. */
  write(file: number, parts: readonly Uint8Array[], at: number): Promise<void>
  truncate(file: number, bytes: number): Promise<void>
  sync(file: number): Promise<void>
  unlink(path: string): Promise<void>
}

/** Callbacks under these promises: a FileHandle costs twice as much for each read. */
export const realFiles: Files = {
  open: (path, flags) => call((done) => fs.open(path, flags, done)),
  close: (file) => call((done) => fs.close(file, done)),
  // One promise for all of it: this is what a hit from disk waits for.
  read: (file, into, at) =>
    new Promise((resolve, reject) => {
      const read = (filled: number): void =>
        fs.read(file, into, filled, into.byteLength - filled, at + filled, (error, bytes) => {
          if (error !== null) reject(error)
          else if (bytes === 0 || filled + bytes === into.byteLength) resolve(filled + bytes)
          else read(filled + bytes)
        })
      if (into.byteLength === 0) resolve(0)
      else read(0)
    }),
  readv: (file, into, at) => call((done) => fs.readv(file, into, at, done)),
  async write(file, parts, at) {
    let left = parts.filter((part) => part.byteLength > 0)
    let position = at
    while (left.length > 0) {
      let written = await call<number>((done) => fs.writev(file, left, position, done))
      position += written
      // A disk that is nearly full takes a part, and refuses the rest the next time.
      while (left[0] !== undefined && written >= left[0].byteLength) {
        written -= left[0].byteLength
        left = left.slice(1)
      }
      if (left[0] !== undefined && written > 0) left = [left[0].subarray(written), ...left.slice(1)]
    }
  },
  truncate: (file, bytes) => call((done) => fs.ftruncate(file, bytes, done)),
  sync: (file) => call((done) => fs.fdatasync(file, done)),
  unlink: (path) => call((done) => fs.unlink(path, done)),
}

function call<T = void>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value as T) : reject(error)))
  })
}
