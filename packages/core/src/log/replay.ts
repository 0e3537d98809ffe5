// Sends what lies in a folder of a queue again, when no process does: a machine is gone and its disk is left, or something was set aside.
import { readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../http/time.ts'
import type { BatchSink } from './batch.ts'
import { lockFolder } from './folder-lock.ts'
import type { Replayed } from './sink.ts'
import { parseSegment } from './spool-file.ts'
import { Ledger } from './spool-ledger.ts'

const ATTEMPT_MS = 60_000

/** @throws Error when the folder is in use, or cannot be read. */
export async function replay(sink: BatchSink, folder: string): Promise<Replayed> {
  const unlock = await lockFolder(folder)
  try {
    const names = (await readdir(folder)).sort()
    const ledgers = new Map<string, Ledger>()
    for (const name of names.filter((each) => each.endsWith('.ledger'))) {
      const ledger = await Ledger.read(join(folder, name))
      if (ledger !== undefined && !ledger.ended) ledgers.set(ledger.boot.boot, ledger)
    }
    const failed: { file: string; reason: string }[] = []
    const unfinished = new Set<string>()
    let [files, entries] = [0, 0]
    for (const name of names.filter((each) => each.endsWith('.segment'))) {
      const path = join(folder, name)
      const batch = parseSegment(await readFile(path))?.batch
      try {
        if (batch !== undefined && batch.entries > 0) await sink.deliver(batch, AbortSignal.timeout(ATTEMPT_MS))
      } catch (error) {
        failed.push({ file: name, reason: error instanceof Error ? error.message : String(error) })
        if (batch !== undefined) unfinished.add(batch.boot)
        continue
      }
      if (batch !== undefined) ledgers.get(batch.boot)?.landed(batch)
      await unlink(path)
      files++
      entries += batch?.entries ?? 0
    }
    for (const [boot, ledger] of ledgers) {
      ledger.ended = !unfinished.has(boot)
      await ledger.save()
      for (const date of ledger.dates) await sink.publish?.(ledger.day(date, systemClock.now()), AbortSignal.timeout(ATTEMPT_MS))
    }
    return { files, entries, failed }
  } finally {
    await unlock()
  }
}
