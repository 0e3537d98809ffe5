// A body of 64 MiB beside nginx and Varnish: whole, in ranges, and on its first way in; throughput, CPU per GB, memory. See README.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pinSelf, twoCores } from './lib/cores.ts'
import { cpuNanosOfThreads, forgetPeak, peakBytes } from './lib/cpu.ts'
import { output } from './lib/load.ts'
import { type BenchOrigin, type Server, startNginx, startOrigin, startProgram, startScript, startVarnish } from './lib/peers.ts'
import { environment, markdown, median, withRange, writeSection } from './lib/report.ts'
import { contentOf } from './lib/sparse.ts'
import { Missing, requireNginx, requireVarnish, requireWrk } from './lib/tools.ts'

const MB = 1024 ** 2
const GB = 1024 ** 3
const bodyBytes = 64 * MB
const rangeBytes = MB
const connections = 4

/**
 * Full: some eight minutes. Quick: some two, and wider ranges. Many short rounds tell more than few long ones; but a process that has waited for
 * five others takes a tenth more in its first second, and none of them is there to wait.
 */
const plans = {
  full: { rounds: 6, seconds: 3, fills: 10 },
  quick: { rounds: 3, seconds: 1, fills: 3 },
}
/** What is compiled while it runs is not what it is after some thousand requests: the round that does not count is longer, in seconds. */
const warmUp = 6

const leastThroughput = 0.9
/** Times what Node itself takes for each byte, at least: what more than that we may add, where nginx is out of Node's reach. */
const overFloor = 1.25

interface Goals {
  /** Times nginx's CPU for each byte. */
  readonly cpu: number
  readonly memoryBytes: number
  /** The subject that does as little as Node can do. */
  readonly floor: string
}

interface Measurement {
  readonly bytes: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakBytes: number
}

interface Subject {
  readonly name: string
  readonly server: Server
  readonly goals?: Goals
  /** Has one body only, and asks for none. */
  readonly isFloor?: boolean
}

interface Case {
  readonly name: string
  /** How many requests the origin gets of it. */
  readonly fills: number
  /** Puts load on a server, for so many seconds where it is not a number of fills; gives how many bytes of bodies came. */
  load(subject: Subject, seconds: number): Promise<number>
  readonly measured: Map<Subject, Measurement[]>
}

async function startSubjects(core: number, origin: string): Promise<Subject[]> {
  const script = new URL('subjects/net-lean.ts', import.meta.url).pathname
  const lean = (from: string): Promise<Server> => startScript(core, origin, script, { args: [from], log: 'none' })
  return [
    { name: 'nginx', server: await startNginx(core, origin, { accessLog: true }) },
    { name: 'Varnish', server: await startVarnish(core, origin) },
    { name: 'node:net, from disk', server: await lean('disk'), isFloor: true },
    { name: 'node:net, from memory', server: await lean('memory'), isFloor: true },
    {
      name: 'simple-cdn, from disk',
      // So small that no slice moves up into memory, however often it is read.
      server: await startProgram(core, origin, { memory: '192mb', disk: '4gb', slice: '1mb' }),
      goals: { cpu: 2.5, memoryBytes: 192 * MB, floor: 'node:net, from disk' },
    },
    {
      name: 'simple-cdn, from memory',
      server: await startProgram(core, origin, { memory: '512mb', disk: false }),
      goals: { cpu: 1.8, memoryBytes: 512 * MB, floor: 'node:net, from memory' },
    },
  ]
}

/** Any bytes, the same for each server. wrk's own figures are rounded. */
const rangesScript = `
math.randomseed(1)
request = function()
  local first = math.random(0, ${bodyBytes - rangeBytes})
  return wrk.format("GET", "/", { Range = string.format("bytes=%d-%d", first, first + ${rangeBytes - 1}) })
end
`
const doneScript = `
done = function(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("bytes %d failed %d\\n", summary.bytes, failed))
end
`

