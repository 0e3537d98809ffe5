// A cache behind node:http on this machine, and what it writes to its log.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { TestContext } from 'node:test'
import { type Cdn, type CdnConfig, createCdn, type LogEntry, type OriginsConfig } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import { listening } from './raw-origin.ts'
import { watched } from './watched.ts'

export interface Served {
  readonly cdn: Cdn
  readonly server: Server
  readonly port: number
  readonly entries: readonly LogEntry[]
  /** Resolves with that many entries, when they are there. */
  logged(count: number): Promise<readonly LogEntry[]>
}

/** `listener` puts the cache behind something else than its own handler. */
export async function served<const Origins extends OriginsConfig>(
  t: TestContext,
  config: CdnConfig<Origins>,
  listener: (cdn: Cdn) => RequestListener = toNodeHandler,
): Promise<Served> {
  const entries: LogEntry[] = []
  const { happened, until } = watched()
  const sink = {
    name: 'test',
    write(entry: LogEntry) {
      entries.push(entry)
      happened()
    },
    flush: async () => undefined,
    close: async () => undefined,
  }
  const cdn = createCdn({ ...config, log: [sink] })
  const server = createServer(listener(cdn))
  const port = await listening(server)
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await cdn.close({ graceMs: 0 })
  })
  return {
    cdn,
    server,
    port,
    entries,
    async logged(count) {
      await until(() => entries.length >= count)
      return entries
    },
  }
}
