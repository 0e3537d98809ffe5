// Programs that a benchmark needs and Debian has: found, or installed where we may, or named as missing.
import { spawnSync } from 'node:child_process'

/** Something that the benchmark cannot do without. The message says what, and how to get it. */
export class Missing extends Error {
  override readonly name = 'Missing'
}

/** What a program says about its version, or `undefined` when there is no such program. */
function version(program: string, flag: string): string | undefined {
  const { error, stdout, stderr } = spawnSync(program, [flag], { encoding: 'utf8' })
  return error ? undefined : /\d+(\.\d+)+/.exec(stdout + stderr)?.[0]
}

/** nginx's version; Debian's package is installed first if need be. Throws `Missing` when that cannot be done. */
export function requireNginx(): string {
  return requireServer('nginx', 'nginx', '-v')
}

/** Varnish's version, as `requireNginx`. */
export function requireVarnish(): string {
  return requireServer('varnish', 'varnishd', '-V')
}

/** wrk's version, as `requireNginx`, for what its substitute cannot do. */
export function requireWrk(): string {
  const found = findWrk()
  if (found === undefined) throw new Missing('wrk: sudo apt-get install --no-install-recommends wrk')
  return found
}

function requireServer(name: string, program: string, flag: string): string {
  const found = version(program, flag)
  if (found !== undefined) return found
  install(name)
  // The package starts a server with its default site, now and at each boot. Nobody asked for one.
  run('service', name, 'stop')
  run('update-rc.d', name, 'disable')
  const installed = version(program, flag)
  if (installed === undefined) throw new Missing(`${name}: sudo apt-get install --no-install-recommends ${name}`)
  return installed
}

/** wrk's version; Debian's package is installed first if need be. `undefined` when that cannot be done: there is a substitute. */
export function findWrk(): string | undefined {
  const found = version('wrk', '-v')
  if (found !== undefined) return found
  install('wrk')
  return version('wrk', '-v')
}

function install(name: string): void {
  if (process.getuid?.() !== 0) return
  console.error(`Installing Debian's ${name}.`)
  const arrived = run('apt-get', 'install', '-y', '--no-install-recommends', name)
  // A machine that has never asked for the package lists, or not for long, cannot find the package.
  if (!arrived && run('apt-get', 'update')) run('apt-get', 'install', '-y', '--no-install-recommends', name)
}

/** Whether the program ran, and succeeded within three minutes. */
function run(file: string, ...args: string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync(file, args, { stdio: 'ignore', timeout: 180_000, env }).status === 0
}
