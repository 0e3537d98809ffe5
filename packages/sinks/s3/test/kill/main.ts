// `npm run logs:kill -- [ROUNDS] [PER_SECOND] [--ceph]`: kills a cache under load again and again, and prints what is in the bucket.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { S3Client } from '../../src/index.ts'
import { cephIsMissing, startCeph } from '../ceph.ts'
import { fakeS3 } from '../fake-s3.ts'
import { ACCESS } from './access.ts'
import { killRounds } from './rounds.ts'

const { values, positionals } = parseArgs({ options: { ceph: { type: 'boolean' } }, allowPositionals: true })
const [rounds, perSecond] = [Number(positionals[0] ?? 100), Number(positionals[1] ?? 2_000)]
const missing = values.ceph === true ? cephIsMissing() : undefined
if (missing !== undefined) {
  console.error(missing)
  process.exit(2)
}
const server = values.ceph === true ? await startCeph() : await fakeS3()
if (values.ceph === true) await new S3Client({ ...ACCESS, endpoint: server.url }).createBucket()
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-kill-'))
const got = await killRounds(folder, server.url, rounds, perSecond, (round) => {
  if (round % 10 === 9) console.error(`round ${round + 1} of ${rounds}`)
})
await ('stop' in server ? server.stop() : server.close())
rmSync(folder, { recursive: true, force: true })

const served = got.verified.reduce((sum, each) => sum + (each.served ?? 0), 0)
const landed = got.verified.reduce((sum, each) => sum + each.landed, 0)
console.log(`${rounds} rounds of kill -9 under ${perSecond} requests a second; ${values.ceph === true ? "Ceph's gateway" : 'the strict fake'}
completed requests                             ${got.completed}
  more than the fsync interval before the kill ${got.settled}
    without a line in the bucket               ${got.lost}
  later than that                              ${got.completed - got.settled}
    without a line                             ${got.lostLate}, the earliest ${got.lostWithinMs.toFixed(0)} ms before the kill
lines ${got.lines} in ${got.objects} objects, in them twice: ${got.twice}
verify: ${got.verified.length} processes, served ${served}, landed ${landed}, gaps ${got.gaps}, open ${got.verified.filter(({ open }) => open).length}, damaged ${got.verified.reduce((sum, { damaged }) => sum + damaged.length, 0)}`)
process.exitCode = got.lost + got.twice + got.gaps === 0 && served === landed ? 0 : 1
