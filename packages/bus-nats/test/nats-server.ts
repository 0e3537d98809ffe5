// Real NATS servers on loopback: one, or a cluster. Debian's package is installed where we may.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Why there can be none on this machine, or `undefined`. */
export function natsIsMissing(): string | undefined {
  if (isInstalled()) return undefined
  if (process.getuid?.() !== 0) return 'nats-server is not installed, and only root may'
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = (program: string, ...args: string[]): void =>
    void spawnSync(program, args, { stdio: 'ignore', timeout: 240_000, env })
  // Another test may be installing what it needs.
  const install = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=200', 'nats-server']
  run('apt-get', ...install)
  if (!isInstalled()) {
    run('apt-get', 'update')
    run('apt-get', ...install)
  }
  // The package has one run at each boot. Nobody asked for it.
  run('service', 'nats-server', 'stop')
  run('update-rc.d', 'nats-server', 'disable')
  return isInstalled() ? undefined : 'nats-server could not be installed'
}

function isInstalled(): boolean {
  return spawnSync('nats-server', ['--version']).error === undefined
}

interface NatsServer {
  /** As in the cluster. */
  readonly name: string
  readonly url: string
  /** "SIGKILL" is what a power cut looks like, "SIGSTOP" and "SIGCONT" what a network that is cut and healed does. */
  signal(signal: NodeJS.Signals): Promise<void>
  /** Starts it again on what it had. */
  restart(): Promise<void>
}

export interface NatsServers {
  readonly servers: readonly NatsServer[]
  readonly urls: readonly string[]
  stop(): Promise<void>
}

/** So many servers, which answer; up within a second, or some seconds for a cluster. */
export async function startNats(count: 1 | 3 = 1): Promise<NatsServers> {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-nats-'))
  const ports = await freePorts(2 * count)
  const routes = ports.slice(count).map((port) => `nats://127.0.0.1:${port}`)
  const running = new Map<string, ChildProcess>()
  const servers = ports.slice(0, count).map((port, index): NatsServer => {
    const name = `n${index + 1}`
    const conf = join(folder, `${name}.conf`)
    const cluster = `cluster { name: test, listen: "127.0.0.1:${ports[count + index]}", routes: [${routes.join(', ')}] }\n`
    writeFileSync(
      conf,
      `server_name: ${name}\nlisten: "127.0.0.1:${port}"\njetstream { store_dir: "${join(folder, name)}" }\n${count > 1 ? cluster : ''}`,
    )
    return {
      name,
      url: `nats://127.0.0.1:${port}`,
      async signal(signal) {
        const child = running.get(name) as ChildProcess
        child.kill(signal)
        if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      },
      async restart() {
        const child = spawn('nats-server', ['-c', conf], { stdio: ['ignore', 'ignore', 'pipe'] })
        running.set(name, child)
        child.stderr?.setEncoding('utf8')
        const ready = Promise.withResolvers<void>()
        let said = ''
        child.stderr?.on('data', (text: string) => {
          said = (said + text).slice(-10_000)
          if (said.includes('Server is ready')) ready.resolve()
        })
        child.once('exit', (code) => ready.reject(new Error(`nats-server ended with ${code}: ${said}`)))
        const late = setTimeout(() => ready.reject(new Error(`nats-server is not ready: ${said}`)), 15_000)
        try {
          await ready.promise
        } finally {
          clearTimeout(late)
        }
      },
    }
  })
  const stop = async (): Promise<void> => {
    for (const child of running.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(servers.map((server) => server.restart()))
    // Three who have just met choose who leads before they take anything.
    if (count > 1) await sleep(3_000)
  } catch (error) {
    await stop()
    throw error
  }
  return { servers, urls: servers.map(({ url }) => url), stop }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(probes.map((probe) => once(probe, 'listening')))
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port)
  await Promise.all(probes.map((probe) => once(probe.close(), 'close')))
  return ports
}