function cases(core: number, fills: number, folder: string): Case[] {
  const wrk = (name: string, file: string, script: string): Case => {
    const path = join(folder, file)
    writeFileSync(path, script + doneScript)
    return {
      name,
      fills: 0,
      measured: new Map(),
      async load({ server }, seconds) {
        const words = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', path]
        const said = await output(core, 'wrk', [...words, `${server.url}/`])
        const [, bytes, failed] = /bytes (\d+) failed (\d+)/.exec(said) ?? []
        if (!(Number(bytes) > 0) || failed !== '0') throw new Error(`wrk on ${server.url}:\n${said}`)
        return Number(bytes)
      },
    }
  }
  let unseen = 0
  return [
    wrk('whole', 'whole.lua', ''),
    wrk('ranges of 1 MiB', 'ranges.lua', rangesScript),
    {
      name: 'first time',
      fills,
      measured: new Map(),
      async load({ server }) {
        for (let fill = 0; fill < fills; fill++) await expectLength(`${server.url}/unseen/${unseen++}`)
        return fills * bodyBytes
      },
    },
  ]
}

async function expectLength(url: string): Promise<void> {
  let bytes = 0
  for await (const chunk of (await fetch(url)).body as unknown as AsyncIterable<Uint8Array>) bytes += chunk.byteLength
  if (bytes !== bodyBytes) throw new Error(`${url}: ${bytes} bytes`)
}

/** Asks for the whole of something new, and of what is there, and for a range across slices: every byte must be right. */
async function expectBytes({ name, server, goals, isFloor }: Subject, { body }: BenchOrigin): Promise<void> {
  const first = 5 * MB - 1234
  const range = { Range: `bytes=${first}-${first + rangeBytes - 1}` }
  const asked = [
    ...(isFloor ? [] : [['/unseen', {}, 200, body] as const]),
    ['/', {}, 200, body],
    ['/', range, 206, body.subarray(first, first + rangeBytes)],
  ] as const
  for (const [path, headers, status, expected] of asked) {
    const response = await fetch(server.url + path, { headers })
    const got = Buffer.from(await response.arrayBuffer())
    const cacheStatus = response.headers.get('cache-status')
    if (response.status !== status || !got.equals(expected)) {
      throw new Error(
        `${name}: ${path} ${JSON.stringify(headers)} gave ${response.status} with ${got.length} bytes, not those asked for`,
      )
    }
    if (goals !== undefined && path === '/' && !/; *hit\b/.test(cacheStatus ?? '')) throw new Error(`${name}: ${cacheStatus}`)
  }
}

async function measure(subject: Subject, { fills, load }: Case, seconds: number, origin: BenchOrigin): Promise<Measurement> {
  const { pid } = subject.server
  const asked = origin.requests()
  forgetPeak(pid)
  const [cpuBefore, wallBefore] = [cpuNanosOfThreads(pid), performance.now()]
  const bytes = await load(subject, seconds)
  const [cpuAfter, wallAfter] = [cpuNanosOfThreads(pid), performance.now()]
  if (origin.requests() - asked !== fills) throw new Error(`${subject.name}: asked the origin ${origin.requests() - asked} times`)
  const cpuSeconds = (cpuAfter - cpuBefore) / 1e9
  return { bytes, seconds: (wallAfter - wallBefore) / 1000, cpuSeconds, peakBytes: peakBytes(pid) }
}

const throughput = ({ bytes, seconds }: Measurement): number => bytes / GB / seconds
const cpuPerGb = ({ bytes, cpuSeconds }: Measurement): number => cpuSeconds / (bytes / GB)
const peakMb = (rounds: readonly Measurement[]): number => Math.max(...rounds.map((round) => round.peakBytes)) / MB

/** Within each round, how many times that of `base`. */
function ratios(of: (round: Measurement) => number, rounds: readonly Measurement[], base: readonly Measurement[]): number[] {
  return rounds.map((round, index) => of(round) / of(base[index] as Measurement))
}

function table({ measured }: Case): string {
  const [base = []] = measured.values()
  const compared = (of: (round: Measurement) => number, rounds: readonly Measurement[]): string =>
    rounds === base ? '1' : withRange(ratios(of, rounds, base), 2)
  return markdown([
    ['server', 'GB/s', '× nginx', 'CPU s per GB', '× nginx', 'peak RSS, MB'],
    ...[...measured].map(([{ name }, rounds]) => [
      name,
      withRange(rounds.map(throughput), 2),
      compared(throughput, rounds),
      withRange(rounds.map(cpuPerGb), 2),
      compared(cpuPerGb, rounds),
      peakMb(rounds).toFixed(0),
    ]),
  ])
}

