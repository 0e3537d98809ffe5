// A real S3 server on loopback: Ceph's RADOS Gateway on one node, in memory. Debian's packages are installed where we may.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../core/test/support/free-port.ts'

const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common']

export interface Ceph {
  readonly url: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  stop(): Promise<void>
}

/** Why there can be none on this machine, or `undefined`. */
export function cephIsMissing(): string | undefined {
  if (isInstalled()) return undefined
  if (process.getuid?.() !== 0) return `${PACKAGES.join(' ')} are not installed, and only root may`
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]): void => void spawnSync('apt-get', args, { stdio: 'ignore', timeout: 240_000, env })
  // Another test may be installing what it needs.
  const install = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=200', ...PACKAGES]
  apt(...install)
  if (isInstalled()) return undefined
  apt('update')
  apt(...install)
  return isInstalled() ? undefined : `${PACKAGES.join(' ')} could not be installed`
}

function isInstalled(): boolean {
  return ['radosgw', 'ceph-mon', 'ceph-osd', 'radosgw-admin'].every(
    (program) => spawnSync(program, ['--version']).error === undefined,
  )
}

/** Up within some 15 seconds. Throws what a program said that failed. */
export async function startCeph(): Promise<Ceph> {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-ceph-'))
  for (const each of ['mon', 'osd', 'run']) mkdirSync(join(folder, each))
  const [monPort, port] = [await freePort(), await freePort()]
  const conf = join(folder, 'ceph.conf')
  const fsid = randomUUID()
  writeFileSync(conf, cephConf(folder, fsid, monPort, port))
  const running: ChildProcess[] = []
  const run = (program: string, ...args: string[]): void => {
    const { status, stderr } = spawnSync(program, ['-c', conf, ...args], { encoding: 'utf8', timeout: 60_000 })
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  }
  const start = (program: string, ...args: string[]): void => {
    running.push(spawn(program, ['-c', conf, '-f', ...args], { stdio: 'ignore' }))
  }
  const stop = async (): Promise<void> => {
    for (const child of running.reverse()) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const map = join(folder, 'monmap')
    const made = spawnSync('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v1:127.0.0.1:${monPort}]`, map])
    if (made.status !== 0) throw new Error(`monmaptool: ${made.stderr}`)
    run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map)
    start('ceph-mon', '-i', 'a')
    const osd = randomUUID()
    run('ceph', '--connect-timeout', '30', 'osd', 'new', osd)
    run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
    run('ceph', 'osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=h')
    start('ceph-osd', '-i', '0')
    run(
      'radosgw-admin',
      'user',
      'create',
      '--uid',
      't',
      '--display-name',
      't',
      '--access-key',
      'cdntest',
      '--secret-key',
      'cdntest',
    )
    start('radosgw', '-n', 'client.rgw')
    const url = `http://127.0.0.1:${port}`
    for (let tries = 0; ; tries++) {
      const answered = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
      if (answered !== undefined) break
      if (tries > 150) throw new Error('radosgw does not answer')
      await sleep(200)
    }
    return { url, accessKeyId: 'cdntest', secretAccessKey: 'cdntest', stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const cephConf = (folder: string, fsid: string, monPort: number, port: number): string => `[global]
fsid = ${fsid}
mon_host = 127.0.0.1:${monPort}
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
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
osd_objectstore = memstore
memstore_device_bytes = 1073741824
run_dir = ${folder}/run
admin_socket = ${folder}/run/$cluster-$name.asok
log_file = ${folder}/run/$name.log
mon_data = ${folder}/mon
osd_data = ${folder}/osd
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
setuser_match_path =
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_enable_usage_log = false
rgw_run_sync_thread = false
`
