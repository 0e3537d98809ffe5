// A magazine whose application purges by surrogate key: on one machine as it is, on several when NATS_URL names a server.
import { nats } from '@simple-cdn/bus-nats'
import { defineConfig } from 'simple-cdn'

const { APP_URL, NATS_URL, PURGE_TOKEN } = process.env

export default defineConfig({
  origins: { app: APP_URL ?? 'http://localhost:3000' },
  routes: [
    { name: 'articles', match: '/articles/*', origin: 'app', cache: { overrideTtl: '30d', staleWhileRevalidate: '1d' } },
    { name: 'pages', match: '/*', origin: 'app', cache: { defaultTtl: '1h', staleWhileRevalidate: '1d' } },
  ],
  purge: {
    token: PURGE_TOKEN,
    ...(NATS_URL !== undefined && { bus: nats({ servers: NATS_URL.split(',') }) }),
  },
})