/** What the goals say of a case: each in a line, with whether it is met. */
function verdicts({ name, measured }: Case): { readonly text: string; readonly holds: boolean }[] {
  const [base = []] = measured.values()
  return [...measured].flatMap(([{ name: server, goals }, rounds]) => {
    if (goals === undefined) return []
    const fast = median(ratios(throughput, rounds, base))
    const cpu = median(ratios(cpuPerGb, rounds, base))
    const [floor] = [...measured].filter(([{ name }]) => name === goals.floor).map(([, rounds]) => rounds)
    const cpuOverFloor = floor && median(ratios(cpuPerGb, rounds, floor))
    const [peak, memory] = [peakMb(rounds), goals.memoryBytes / MB]
    const about = `${server}, ${name}:`
    return [
      { text: `${about} ${fast.toFixed(2)} x nginx's throughput, at least ${leastThroughput}`, holds: fast >= leastThroughput },
      {
        text: `${about} ${cpu.toFixed(2)} x nginx's CPU per GB, at most ${goals.cpu}${
          cpuOverFloor === undefined ? '' : `; or ${cpuOverFloor.toFixed(2)} x that of ${goals.floor}, at most ${overFloor}`
        }`,
        holds: cpu <= goals.cpu || (cpuOverFloor !== undefined && cpuOverFloor <= overFloor),
      },
      { text: `${about} RSS ${peak.toFixed(0)} MB, at most ${memory}`, holds: peak <= memory },
    ]
  })
}

async function bench(quick: boolean, write: boolean, folder: string): Promise<void> {
  const plan = quick ? plans.quick : plans.full
  const programs = [`nginx ${requireNginx()}`, `Varnish ${requireVarnish()}`, `wrk ${requireWrk()}`]
  const cores = twoCores()
  pinSelf(cores.load)

  const blocks = Array.from({ length: bodyBytes / MB }, (_, block) => contentOf(0, block * MB, MB))
  const origin = await startOrigin(Buffer.concat(blocks))
  const subjects = await startSubjects(cores.server, origin.url)
  for (const subject of subjects) await expectBytes(subject, origin)
  const measured = cases(cores.load, plan.fills, folder)
  for (const { fills, measured: rounds } of measured)
    for (const subject of subjects) if (!subject.isFloor || fills === 0) rounds.set(subject, [])
  // The first round warms up, and does not count.
  for (let round = 0; round <= plan.rounds; round++) {
    for (const each of measured) {
      // Each begins as often as the others: where the host has taken memory away that nobody used, whoever writes first gets what is left.
      for (let turn = 0; turn < subjects.length; turn++) {
        const subject = subjects[(turn + round) % subjects.length] as Subject
        if (subject.isFloor && each.fills > 0) continue
        // What came for the first time may have taken the place of what is stored.
        if (each.fills === 0) await expectLength(`${subject.server.url}/`)
        const measurement = await measure(subject, each, round === 0 ? warmUp : plan.seconds, origin)
        if (round > 0) each.measured.get(subject)?.push(measurement)
      }
    }
    console.error(`round ${round} of ${plan.rounds}`)
  }
  for (const { server } of subjects) await server.stop()
  origin.close()

  const all = measured.flatMap(verdicts)
  const text = [
    ...measured.flatMap((each) => [`**${each.name}**`, table(each)]),
    `Medians [ranges] over ${plan.rounds} interleaved rounds; body 64 MiB; ${plan.seconds} s on ${connections} connections, or ${plan.fills} bodies on one.`,
    `${environment(...programs)}.`,
    all.map(({ text, holds }) => `- ${holds ? 'met' : 'missed'}: ${text}`).join('\n'),
  ].join('\n\n')
  console.log(`\n${text}`)
  if (write) writeSection(new URL('../docs/benchmarks.md', import.meta.url), 'A body of 64 MiB', text)
  process.exitCode = all.every(({ holds }) => holds) ? 0 : 1
}

const { values: options } = parseArgs({ options: { quick: { type: 'boolean' }, write: { type: 'boolean' } } })
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
// Ends the servers, too: see peers.ts.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
try {
  await bench(options.quick === true, options.write === true, folder)
} catch (error) {
  console.error(error instanceof Missing ? `The benchmark needs ${error.message}` : error)
  process.exit(error instanceof Missing ? 2 : 3)
}
