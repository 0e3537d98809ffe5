// `npm run logs:trouble -- down [MINUTES] [PER_SECOND]`: S3 is down under load, then back. `… full`: the disk of the queue is full.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { s3Batches } from '../../src/index.ts'
import { fakeS3 } from '../fake-s3.ts'
import { ACCESS } from './access.ts'
import { end, load, start, today } from './rounds.ts'

const [what = 'down', amount = '10', rate = '500'] = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-trouble-'))
const isFull = what === 'full'
if (isFull && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder]).status !== 0) {
  console.error('a disk of 24 MiB is needed, which only root may mount')
  process.exit(2)
}
const server = await fakeS3()
const running = await start(folder, server.url)
const memory = async (): Promise<{ rss: number; figures: Record<string, number> }> => {
  const answer = once(running.child, 'message')
  running.child.send('memory')
  return (await answer)[0]
}
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`
const completed = new Set<string>()
let next = 0
const asking = load(
  running.port,
  Number(rate),
  () => String(next++),
  (id) => completed.add(id),
)
await sleep(5_000)
const before = await memory()
server.isDown = true
if (isFull) {
  // Others fill the disk, but for some pages.
  writeFileSync(join(folder, 'others'), Buffer.alloc(22 * 1024 * 1024))
  await sleep(20_000)
}
const each: string[] = []
for (let minute = 0; !isFull && minute < Number(amount); minute++) {
  await sleep(60_000)
  each.push(megabytes((await memory()).rss))
}
const during = await memory()
if (isFull) rmSync(join(folder, 'others'))
server.isDown = false
await sleep(5_000)
asking.pause()
// What is under way is not given up: every request is to have an answer.
for (let turn = 0; completed.size < next && turn < 50; turn++) await sleep(100)
asking.stop()
await sleep(500)
await end(running)

const sink = s3Batches({ ...ACCESS, endpoint: server.url })
const lines = new Map<string, number>()
for await (const text of sink.read?.(today()) ?? [])
  for (const [, id = ''] of text.matchAll(/"url":"[^"]*\/page\?n=(\d+)"/g)) lines.set(id, (lines.get(id) ?? 0) + 1)
const verified = (await sink.verify?.(today(), { read: true })) ?? []
await sink.close?.()
await server.close()
if (isFull) spawnSync('umount', [folder])
rmSync(folder, { recursive: true, force: true })

const lost = [...completed].filter((id) => !lines.has(id)).length
const twice = [...lines.values()].filter((count) => count > 1).length
const dropped = verified.reduce((sum, each) => sum + each.dropped, 0)
console.log(`${isFull ? 'the disk full for 20 s and S3 down' : `S3 down for ${amount} minutes`}, under ${rate} requests a second
completed requests ${completed.size} of ${next} sent, lines ${lines.size}, lost ${lost}, twice ${twice}
memory (RSS) ${megabytes(before.rss)} before, ${megabytes(during.rss)} at the end of the trouble${
  each.length === 0 ? '' : `, minute by minute ${each.join(', ')}`
}; on disk ${megabytes(during.figures.diskBytes ?? 0)}
counted as dropped: by the sink ${during.figures.dropped}, by verify ${dropped}; gaps ${verified.reduce((sum, { gaps }) => sum + gaps.length, 0)}`)
process.exitCode = twice === 0 && lost === dropped && completed.size === next ? 0 : 1
