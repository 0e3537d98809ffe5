// Hono: the app is its own origin, and what it says in Cache-Control is kept. `node server.ts`.
import { serve } from '@hono/node-server'
import { cached } from '@simple-cdn/core'
import { Hono } from 'hono'

const app = new Hono()
let asked = 0
app.get('/', (c) => c.text(`a page of Hono, made ${++asked} times`, 200, { 'Cache-Control': 'max-age=60' }))
app.get('/me', (c) => c.text('made for you', 200, { 'Cache-Control': 'private' }))

const server = serve({ fetch: cached(app.fetch, { memory: '64mb' }), port: Number(process.env.PORT ?? '8080') }, (address) =>
  console.log('listening on', address),
)

process.once('SIGTERM', () => server.close())
