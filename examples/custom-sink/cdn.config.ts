// Each request as a row of requests.sqlite: SELECT entry ->> 'status', count(*) FROM requests GROUP BY 1.
import { defineConfig } from 'simple-cdn'
import { sqliteSink } from './sqlite-sink.ts'

export default defineConfig((env) => ({
  origins: { app: env.ORIGIN_URL ?? 'http://localhost:3000' },
  routes: [{ match: '/*', origin: 'app' }],
  log: [sqliteSink({ file: env.REQUESTS_FILE ?? 'requests.sqlite' })],
}))
