// The proxy under test: ours, in each of its two profiles, embedded in this process or as the program that users start.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CdnConfig } from '@simple-cdn/core'
import { freePort } from '../../packages/core/test/support/free-port.ts'
import type { Subject } from './suite.ts'

/** Nothing configured but the origin; or whatever RFC 9111 allows, done. */
export type Profile = 'default' | 'strict-rfc'

export const profiles: readonly Profile[] = ['default', 'strict-rfc']

/** createCdn() behind toNodeHandler(), on a free port. */
export async function startEmbedded(profile: Profile, originPort: number): Promise<Subject> {
  const [{ createCdn }, { toNodeHandler }] = await Promise.all([import('@simple-cdn/core'), import('@simple-cdn/core/node')])
  const cdn = createCdn({ ...configOf(profile, originPort), log: [] })
  const server = createServer(toNodeHandler(cdn)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await cdn.close({ graceMs: 0 })
    },
  }
}

function configOf(profile: Profile, originPort: number): CdnConfig {
  return {
    origins: { suite: `http://127.0.0.1:${originPort}` },
    routes: [{ match: '/*', origin: 'suite' }],
    ...(profile === 'strict-rfc' && { semantics: 'rfc' }),
  }
}

const bin = fileURLToPath(new URL('../../packages/server/bin/simple-cdn.js', import.meta.url))

/** `simple-cdn start` with a configuration file, as users run it: a process of its own, from source. */
export async function startProgram(profile: Profile, originPort: number): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'simple-cdn-conformance-'))
  await writeFile(join(folder, 'cdn.config.mjs'), `export default ${JSON.stringify(configOf(profile, originPort))}\n`)
  const port = await freePort()
  const args = ['--conditions=@simple-cdn/source', bin, 'start', '--host', '127.0.0.1', '--port', `${port}`]
  const program = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(program, 'exit')
  const stop = async (): Promise<void> => {
    program.kill()
    await ended
    await rm(folder, { recursive: true })
  }
  const url = `http://127.0.0.1:${port}`
  if (await Promise.race([answers(url), ended.then(() => false)])) return { url, stop }
  await stop()
  throw new Error(`\`simple-cdn start\` did not come up on port ${port}`)
}

/** Whether something answers there within 10 s. */
async function answers(url: string): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    )
    if (answered) return true
    await sleep(100)
  }
  return false
}
