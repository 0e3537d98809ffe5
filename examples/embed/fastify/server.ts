// Fastify: files come from a bucket by way of the cache, pages from Fastify itself. `ORIGIN_URL=https://… node server.ts`.
import { createCdn } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import fastify from 'fastify'

const { ORIGIN_URL = 'http://localhost:3000', PORT = '8080' } = process.env
const cdn = createCdn({
  origins: { files: ORIGIN_URL },
  routes: [{ match: '/assets/*', origin: 'files', cache: { defaultTtl: '1h', stripCookies: true } }],
  log: [],
})
const handle = toNodeHandler(cdn)

const app = fastify()
app.register(async (scope) => {
  // Bodies are passed on as they come; Fastify would read them first.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, _body, done) => done(null))
  scope.all('/assets/*', (request, reply) => {
    reply.hijack()
    handle(request.raw, reply.raw)
  })
})
app.get('/', async () => 'a page of Fastify')

await app.listen({ port: Number(PORT), host: '::' })
console.log('listening on', app.server.address())

process.once('SIGTERM', async () => {
  await app.close()
  await cdn.close()
})
