// What only passes through the program: a large upload, events, and a connection that speaks WebSocket. Figures, and whether they hold.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get, request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startOnFile } from './lib/peers.ts'

const { values: options } = parseArgs({
  options: { mb: { type: 'string', default: '2048' }, events: { type: 'string', default: '200' } },
})
const MB = 1024 * 1024
const size = Number(options.mb) * MB
/** What the program may take more than before, in MB: buffers of two connections, and what the collector has not come to yet. */
const ALLOWED_MB = 128
/** What the program may add to the way of an event, in milliseconds. */
const ALLOWED_MS = 50
const EVENT_EVERY_MS = 25
const ECHOES = 2_000

let received = 0
const origin = createServer((asked, response) => {
  if (asked.url === '/events') return void sendEvents()
  asked.on('data', (chunk: Buffer) => {
    received += chunk.byteLength
  })
  asked.on('end', () => response.writeHead(201).end())

  async function sendEvents(): Promise<void> {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
    for (let sent = 0; sent < Number(options.events); sent++) {
      response.write(`data: ${performance.now()}\n\n`)
      await sleep(EVENT_EVERY_MS)
    }
    response.end()
  }
})
origin.on('upgrade', (_, socket: Socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  socket.setNoDelay().pipe(socket)
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const originUrl = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-pass-through-'))
const configFile = join(folder, 'cdn.config.json')
const config = {
  origins: { app: originUrl },
  routes: [{ match: '/*', origin: 'app' }],
  disk: false,
  server: { host: '127.0.0.1', port: 0 },
}
writeFileSync(configFile, JSON.stringify(config))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const { url, rssMb: rss } = await startOnFile(configFile)

async function upload(): Promise<boolean> {
  const before = rss()
  const memory: number[] = []
  const looking = setInterval(() => memory.push(rss()), 100)
  const piece = Buffer.alloc(MB, 'x')
  const began = performance.now()
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sending = request(url, { method: 'PUT', headers: { 'Content-Length': size } }, (response) =>
      resolve(response.resume().statusCode),
    )
    sending.on('error', reject)
    let sent = 0
    const more = (): void => {
      while (sent < size) {
        sent += piece.byteLength
        if (!sending.write(piece)) {
          sending.once('drain', more)
          return
        }
      }
      sending.end()
    }
    more()
  })
  clearInterval(looking)
  const seconds = (performance.now() - began) / 1000
  const most = Math.max(before, ...memory)
  const tenths = Array.from({ length: 10 }, (_, at) => memory[Math.floor((at * memory.length) / 10)] ?? 0)
  console.log(
    `upload: ${size / MB} MB in ${seconds.toFixed(1)} s, ${(size / MB / seconds).toFixed(0)} MB/s, answered with ${status}, ${received / MB} MB at the origin`,
  )
  console.log(
    `        RSS ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most; at each tenth ${tenths.map((mb) => mb.toFixed(0)).join(', ')}`,
  )
  return said(
    status === 201 && received === size && most - before < ALLOWED_MB,
    `all there, and at most ${ALLOWED_MB} MB more than before`,
  )
}

/** How long each event was on its way, in milliseconds, the shortest first. */
async function delays(base: string): Promise<number[]> {
  const all: number[] = []
  await new Promise<void>((resolve, reject) => {
    get(`${base}/events`, (response) => {
      response.setEncoding('utf8').on('data', (text: string) => {
        const now = performance.now()
        for (const [, sentAt] of text.matchAll(/^data: (.+)$/gm)) all.push(now - Number(sentAt))
      })
      response.on('end', resolve).on('error', reject)
    }).on('error', reject)
  })
  return all.sort((a, b) => a - b)
}

async function events(): Promise<boolean> {
  const [direct, through] = await Promise.all([delays(originUrl), delays(url)])
  const [most, mostDirect] = [through.at(-1) ?? Number.NaN, direct.at(-1) ?? Number.NaN]
  console.log(
    `events: ${through.length} of ${options.events}, on their way for ${figures(through)}; without the program ${figures(direct)}`,
  )
  return said(
    through.length === Number(options.events) && most - mostDirect <= ALLOWED_MS,
    `all there, each at once: ${(most - mostDirect).toFixed(1)} ms added at most, ${ALLOWED_MS} allowed`,
  )
}

function figures(sorted: readonly number[]): string {
  return `${(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN).toFixed(1)} ms, ${(sorted.at(-1) ?? Number.NaN).toFixed(1)} at most`
}

/** Round trips of a message on one connection, in milliseconds, the shortest first. */
async function echoes(base: string): Promise<number[]> {
  const asked = request(base, { headers: { Connection: 'Upgrade', Upgrade: 'websocket' } }).end()
  const socket = await new Promise<Socket>((resolve, reject) => {
    asked.on('upgrade', (_, upgraded) => resolve(upgraded as Socket)).on('error', reject)
    asked.on('response', ({ statusCode }) => reject(new Error(`${base} answered with ${statusCode}`)))
  })
  socket.setNoDelay()
  const all: number[] = []
  for (let sent = 0; sent < ECHOES; sent++) {
    const message = `message ${sent}`
    const began = performance.now()
    let back = ''
    socket.write(message)
    for (; back.length < message.length; )
      back += await new Promise<string>((resolve) => socket.once('data', (data) => resolve(`${data}`)))
    if (back !== message) throw new Error(`"${back}" came back for "${message}"`)
    all.push(performance.now() - began)
  }
  socket.destroy()
  return all.sort((a, b) => a - b)
}

async function webSocket(): Promise<boolean> {
  const [direct, through] = [await echoes(originUrl), await echoes(url)]
  console.log(
    `WebSocket: ${through.length} messages came back, each after ${figures(through)}; without the program ${figures(direct)}`,
  )
  return said(through.length === ECHOES, 'every message came back as it was')
}

function said(holds: boolean, what: string): boolean {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`)
  return holds
}

const held = [await webSocket(), await events(), await upload()]
process.exit(held.every(Boolean) ? 0 : 1)
