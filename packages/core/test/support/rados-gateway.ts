// A real S3 server on this machine: Ceph's RADOS Gateway over one monitor and one disk in memory, on loopback only.
import { execFile, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { listening } from './raw-origin.ts'

export const gatewayKey = 'cdntest'

export interface RadosGateway {
  readonly url: string
  close(): Promise<void>
}

const run = promisify(execFile)
const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common']

/** The gateway when it answers, after some 12 seconds; or, as text, why there is none. Debian's packages are installed where we may. */
export async function radosGateway(): Promise<RadosGateway | string> {
  if (!isInstalled() && !install()) return `no RADOS Gateway: sudo apt-get install --no-install-recommends ${PACKAGES.join(' ')}`
  const folder = mkdtempSync(join(tmpdir(), 'rgw-'))
  const close = async (): Promise<void> => {
    const runs = join(folder, 'run')
    const pids = readdirSync(runs).filter((name) => name.endsWith('.pid'))
    for (const name of pids) kill(Number(readFileSync(join(runs, name), 'utf8')))
    // They write to their folder until they are gone.
    await new Promise((resolve) => setTimeout(resolve, 500))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  try {
    return { url: await start(folder), close }
  } catch (error) {
    await close()
    return `no RADOS Gateway: ${(error as Error).message}`
  }
}

async function start(folder: string): Promise<string> {
  const [monitorPort, port] = [await freePort(), await freePort()]
  for (const name of ['mon', 'osd', 'run']) mkdirSync(join(folder, name))
  const configuration = join(folder, 'ceph.conf')
  const cluster = randomUUID()
  writeFileSync(configuration, settings(folder, cluster, monitorPort, port))
  const ceph = (program: string, ...args: string[]) => run(program, ['-c', configuration, ...args], { timeout: 60_000 })

  const map = join(folder, 'monmap')
  await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[v1:127.0.0.1:${monitorPort}]`, map])
  await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map)
  await ceph('ceph-mon', '-i', 'a')
  const disk = randomUUID()
  await ceph('ceph', 'osd', 'new', disk)
  await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk)
  await ceph('ceph', 'osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=h')
  await ceph('ceph-osd', '-i', '0')
  const user = ['--uid', 't', '--display-name', 't', '--access-key', gatewayKey, '--secret-key', gatewayKey]
  await ceph('radosgw-admin', 'user', 'create', ...user)
  await ceph('radosgw', '-n', 'client.rgw')

  const url = `http://127.0.0.1:${port}`
  for (let attempts = 0; attempts < 100; attempts++) {
    const answers = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
    if (answers) return url
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('it does not answer')
}

function settings(folder: string, cluster: string, monitorPort: number, port: number): string {
  return `[global]
fsid = ${cluster}
mon_host = [v1:127.0.0.1:${monitorPort}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_crush_chooseleaf_type = 0
osd_crush_update_on_start = false
osd_class_update_on_start = false
osd_objectstore = memstore
memstore_device_bytes = 268435456
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
run_dir = ${folder}/run
admin_socket = ${folder}/run/$name.asok
pid_file = ${folder}/run/$name.pid
log_file = ${folder}/run/$name.log
mon_data = ${folder}/mon
osd_data = ${folder}/osd
setuser_match_path =

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_run_sync_thread = false
`
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listening(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

function isInstalled(): boolean {
  const programs = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'monmaptool']
  return programs.every((program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined)
}

function install(): boolean {
  if (process.getuid?.() !== 0) return false
  console.error(`Installing Debian's ${PACKAGES.join(', ')}.`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]) => spawnSync('apt-get', args, { stdio: 'ignore', timeout: 180_000, env }).status === 0
  const get = () => apt('install', '-y', '--no-install-recommends', ...PACKAGES)
  return (get() || (apt('update') && get())) && isInstalled()
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
