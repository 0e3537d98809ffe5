// What the log costs a hit from memory: CPU per request without a log, with lines in S3 as two formats, and with the default sink.
import { parseArgs } from 'node:util'
import { fakeS3 } from '../packages/sinks/s3/test/fake-s3.ts'
import { pinSelf, twoCores } from './lib/cores.ts'
import { cpuMicros } from './lib/cpu.ts'
import { findLoad } from './lib/load.ts'
import { type Server, startOrigin, startScript } from './lib/peers.ts'
import { environment, type Measurement, median, type Row, ratios, table, writeSection } from './lib/report.ts'
import { Missing } from './lib/tools.ts'

/** Times the CPU of a hit without a log that one with lines in S3 may cost. */
const goal = 1.15
const plans = { full: { rounds: 50, seconds: 1 }, quick: { rounds: 5, seconds: 1 } }

interface Subject extends Row {
  readonly server: Server
  readonly rounds: Measurement[]
}

async function bench(quick: boolean, write: boolean): Promise<void> {
  const { rounds, seconds } = quick ? plans.quick : plans.full
  const cores = twoCores()
  const load = findLoad(cores.load)
  pinSelf(cores.load)
  const origin = await startOrigin(Buffer.alloc(1024, 'All work and no play makes Jack a dull boy.\n'))
  const bucket = await fakeS3()
  const script = `${import.meta.dirname}/subjects/simple-cdn.ts`
  const subject = async (name: string, log: string): Promise<Subject> => {
    const args = log.startsWith('s3') ? [log, bucket.url] : [log]
    const server = await startScript(cores.server, origin.url, script, { args, log: log === 'stdout' ? 'stdout' : 'count' })
    await (await fetch(`${server.url}/page`)).arrayBuffer()
    await load.run(`${server.url}/page`, 2)
    await server.logged()
    return { name, server, rounds: [] }
  }
  const without = await subject('without a log', 'none')
  const csv = await subject('the CSV of twelve columns in S3, with places', 's3-csv')
  const json = await subject('JSON lines in S3', 's3-json')
  const stdout = await subject('JSON lines to a file, by the default sink', 'stdout')
  const subjects = [without, csv, json, stdout]
  for (let round = 1; round <= rounds; round++) {
    for (const { name, server, rounds: measured } of subjects) {
      const [cpuBefore, wallBefore] = [cpuMicros(server.pid), performance.now()]
      const requests = await load.run(`${server.url}/page`, seconds)
      const [cpuAfter, wallAfter] = [cpuMicros(server.pid), performance.now()]
      const logged = await server.logged()
      if (name !== without.name && (logged ?? 0) < requests)
        throw new Error(`${name}: ${requests} requests, ${logged} log entries`)
      measured.push({ requests, cpuMicros: cpuAfter - cpuBefore, wallMicros: (wallAfter - wallBefore) * 1000 })
    }
    console.error(`round ${round} of ${rounds}`)
  }
  for (const { server } of subjects) await server.stop()
  const objects = bucket.objects.size
  await bucket.close()
  origin.close()

  const [worst = 0] = [median(ratios(csv, without)), median(ratios(json, without))].sort((a, b) => b - a)
  const text = [
    table(subjects, { '× without a log': without }),
    `Medians [ranges] over ${rounds} interleaved rounds of ${seconds} s; 64 connections. Files of 8 MiB went to S3 while it ran: ${objects} objects.`,
    `${environment(load.name)}.`,
    `With its log in S3, a hit takes ${worst.toFixed(2)} x the CPU of one without a log; the goal is at most ${goal}.`,
  ].join('\n\n')
  console.log(`\n${text}`)
  if (write) writeSection(new URL('../docs/benchmarks.md', import.meta.url), 'What the log costs', text)
  process.exitCode = worst <= goal ? 0 : 1
}

const { values: options } = parseArgs({ options: { quick: { type: 'boolean' }, write: { type: 'boolean' } } })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
try {
  await bench(options.quick === true, options.write === true)
} catch (error) {
  console.error(error instanceof Missing ? `The benchmark needs ${error.message}` : error)
  process.exit(error instanceof Missing ? 2 : 3)
}
