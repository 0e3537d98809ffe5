// A sink that writes to a file, and begins a new one by size and by age; so many old ones are kept.
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { integer, options } from '../checks.ts'
import type { Millis } from '../http/time.ts'
import { bytes, checkedSink, lineFormat, someText } from './checked.ts'
import type { LogFormat } from './formats/format.ts'
import { jsonLine } from './json-line.ts'
import { type QueueOptions, queueChecks, queued } from './queued.ts'
import type { LogSink } from './sink.ts'

export interface FileSinkOptions extends QueueOptions {
  path: string
  /** Default: JSON lines. */
  format?: LogFormat
  /** A file of this size becomes an old one. Default: 100 MiB. */
  rotateBytes?: number
  /** A file of this age becomes an old one. Default: a day. */
  rotateMs?: Millis
  /** How many old ones are kept. Default: 10. */
  keep?: number
}

const check = options(
  {
    path: someText('the path of a file'),
    format: lineFormat,
    rotateBytes: bytes,
    rotateMs: integer(1, Number.MAX_SAFE_INTEGER),
    keep: integer(0, Number.MAX_SAFE_INTEGER),
    ...queueChecks,
  },
  { path: 'the path of a file' },
)

/**
 * An old file is called like the file, with the time at which it became one: "access.log.2014-06-06T000000.000Z". The file is opened
 * for each write, so other programs may move it away. A disk that is full is tried again; meanwhile lines wait in memory.
 */
export function fileSink(options: FileSinkOptions): LogSink & { readonly dropped: number } {
  return checkedSink('fileSink', check, options, fileSinkOf)
}

function fileSinkOf({
  path,
  format = jsonLine,
  rotateBytes = 100 * 1024 * 1024,
  rotateMs = 86_400_000,
  keep = 10,
  ...options
}: FileSinkOptions): LogSink & { readonly dropped: number } {
  let begunAt: Millis | undefined
  return queued(
    {
      name: `file:${path}`,
      format,
      async send(lines, { clock }) {
        await mkdir(dirname(path), { recursive: true })
        const { size, birthtimeMs } = await stat(path).catch(() => ({ size: 0, birthtimeMs: clock.now() }))
        begunAt ??= birthtimeMs
        if (size > 0 && (size >= rotateBytes || clock.now() - begunAt >= rotateMs)) {
          await rename(path, `${path}.${new Date(clock.now()).toISOString().replaceAll(':', '')}`)
          await removeOldest(path, keep)
          begunAt = clock.now()
        }
        const bytes = Buffer.from(lines.join(''))
        const file = await open(path, 'a')
        try {
          const before = (await file.stat()).size
          try {
            await file.writeFile(bytes)
          } catch (error) {
            // They come again, all of them.
            await file.truncate(before).catch(() => {})
            throw error
          }
        } finally {
          await file.close()
        }
      },
    },
    options,
  )
}

async function removeOldest(path: string, keep: number): Promise<void> {
  const start = `${basename(path)}.`
  const isOld = (name: string): boolean =>
    name.startsWith(start) && /^\d{4}-\d\d-\d\dT\d{6}\.\d{3}Z$/.test(name.slice(start.length))
  const old = (await readdir(dirname(path))).filter(isOld).sort()
  for (const name of old.slice(0, Math.max(0, old.length - keep))) await unlink(join(dirname(path), name))
}
