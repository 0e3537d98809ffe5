// simple-cdn as a program would embed it. `simple-cdn.ts ORIGIN count|stdout`: a sink that counts its entries, or the default one.
import { createServer } from 'node:http'
import { createCdn, type LogSink } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import { listen } from './listen.ts'

const [origin = '', log] = process.argv.slice(2)

let entries = 0
const counting: LogSink = {
  name: 'counting',
  write() {
    entries++
  },
  async flush() {},
  async close() {},
}

const cdn = createCdn({
  origins: { app: origin },
  routes: [{ match: '/*', origin: 'app' }],
  ...(log === 'count' && { log: [counting] }),
})

process.on('message', () => {
  process.send?.({ logged: entries })
  entries = 0
})
listen(createServer(toNodeHandler(cdn)))
