// One life of a store: a child writes until it is killed, then everything it acknowledged is looked for, byte for byte.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { diskStore } from '../../src/index.ts'
import { assertBytes, bytes, key, sliceOf } from '../helpers.ts'

export interface Round {
  /** Responses and slices that were acknowledged and neither removed nor evicted as far as the child said. */
  readonly acknowledged: number
  readonly survived: number
  /** Of those that did not survive: acknowledged more than a second before the kill. */
  readonly lostOld: number
  readonly removed: number
  readonly removedButBack: number
  readonly damaged: number
  readonly records: number
  readonly recoveryMs: number
}

/** What a child has told before its time begins to run. */
const LEAST_LINES = 60

/**
 * With room for everything, nothing acknowledged may be lost. `from` is the first number of the ids to write, as the folder has those of
 * earlier rounds.
 */
export async function killRound(
  folder: string,
  { maxBytes, afterMs, from }: { maxBytes: number; afterMs: number; from: number },
): Promise<Round> {
  const args = ['--conditions=@simple-cdn/source', join(import.meta.dirname, 'child.ts'), folder, `${maxBytes}`, `${from}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text
  })
  const ended = once(child, 'close')
  // However busy the machine is: it has to be in the middle of its work.
  while (output.split('\n').length < LEAST_LINES) {
    await Promise.race([once(child.stdout, 'data'), ended])
    if (child.exitCode !== null) throw new Error(`the child ended on its own, with ${child.exitCode}`)
  }
  await sleep(afterMs)
  child.kill('SIGKILL')
  await ended

  const stored = new Map<string, number>()
  const removing = new Set<string>()
  const removed = new Set<string>()
  const freshened = new Set<string>()
  let lastMs = 0
  // What stands behind the last end of line was not told whole.
  for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n')) {
    const [ms, what, id = '', slice] = line.split(' ')
    lastMs = Number(ms)
    if (what === 'stored' || what === 'slice') stored.set(slice === undefined ? id : `${id} ${slice}`, lastMs)
    else if (what === 'removing') removing.add(id)
    else if (what === 'removed') removed.add(id)
    else if (what === 'freshened') freshened.add(id)
  }

  const before = performance.now()
  const store = await diskStore({ folder, maxBytes })
  const recoveryMs = performance.now() - before
  const counts = { acknowledged: 0, survived: 0, lostOld: 0, removedButBack: 0 }
  for (const [name, ms] of stored) {
    const [id = '', slice] = name.split(' ')
    // Whether it was removed is known only of what was acknowledged.
    if (removing.has(id)) continue
    counts.acknowledged++
    const [, length = 0, sliceBytes = 0] = id.split('-').map(Number)
    const [head] = await store.lookup(key(id))
    const isWhole = head !== undefined && (!freshened.has(id) || head.meta.receivedAt === 3)
    const body =
      sliceBytes === 0 || slice !== undefined
        ? await store.read(id, { slice: slice === undefined ? undefined : Number(slice) })
        : undefined
    if (sliceBytes > 0 && slice === undefined ? isWhole : isWhole && body !== undefined) counts.survived++
    else if (ms < lastMs - 1000) counts.lostOld++
    if (body !== undefined)
      assertBytes(body, slice === undefined ? bytes(id, length) : sliceOf(id, Number(slice), length, sliceBytes), name)
  }
  for (const id of removed) if ((await store.lookup(key(id))).length > 0 || store.has(id, 0)) counts.removedButBack++
  const { damaged, responses } = store.stats()
  await store.close()
  return { ...counts, removed: removed.size, damaged, records: responses, recoveryMs }
}
