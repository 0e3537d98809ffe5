// A hit from memory of 1 KiB beside nginx: CPU per request, in interleaved rounds on the same core. See README.md.
import { parseArgs } from 'node:util'
import { pinSelf, twoCores } from './lib/cores.ts'
import { cpuMicros } from './lib/cpu.ts'
import { findLoad } from './lib/load.ts'
import { type BenchOrigin, type Server, startNginx, startOrigin, startProgram, startScript } from './lib/peers.ts'
import { environment, type Measurement, median, type Row, ratios, table, writeSection } from './lib/report.ts'
import { Missing, requireNginx } from './lib/tools.ts'

const bodyBytes = 1024

/** Times nginx's CPU per request that a hit may cost, log entry included. */
const goal = 1.1

/** Full: some two and a half minutes. Quick: some 40 s. Many short rounds: what disturbs the machine seldom spares only some of a round. */
const plans = {
  full: { warmUpSeconds: 2, rounds: 25, seconds: 1 },
  quick: { warmUpSeconds: 1, rounds: 5, seconds: 1 },
}

interface Subject extends Row {
  readonly server: Server
  /** Whether it says in Cache-Status that it has a hit. */
  readonly tellsHits: boolean
  readonly rounds: Measurement[]
}

async function startSubjects(core: number, origin: string) {
  const script = (name: string) => `${import.meta.dirname}/subjects/${name}.ts`
  const subject = (name: string, server: Server, tellsHits: boolean): Subject => ({ name, server, tellsHits, rounds: [] })
  return {
    nginx: subject('nginx', await startNginx(core, origin, { accessLog: true }), false),
    nginxNoLog: subject('nginx, no access log', await startNginx(core, origin, { accessLog: false }), false),
    nodeLean: subject('node:http, lean', await startScript(core, origin, script('node-lean'), { log: 'none' }), false),
    embedded: subject('simple-cdn on node:http', await startScript(core, origin, script('simple-cdn'), { log: 'stdout' }), true),
    program: subject('simple-cdn start', await startProgram(core, origin), true),
  }
}

/** Asks once, as any client would. Throws when the answer is not the stored one. */
async function expectHit({ name, server, tellsHits }: Subject, { body }: BenchOrigin): Promise<void> {
  const response = await fetch(`${server.url}/page`)
  const got = Buffer.from(await response.arrayBuffer())
  const cacheStatus = response.headers.get('cache-status')
  if (response.status !== 200 || !got.equals(body)) throw new Error(`${name}: ${response.status} with ${got.length} bytes`)
  if (tellsHits && !/; *hit\b/.test(cacheStatus ?? '')) throw new Error(`${name}: no hit, Cache-Status is ${cacheStatus}`)
}

/** Puts load on one subject, and makes sure that it did what it is measured for: hits only, and a log entry for each. */
async function measure(subject: Subject, origin: BenchOrigin, load: (url: string) => Promise<number>): Promise<Measurement> {
  const { name, server } = subject
  await expectHit(subject, origin)
  await server.logged()
  const asked = origin.requests()
  const [cpuBefore, wallBefore] = [cpuMicros(server.pid), performance.now()]
  const requests = await load(`${server.url}/page`)
  const [cpuAfter, wallAfter] = [cpuMicros(server.pid), performance.now()]
  if (origin.requests() !== asked) throw new Error(`${name}: asked the origin again`)
  await expectHit(subject, origin)
  const logged = await server.logged()
  if (logged !== undefined && logged < requests) throw new Error(`${name}: ${requests} requests, ${logged} log entries`)
  return { requests, cpuMicros: cpuAfter - cpuBefore, wallMicros: (wallAfter - wallBefore) * 1000 }
}

async function bench(quick: boolean, write: boolean): Promise<void> {
  const { warmUpSeconds, rounds, seconds } = quick ? plans.quick : plans.full
  const nginxVersion = requireNginx()
  const cores = twoCores()
  const load = findLoad(cores.load)
  pinSelf(cores.load)

  const origin = await startOrigin(Buffer.alloc(bodyBytes, 'All work and no play makes Jack a dull boy.\n'))
  const { nginx, nginxNoLog, nodeLean, embedded, program } = await startSubjects(cores.server, origin.url)
  const subjects = [nginx, nginxNoLog, nodeLean, embedded, program]
  for (const { server } of subjects) await (await fetch(`${server.url}/page`)).arrayBuffer()
  for (const subject of subjects) await measure(subject, origin, (url) => load.run(url, warmUpSeconds))
  for (let round = 1; round <= rounds; round++) {
    for (const subject of subjects) subject.rounds.push(await measure(subject, origin, (url) => load.run(url, seconds)))
    console.error(`round ${round} of ${rounds}`)
  }
  for (const { server } of subjects) await server.stop()
  origin.close()

  const ratio = median(ratios(program, nginx))
  const text = [
    table(subjects, { '× nginx': nginx, '× nginx, no access log': nginxNoLog }),
    `Medians [ranges] over ${rounds} interleaved rounds of ${seconds} s; body ${bodyBytes} bytes, 64 connections.`,
    `${environment(`nginx ${nginxVersion}`, load.name)}.`,
    `With each writing its log to a file, simple-cdn takes ${ratio.toFixed(2)} x the CPU of nginx; the goal is at most ${goal}.`,
  ].join('\n\n')
  console.log(`\n${text}`)
  if (write) writeSection(new URL('../docs/benchmarks.md', import.meta.url), 'A hit from memory, 1 KiB', text)
  process.exitCode = ratio <= goal ? 0 : 1
}

const { values: options } = parseArgs({ options: { quick: { type: 'boolean' }, write: { type: 'boolean' } } })
// Ends the servers, too: see peers.ts.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
try {
  await bench(options.quick === true, options.write === true)
} catch (error) {
  console.error(error instanceof Missing ? `The benchmark needs ${error.message}` : error)
  process.exit(error instanceof Missing ? 2 : 3)
}
