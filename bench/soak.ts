// Many clients, slow ones and such as leave among them, for minutes; memory, bytes from the origin and every byte of every body are checked.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { builtProgram } from './lib/built.ts'
import { contentOf, sizeOf } from './lib/sparse.ts'

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '200' },
    memory: { type: 'string', default: '512' },
    disk: { type: 'string', default: '2048' },
  },
})

const MB = 1024 * 1024
const OBJECTS = 500
const SMALLEST = 1024
const LARGEST = 256 * MB
const SLOW_BYTES_PER_SECOND = 512 * 1024
/** Nobody reads more of one answer: a slow client would be at it until the end. */
const PATIENCE_MS = 20_000

const memoryMb = Number(options.memory)
const seconds = Number(options.minutes) * 60
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-soak-'))

const origin = fork(join(import.meta.dirname, 'subjects/sparse-origin.ts'), [`${SMALLEST}`, `${LARGEST}`], {
  execArgv: ['--conditions=@simple-cdn/source'],
})
const [{ port: originPort }] = (await once(origin, 'message')) as [{ port: number }]

const config = {
  origins: { files: `http://127.0.0.1:${originPort}` },
  routes: [{ match: '/*', origin: 'files' }],
  memory: `${memoryMb}mb`,
  disk: Number(options.disk) > 0 && `${options.disk}mb`,
  server: { host: '127.0.0.1', port: 0, admin: { token: 'soak-soak-soak-soak' } },
}
writeFileSync(join(folder, 'cdn.config.json'), JSON.stringify(config))
const cdn = spawn(process.execPath, [builtProgram(), 'start', '--config', join(folder, 'cdn.config.json')], {
  stdio: ['ignore', process.env.SOAK_LOG ? openSync(process.env.SOAK_LOG, 'w') : 'ignore', 'pipe'],
})
process.once('exit', () => {
  cdn.kill('SIGKILL')
  origin.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const { url, admin } = await new Promise<{ url: string; admin: string }>((resolve, reject) => {
  let text = ''
  cdn.once('exit', () => reject(new Error(`the server ended:\n${text}`)))
  cdn.stderr?.setEncoding('utf8').on('data', (more) => {
    text = (text + more).slice(-10_000)
    const line = text.split('\n').find((each) => each.includes('"admin":'))
    if (line !== undefined) resolve(JSON.parse(line))
    if (/"level":(50|60)/.test(more)) process.stderr.write(more)
  })
})

const totals = { requests: 0, aborted: 0, wrong: 0, failed: 0, received: 0, wanted: 0, hits: 0, stalled: 0 }
const complaints: string[] = []
const memory: number[] = []
const end = performance.now() + seconds * 1000
const agent = new Agent({ keepAlive: true, maxSockets: Number(options.clients) })

function complain(kind: 'wrong' | 'failed' | 'stalled', text: string): void {
  totals[kind]++
  if (complaints.length < 20) complaints.push(text)
}

/** The smaller an object is, the oftener it is asked for; and some are favourites. */
function chosen(): number {
  return Math.floor(OBJECTS * Math.random() ** 3)
}

async function client(number: number): Promise<void> {
  const isSlow = number % 3 === 1
  const leaves = number % 3 === 2
  while (performance.now() < end) {
    const object = chosen()
    const length = sizeOf(object, SMALLEST, LARGEST)
    const wantsPart = Math.random() < 0.5
    const first = wantsPart ? Math.floor(Math.random() * length) : 0
    const last = wantsPart ? Math.min(length - 1, first + Math.floor(Math.random() * 2 * MB)) : length - 1
    await ask(object, first, last, wantsPart ? 206 : 200, {
      isSlow,
      leavesAfter: leaves ? Math.random() * (last - first + 1) : undefined,
    })
  }
}

/** How one client takes its answer. */
interface Manner {
  readonly isSlow: boolean
  readonly leavesAfter: number | undefined
}

async function ask(object: number, first: number, last: number, status: number, { isSlow, leavesAfter }: Manner): Promise<void> {
  const began = performance.now()
  const headers = status === 206 ? { Range: `bytes=${first}-${last}` } : {}
  let response: IncomingMessage
  try {
    response = await new Promise((resolve, reject) => {
      get(`${url}/${object}`, { agent, headers, timeout: PATIENCE_MS }, resolve)
        .on('error', reject)
        .on('timeout', () => reject(new Error('nothing came')))
    })
  } catch (error) {
    return complain('failed', `${object}: ${error instanceof Error ? error.message : error}`)
  }
  totals.requests++
  if (/; hit/.test(`${response.headers['cache-status']}`)) totals.hits++
  if (response.statusCode !== status || Number(response.headers['content-length']) !== last - first + 1) {
    complain('failed', `${object} ${first}-${last}: ${response.statusCode}, ${response.headers['content-length']} bytes`)
    return void response.destroy()
  }
  let at = first
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      for (let from = 0; from < chunk.byteLength; ) {
        const expected = contentOf(object, at, chunk.byteLength - from)
        if (!expected.equals(chunk.subarray(from, from + expected.byteLength))) {
          complain('wrong', `${object}: wrong bytes at ${at}`)
          return
        }
        from += expected.byteLength
        at += expected.byteLength
      }
      if (leavesAfter !== undefined && at - first > leavesAfter) break
      if (performance.now() > end + 1000 || performance.now() - began > PATIENCE_MS) break
      if (isSlow) await sleep((chunk.byteLength / SLOW_BYTES_PER_SECOND) * 1000)
    }
  } catch (error) {
    if (performance.now() < end) complain('failed', `${object} broke off at ${at} of ${first}-${last}: ${error}`)
  } finally {
    if (at <= last) {
      totals.aborted++
      response.destroy()
    }
    totals.received += at - first
    // A slice that was begun is needed as a whole.
    totals.wanted += (Math.ceil(at / MB) - Math.floor(first / MB)) * MB
  }
}

