// An upload of 2 GiB through the program: how fast, and how much memory it takes on the way.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startOnFile } from './lib/peers.ts'

const { values: options } = parseArgs({ options: { mb: { type: 'string', default: '2048' } } })
const MB = 1024 * 1024
const size = Number(options.mb) * MB
/** What the program may take more than before, in MB: buffers of two connections, and what the collector has not come to yet. */
const ALLOWED = 128

let received = 0
const origin = createServer((asked, response) => {
  asked.on('data', (chunk: Buffer) => {
    received += chunk.byteLength
  })
  asked.on('end', () => response.writeHead(201).end())
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-upload-'))
const configFile = join(folder, 'cdn.config.json')
const config = {
  origins: { app: `http://127.0.0.1:${(origin.address() as AddressInfo).port}` },
  routes: [{ match: '/*', origin: 'app' }],
  disk: false,
  server: { host: '127.0.0.1', port: 0 },
}
writeFileSync(configFile, JSON.stringify(config))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const { url, rssMb: rss } = await startOnFile(configFile)

const before = rss()
const memory: number[] = []
const looking = setInterval(() => memory.push(rss()), 100)
const piece = Buffer.alloc(MB, 'x')
const began = performance.now()
const status = await new Promise<number | undefined>((resolve, reject) => {
  const upload = request(url, { method: 'PUT', headers: { 'Content-Length': size } }, (response) =>
    resolve(response.resume().statusCode),
  )
  upload.on('error', reject)
  let sent = 0
  const more = (): void => {
    while (sent < size) {
      sent += piece.byteLength
      if (!upload.write(piece)) {
        upload.once('drain', more)
        return
      }
    }
    upload.end()
  }
  more()
})
clearInterval(looking)
const seconds = (performance.now() - began) / 1000
const most = Math.max(...memory)
const tenths = Array.from({ length: 10 }, (_, at) => memory[Math.floor((at * memory.length) / 10)] ?? 0)
console.log(
  `${size / MB} MB in ${seconds.toFixed(1)} s: ${(size / MB / seconds).toFixed(0)} MB/s, answered with ${status}, ${received / MB} MB at the origin`,
)
console.log(
  `RSS ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most; at each tenth ${tenths.map((mb) => mb.toFixed(0)).join(', ')}`,
)
const holds = status === 201 && received === size && most - before < ALLOWED
console.log(`${holds ? 'ok  ' : 'FAIL'} at most ${ALLOWED} MB more than before`)
process.exit(holds ? 0 : 1)
