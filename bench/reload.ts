// A configuration that is replaced again and again under load: failed requests, and what a reload costs in time and memory.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startOnFile } from './lib/peers.ts'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    clients: { type: 'string', default: '16' },
    reloads: { type: 'string', default: '10' },
  },
})
const seconds = Number(options.seconds)
const reloads = Number(options.reloads)
/** This one of them is broken. */
const BROKEN = Math.ceil(reloads / 2)

const origin = createServer((request, response) => {
  const isKept = request.url?.startsWith('/kept/')
  response.writeHead(200, { 'Cache-Control': isKept ? 'max-age=3600' : 'no-store' }).end('x'.repeat(1024))
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-reload-'))
const configFile = join(folder, 'cdn.config.ts')
const configText = (time: number): string => `export default {
  origins: { app: { url: 'http://127.0.0.1:${(origin.address() as AddressInfo).port}', connections: ${100 + time} } },
  routes: [{ match: '/time', respond: { status: 200, body: '${time}' } }, { match: '/*', origin: 'app' }],
  disk: false, log: [], memory: '256mb', server: { host: '127.0.0.1', port: 0 },
}`
writeFileSync(configFile, configText(0))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const { child: cdn, url, said, rssMb: rss } = await startOnFile(configFile, '--no-watch')

const agent = new Agent({ keepAlive: true, maxSockets: Number(options.clients) })
const totals = { requests: 0, failed: 0, hits: 0 }
const complaints = new Set<string>()
const end = performance.now() + seconds * 1000

function ask(path: string): Promise<{ status: number | undefined; body: string; cache: string }> {
  return new Promise((resolve, reject) => {
    get(`${url}${path}`, { agent, timeout: 10_000 }, async (response) => {
      try {
        let body = ''
        for await (const chunk of response) body += chunk
        resolve({ status: response.statusCode, body, cache: `${response.headers['cache-status']}` })
      } catch (error) {
        reject(error)
      }
    })
      .on('error', reject)
      .on('timeout', () => reject(new Error('nothing came')))
  })
}

async function client(number: number): Promise<void> {
  for (let at = 0; performance.now() < end; at++) {
    totals.requests++
    try {
      const { status, body, cache } = await ask(at % 4 === 0 ? `/fetched/${number}` : `/kept/${(number * 31 + at) % 500}`)
      if (/; hit/.test(cache)) totals.hits++
      if (status === 200 && body.length === 1024) continue
      totals.failed++
      complaints.add(`${status} ${body.slice(0, 100)}`)
    } catch (error) {
      totals.failed++
      complaints.add(String(error))
    }
  }
}

const took: number[] = []
const memory: number[] = []
async function reload(): Promise<void> {
  for (let time = 1; time <= reloads; time++) {
    await sleep((seconds * 1000) / (reloads + 1))
    const isBroken = time === BROKEN
    writeFileSync(configFile, isBroken ? 'export default { origins' : configText(time))
    const before = said().length
    const began = performance.now()
    cdn.kill('SIGHUP')
    while (!/is loaded anew|stays as it was/.test(said().slice(before))) await sleep(1)
    took.push(performance.now() - began)
    memory.push(rss())
    const { body } = await ask('/time')
    if (body !== String(isBroken ? time - 1 : time)) complaints.add(`after reload ${time}, the configuration is number ${body}`)
  }
}

await Promise.all([reload(), ...Array.from({ length: Number(options.clients) }, (_, number) => client(number))])
console.log(
  `${options.clients} clients, ${seconds} s: ${totals.requests} requests, ${totals.hits} hits, ${totals.failed} failed; ${reloads} reloads, one of them broken`,
)
console.log(`a reload took ${Math.min(...took).toFixed(0)} to ${Math.max(...took).toFixed(0)} ms`)
console.log(`RSS after each: ${memory.map((mb) => mb.toFixed(0)).join(', ')} MB`)
for (const complaint of complaints) console.log(`     ${complaint}`)
process.exit(totals.failed + complaints.size === 0 ? 0 : 1)
