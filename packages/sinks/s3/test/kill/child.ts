// A cache that logs to S3, until it is killed: `child.ts FOLDER ENDPOINT`. Says on which port it listens; ends when it is told "end".
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCdn } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import { s3Sink } from '../../src/index.ts'
import { ACCESS } from './access.ts'

const [folder = '', endpoint = ''] = process.argv.slice(2)
const sink = s3Sink({
  ...ACCESS,
  endpoint,
  spool: { folder, rotateBytes: 400_000, rotateMs: 700, retryMs: [50, 500], maxFlushMs: 60_000 },
})
const cdn = createCdn(
  {
    origins: { app: () => new Response('hello', { headers: { 'Cache-Control': 'max-age=3600' } }) },
    routes: [{ match: '/*', origin: 'app', cache: { key: { query: 'none' } } }],
    log: [sink],
  },
  { onMessage: (message) => process.env.VERBOSE && console.error(message) },
)
const server = createServer(toNodeHandler(cdn)).listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})
process.on('message', async (word) => {
  if (word === 'memory') return void process.send?.({ rss: process.memoryUsage().rss, figures: sink.stats?.() })
  server.close()
  server.closeAllConnections()
  await cdn.close({ graceMs: 100 })
  process.send?.({ figures: sink.stats?.() })
  process.disconnect()
})