/** What the server says of itself. */
async function told(): Promise<Stats> {
  const headers = { Authorization: `Bearer ${config.server.admin.token}` }
  return (await (await fetch(`${admin}/stats`, { headers })).json()) as Stats
}

interface Stats {
  readonly store: { readonly memoryBytes: number }
  readonly inFlight: { readonly bytes: number; readonly bodies: number }
  readonly process: NodeJS.MemoryUsage
}

async function watch(): Promise<void> {
  for (let look = 0; performance.now() < end; look++) {
    if (look % 20 === 19) {
      const { store, inFlight, process } = await told()
      const mb = (bytes: number): string => `${(bytes / MB).toFixed(0)} MB`
      console.error(
        `RSS ${mb(process.rss)}: heap ${mb(process.heapTotal)} (${mb(process.heapUsed)} used), buffers ${mb(process.arrayBuffers)}; ` +
          `store ${mb(store.memoryBytes)}, in flight ${mb(inFlight.bytes)} of ${inFlight.bodies} bodies`,
      )
    }
    memory.push(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cdn.pid}/status`, 'latin1'))?.[1]) / 1024)
    await sleep(250)
  }
}

const clients = Array.from({ length: Number(options.clients) }, (_, number) => client(number))
await Promise.race([
  Promise.all([watch(), ...clients]),
  sleep(seconds * 1000 + 60_000).then(() => complain('stalled', 'clients hang')),
])

origin.send('sent')
const [{ sent }] = (await once(origin, 'message')) as [{ sent: number }]
const stats = await told()
const most = Math.max(...memory)
const p99 = memory.toSorted((a, b) => a - b)[Math.floor(memory.length * 0.99)] ?? 0
const gb = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(2)} GB`
const verdicts = [
  [`RSS at most ${most.toFixed(0)} MB (p99 ${p99.toFixed(0)}), allowed ${(memoryMb * 1.15).toFixed(0)}`, most <= memoryMb * 1.15],
  [
    `from the origin ${gb(sent)}, needed at most ${gb(totals.wanted)}: ${(sent / totals.wanted).toFixed(2)}, allowed 1.10`,
    sent <= totals.wanted * 1.1,
  ],
  [`${totals.wrong} bodies with wrong bytes`, totals.wrong === 0],
  [`${totals.failed} failed, ${totals.stalled} stalled`, totals.failed + totals.stalled === 0],
] as const
console.log(
  `${options.clients} clients, ${OBJECTS} objects of 1 KB to 256 MB, memory ${memoryMb} MB, disk ${options.disk} MB, ${seconds} s`,
)
console.log(
  `${totals.requests} requests, ${totals.hits} hits, ${totals.aborted} not read to their end, ${gb(totals.received)} received`,
)
console.log(`store ${JSON.stringify(stats.store)}`)
for (const [text, holds] of verdicts) console.log(`${holds ? 'ok  ' : 'FAIL'} ${text}`)
for (const complaint of complaints) console.log(`     ${complaint}`)
process.exit(verdicts.every(([, holds]) => holds) ? 0 : 1)
