// What a queue on disk may be told, and what it does when it is told nothing.
import { type Check, callable, integer, listOf, mistake, options as optionsOf, shown } from '../checks.ts'
import type { Millis } from '../http/time.ts'
import { bytes, milliseconds, someText } from './checked.ts'
import { type OpenSpoolFile, openSpoolFile } from './spool-file.ts'

const MB = 1024 * 1024

export interface SpoolOptions {
  /** Where the queue lies. One process at a time has it, and one sink. */
  folder: string
  /** Most bytes on disk; entries that come on top are dropped and counted. Default: 1 GiB. */
  maxBytes?: number
  /** Most bytes in memory while the disk is slow or full; entries that come on top are dropped and counted. Default: 8 MiB. */
  maxMemoryBytes?: number
  /** Entries reach the file within so many milliseconds: what a `kill -9` may take. Default: 50. */
  writeMs?: Millis
  /** The file reaches the disk within so many milliseconds: what a loss of power may take. Default: 1,000. */
  fsyncMs?: Millis
  /** A file of this size is delivered. Default: 8 MiB. */
  rotateBytes?: number
  /** A file of this age is delivered. Default: 60,000. */
  rotateMs?: Millis
  /** Longest single attempt to deliver, in milliseconds. Default: 60,000. */
  deliverMs?: Millis
  /** Shortest and longest wait between attempts, in milliseconds. Default: 500 and 60,000. */
  retryMs?: readonly [least: Millis, most: Millis]
  /** Longest wait in `flush` and `close`; what has not landed by then stays on disk for the next start. Default: 10,000. */
  maxFlushMs?: Millis
  /** How files are opened. Tests give one that fails. */
  openFile?: OpenSpoolFile
}

const wait = milliseconds(1)

const waits: Check = (value, path) => {
  if (!Array.isArray(value) || value.length !== 2)
    return mistake(path, `is ${shown(value)}; write two waits, the shortest and the longest, such as [500, 60000]`)
  const mistakes = listOf(wait, 'milliseconds')(value, path)
  const [least, most] = value
  return mistakes.length > 0 || least <= most
    ? mistakes
    : mistake(path, `has ${least} as the shortest wait and ${most} as the longest; write [${most}, ${least}]`)
}

/** A file is read as a whole before it is delivered. */
const MAX_ROTATE = 1024 * MB

/** What `SpoolOptions` may be. */
export const spoolCheck = optionsOf(
  {
    folder: someText('the path of a folder'),
    maxBytes: bytes,
    maxMemoryBytes: bytes,
    writeMs: milliseconds(0),
    fsyncMs: milliseconds(0),
    rotateBytes: integer(1, MAX_ROTATE),
    rotateMs: wait,
    deliverMs: wait,
    retryMs: waits,
    maxFlushMs: milliseconds(0),
    openFile: callable('a function that opens a file'),
  },
  { folder: 'the path of a folder that no other sink has' },
)

export function withDefaults(options: SpoolOptions): Required<SpoolOptions> {
  return {
    folder: options.folder,
    maxBytes: options.maxBytes ?? 1024 * MB,
    maxMemoryBytes: options.maxMemoryBytes ?? 8 * MB,
    writeMs: options.writeMs ?? 50,
    fsyncMs: options.fsyncMs ?? 1_000,
    rotateBytes: options.rotateBytes ?? 8 * MB,
    rotateMs: options.rotateMs ?? 60_000,
    deliverMs: options.deliverMs ?? 60_000,
    retryMs: options.retryMs ?? [500, 60_000],
    maxFlushMs: options.maxFlushMs ?? 10_000,
    openFile: options.openFile ?? openSpoolFile,
  }
}
