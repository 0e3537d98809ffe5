// The store of this example in place of memory and disk.
import { defineConfig } from 'simple-cdn'
import { sqliteStore } from './sqlite-store.ts'

export default defineConfig((env) => ({
  origins: { app: env.ORIGIN_URL ?? 'http://localhost:3000' },
  routes: [{ match: '/*', origin: 'app' }],
  store: sqliteStore({ file: ':memory:', maxBytes: 256 * 1024 ** 2 }),
}))
