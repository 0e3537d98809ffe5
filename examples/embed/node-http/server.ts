// A server of Node's own, and nothing else: `ORIGIN_URL=https://… node server.ts`.
import { createServer } from 'node:http'
import { createCdn } from '@simple-cdn/core'
import { toNodeHandler, toUpgradeHandler } from '@simple-cdn/core/node'

const { ORIGIN_URL = 'http://localhost:3000', PORT = '8080' } = process.env
const cdn = createCdn({
  origins: { app: ORIGIN_URL },
  routes: [{ match: '/*', origin: 'app', cache: { staleWhileRevalidate: '1m' } }],
  log: [],
})

const server = createServer(toNodeHandler(cdn)).on('upgrade', toUpgradeHandler(cdn))
server.listen(Number(PORT), () => console.log('listening on', server.address()))

process.once('SIGTERM', async () => {
  server.close()
  await cdn.close()
})
