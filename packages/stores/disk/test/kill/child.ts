// Writes at random to a store in the folder it is given, and says what was acknowledged, until it is killed.
import { writeSync } from 'node:fs'
import { diskStore } from '../../src/index.ts'
import { bytes, key, meta, sliceOf } from '../helpers.ts'

const [folder = '', maxBytes = '', from = ''] = process.argv.slice(2)
const began = process.hrtime.bigint()
const store = await diskStore({ folder, maxBytes: Number(maxBytes), onMessage: (message) => console.error(message) })
const sinceMs = (): string => String((process.hrtime.bigint() - began) / 1_000_000n)
// Written at once, so that no acknowledgement dies with the process in a buffer.
const tell = (line: string): void => {
  writeSync(1, `${sinceMs()} ${line}\n`)
}
const random = (below: number): number => Math.floor(Math.random() * below)

// An id says all that is needed to check it: its number, its length, the length of its slices.
let next = Number(from)
const recent: string[] = []
tell('open')

async function one(): Promise<void> {
  const choice = random(20)
  const old = recent[random(recent.length)]
  if (choice === 0 && old !== undefined) {
    recent.splice(recent.indexOf(old), 1)
    tell(`removing ${old}`)
    if (random(2) === 0) await store.remove(key(old))
    else await store.discard(old)
    tell(`removed ${old}`)
    return
  }
  if (choice === 1 && old !== undefined) {
    const [, length = 0, sliceBytes = 0] = old.split('-').map(Number)
    if (await store.freshen(meta(old, { length, receivedAt: 3, ...(sliceBytes > 0 && { sliceBytes }) }))) tell(`freshened ${old}`)
    return
  }
  if (choice < 5) {
    const [length, sliceBytes] = [1 + random(400_000), 50_000]
    const id = `${next++}-${length}-${sliceBytes}`
    if (!(await store.write(meta(id, { length, sliceBytes })))) return
    tell(`stored ${id}`)
    for (let slice = 0; slice * sliceBytes < length; slice++)
      if (await store.writeSlice(id, slice, sliceOf(id, slice, length, sliceBytes))) tell(`slice ${id} ${slice}`)
    recent.push(id)
  } else {
    const length = random(random(10) === 0 ? 300_000 : 20_000)
    const id = `${next++}-${length}-0`
    if (await store.write(meta(id, { length }), bytes(id, length))) tell(`stored ${id}`)
    recent.push(id)
  }
  if (recent.length > 100) recent.shift()
}

for (;;) await Promise.all(Array.from({ length: 1 + random(8) }, one))
