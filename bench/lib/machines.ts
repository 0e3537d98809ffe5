// Several machines on one: each the program itself, with a folder of its own, purges through NATS, and an origin that all of them share.
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CdnStats, PurgeStatus } from '@simple-cdn/core'
import { startOnFile } from './peers.ts'

const agent = new Agent({ keepAlive: true })
const TOKEN = 'known-to-this-benchmark'

/** Answers each path with the version of now, and with the surrogate key that its last segment is. */
export interface VersionedOrigin {
  readonly url: string
  version: number
  requests: number
  close(): void
}

export async function startVersionedOrigin(): Promise<VersionedOrigin> {
  const server = createServer((request, response) => {
    origin.requests++
    response
      .writeHead(200, {
        'Cache-Control': 'max-age=86400',
        ETag: `"${origin.version}"`,
        'Surrogate-Key': `all ${request.url?.split('/').at(-1)}`,
      })
      .end(`version ${origin.version}`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin: VersionedOrigin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    version: 1,
    requests: 0,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
  return origin
}

export interface Machine {
  readonly name: string
  /** Whether it came from the cache, and which version. */
  get(path: string): Promise<{ readonly hit: boolean; readonly version: number }>
  purge(order: object): Promise<{ readonly purged: readonly { readonly id: string }[]; readonly receipts?: PurgeStatus }>
  stats(): Promise<CdnStats>
  said(): string
  rssMb(): number
  stop(): Promise<void>
}

export interface Machines {
  /** Again, after it was stopped, it has the folder that it had. */
  start(name: string): Promise<Machine>
  /** Ends all, and removes their folders. */
  close(): Promise<void>
}

/** `bus`: what nats() is called with, beside the name of the machine. */
export function machines(origin: string, bus: object): Machines {
  // In here, so that a configuration finds its packages; Node strips no types from what lies there.
  const cache = join(import.meta.dirname, '../../node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'machines-'))
  const running = new Set<Machine>()
  return {
    async start(name) {
      const own = join(folder, name)
      mkdirSync(own, { recursive: true })
      const config = join(own, 'cdn.config.mjs')
      writeFileSync(
        config,
        `import { nats } from '@simple-cdn/bus-nats'
export default {
  origins: { app: '${origin}' },
  routes: [{ match: '/*', origin: 'app' }],
  memory: '192mb', disk: '64mb', log: [],
  purge: { bus: nats(${JSON.stringify({ ...bus, machine: name })}), perMinute: 1000000 },
  server: { host: '127.0.0.1', port: 0, watch: false, admin: { token: '${TOKEN}' } },
}`,
      )
      const { child, url, said, rssMb } = await startOnFile(config)
      const { admin } = JSON.parse(
        said()
          .split('\n')
          .find((line) => line.includes('"listening on ')) as string,
      )
      const headers = { Authorization: `Bearer ${TOKEN}` }
      const machine: Machine = {
        name,
        said,
        rssMb,
        get(path) {
          return new Promise((resolve, reject) => {
            // The host is part of the key, and the port another after each start.
            get(url + path, { agent, headers: { Host: 'cdn.test' } }, async (response) => {
              let text = ''
              for await (const chunk of response.setEncoding('utf8')) text += chunk
              resolve({ hit: /; hit/.test(`${response.headers['cache-status']}`), version: Number(text.split(' ')[1]) })
            }).on('error', reject)
          })
        },
        async purge(order) {
          const response = await fetch(`${admin}/purge`, { method: 'POST', headers, body: JSON.stringify(order) })
          const told = await response.json()
          if (response.status !== 200)
            throw new Error(`${name} answered a purge with ${response.status}: ${JSON.stringify(told)}`)
          return told as Awaited<ReturnType<Machine['purge']>>
        },
        async stats() {
          return (await (await fetch(`${admin}/stats`, { headers })).json()) as CdnStats
        },
        async stop() {
          running.delete(machine)
          if (child.exitCode !== null || child.signalCode !== null) return
          child.kill('SIGTERM')
          await once(child, 'exit')
        },
      }
      running.add(machine)
      return machine
    },
    async close() {
      await Promise.all([...running].map((machine) => machine.stop()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Looks every 5 ms. */
export async function until(what: () => Promise<boolean>, seconds = 60): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`has not come true within ${seconds} s: ${what}`)
    await sleep(5)
  }
}
