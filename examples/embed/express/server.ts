// Express: files come from a bucket by way of the cache, pages from Express itself. `ORIGIN_URL=https://… node server.ts`.
import { createCdn } from '@simple-cdn/core'
import { toMiddleware } from '@simple-cdn/core/node'
import express from 'express'

const { ORIGIN_URL = 'http://localhost:3000', PORT = '8080' } = process.env
const cdn = createCdn({
  origins: { files: ORIGIN_URL },
  // The whole path, though it is mounted under a part of it.
  routes: [{ match: '/assets/*', origin: 'files', cache: { defaultTtl: '1h', stripCookies: true } }],
  log: [],
})

const app = express()
// Before express.json() and the like: what has read a body leaves nothing to pass on.
app.use('/assets', toMiddleware(cdn))
app.get('/', (_request, response) => void response.send('a page of Express'))

const server = app.listen(Number(PORT), () => console.log('listening on', server.address()))

process.once('SIGTERM', async () => {
  server.close()
  await cdn.close()
})
