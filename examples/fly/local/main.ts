// `npm run fly:local`: five machines, five minutes of traffic, one killed, one stopped and resumed, all deployed one after the other, 100 purges, with a real S3 and a real NATS; prints
// what came of it. `-- --minutes 1 --machines 3 --purges 20 --rate 100` for something else.
import { parseArgs } from 'node:util'
import { S3Client } from '@simple-cdn/sink-s3'
import { natsIsMissing, startNats } from '../../../packages/bus-nats/test/nats-server.ts'
import { cephIsMissing, startCeph } from '../../../packages/sinks/s3/test/ceph.ts'
import { faults, runLocalFly } from './run.ts'

const REGIONS = ['iad', 'fra', 'nrt', 'ord', 'syd']

const { values } = parseArgs({
  options: {
    machines: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '5' },
    purges: { type: 'string', default: '100' },
    rate: { type: 'string', default: '100' },
  },
})

if (!(Number(values.machines) >= 2)) {
  console.error(`--machines is ${values.machines}: one is killed, and another has to answer; write 2 or more`)
  process.exit(2)
}
const missing = cephIsMissing() ?? natsIsMissing()
if (missing !== undefined) {
  console.error(`There is no S3, or no NATS, to be had: ${missing}.`)
  process.exit(1)
}
console.log('Starting an S3 server (Ceph) and NATS …')
const [ceph, nats] = await Promise.all([startCeph(), startNats()])
try {
  const bucket = { endpoint: ceph.url, name: 'logs', accessKeyId: ceph.accessKeyId, secretAccessKey: ceph.secretAccessKey }
  const client = new S3Client({ ...bucket, bucket: bucket.name, region: 'us-east-1' })
  await client.createBucket()
  await client.close()
  const figures = await runLocalFly({
    regions: Array.from({ length: Number(values.machines) }, (_, at) => REGIONS[at % REGIONS.length] as string),
    seconds: Number(values.minutes) * 60,
    purges: Number(values.purges),
    perSecond: Number(values.rate),
    bucket,
    nats: nats.urls[0],
    say: (what) => console.log(what),
  })
  const { traffic, proxy, asked, purges, purgeMs, exits, log } = figures
  const sum = (of: (each: (typeof log)[number]) => number): number => log.reduce((total, each) => total + of(each), 0)
  const rows: readonly (readonly [string, string | number])[] = [
    ['requests', traffic.requests],
    ['hits', `${((100 * traffic.hits) / traffic.requests).toFixed(1)} %, and ${asked} requests to the site`],
    ['failed, under way on the killed machine', proxy.inFlightOnKilled],
    ['failed otherwise', traffic.failed - proxy.inFlightOnKilled],
    ['asked again by the proxy (refused, or an idle connection closed)', proxy.again],
    ['found no machine', proxy.unplaced],
    [
      'purges',
      `${purges}, to the last receipt ${purgeMs.median.toFixed(0)} ms (median), ${purgeMs.most.toFixed(0)} ms (longest)`,
    ],
    ['old versions after the receipts', traffic.old],
    ['machines that were told to stop', `${exits.length}, exit codes ${[...new Set(exits)]}`],
    ['log: processes', log.length],
    ['log: served', sum(({ served }) => served ?? 0)],
    ['log: landed', sum(({ landed }) => landed)],
    ['log: dropped and counted', sum(({ dropped }) => dropped)],
    ['answers that the proxy and its checks got', proxy.answered + proxy.checks],
  ]
  console.log('')
  for (const [what, figure] of rows) console.log(`${what.padEnd(66)} ${figure}`)
  const found = faults(figures)
  console.log(found.length === 0 ? '\nNothing is wrong.' : `\nWrong:\n  ${[...found, ...traffic.examples].join('\n  ')}`)
  process.exitCode = found.length === 0 ? 0 : 1
} finally {
  await Promise.all([ceph.stop(), nats.stop()])
}
