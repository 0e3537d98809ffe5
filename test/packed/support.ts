// The packages as users get them: packed, from a registry on loopback that asks the machine's own for everything else; and a user.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'

const root = join(import.meta.dirname, '../..')

interface Packed {
  readonly name: string
  readonly version: string
  /** Below the root of the repository. */
  readonly folder: string
  readonly tarball: string
}

/** Every package that is published, as `pnpm pack` makes it of what has been built. */
function packAll(into: string): readonly Packed[] {
  const listed = JSON.parse(output(root, 'pnpm', 'list', '--recursive', '--json', '--depth=-1')) as {
    readonly name: string
    readonly version: string
    readonly path: string
    readonly private: boolean
  }[]
  return listed
    .filter((each) => !each.private)
    .map(({ name, version, path }) => {
      const { filename } = JSON.parse(output(path, 'pnpm', 'pack', '--json', '--pack-destination', into))
      return { name, version, folder: path, tarball: filename }
    })
}

/** What a program printed. Throws all it said when it fails, or takes longer than two minutes. */
function output(cwd: string, file: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  if (status === 0) return stdout
  throw new Error(`\`${file} ${args.join(' ')}\` failed: ${error?.message ?? `exit code ${status}`}\n${stdout}${stderr}`)
}

export interface Registry {
  readonly url: string
  readonly packages: readonly Packed[]
  close(): void
}

/** Has our packages, and sends whoever wants others to the registry that npm is set to on this machine. */
export async function registry(): Promise<Registry> {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-packed-'))
  const packages = packAll(folder)
  const upstream = output(root, 'npm', 'config', 'get', 'registry').trim().replace(/\/$/, '')
  const documents = new Map<string, (url: string) => object>()
  const files = new Map<string, string>()
  for (const { name, version, tarball } of packages) {
    const manifest = JSON.parse(output(folder, 'tar', '-xOzf', tarball, 'package/package.json'))
    const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
    const path = `/-/tarballs/${basename(tarball)}`
    files.set(path, tarball)
    documents.set(name, (url) => ({
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...manifest, dist: { tarball: url + path, integrity } } },
    }))
  }
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    const file = files.get(path)
    if (file !== undefined) return void createReadStream(file).pipe(response)
    const document = documents.get(decodeURIComponent(path.slice(1)))
    if (document === undefined) return void response.writeHead(302, { Location: upstream + path }).end()
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(document(url)))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    packages,
    close() {
      server.close()
      server.closeAllConnections()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A site that may be kept for a minute, and counts how often it is asked. */
export async function site(): Promise<{ readonly url: string; readonly asked: () => number; close(): void }> {
  let asked = 0
  const server = createServer((_request, response) => {
    asked++
    response.setHeader('Cache-Control', 'max-age=60')
    response.end('hello\n')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

export interface User {
  readonly folder: string
  /** Runs a command in a shell, to its end. Throws what it printed when it fails. */
  run(command: string, options?: RunOptions): Promise<string>
  /** Starts a command that does not end by itself. */
  start(command: string, options?: RunOptions): Running
  /** Ends everything that was started, and removes the folder. */
  end(): Promise<void>
}

interface RunOptions {
  /** Below the user's folder. */
  readonly in?: string
  readonly env?: Readonly<Record<string, string>>
  /** What is typed when that has been printed, in order. */
  readonly answers?: readonly (readonly [prompt: string, answer: string])[]
}

export interface Running {
  readonly child: ChildProcess
  readonly printed: () => string
  /** Ends it as a terminal would: every process of it. */
  stop(): Promise<number | null>
}

const PATIENCE_MS = 90_000

/** Somebody with an empty folder. `bin`: where the `node` and `npm` of theirs are. `isNew`: nothing has ever been downloaded. */
export function user(registryUrl: string, { bin, isNew = false }: { bin?: string | undefined; isNew?: boolean } = {}): User {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-user-'))
  const running = new Set<Running>()
  // Not what npm or pnpm have told whoever runs this.
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|PNPM_|NODE_(TEST|OPTIONS|COMPILE)|INIT_CWD)/i.test(name)),
  )
  const path =
    bin === undefined
      ? process.env.PATH
      : [bin, ...(process.env.PATH ?? '').split(delimiter).filter((each) => !each.includes('node_modules'))].join(delimiter)
  const base = {
    ...inherited,
    PATH: path ?? '',
    CI: '',
    HOME: folder,
    npm_config_cache: isNew ? join(folder, '.npm') : output(root, 'npm', 'config', 'get', 'cache').trim(),
    npm_config_update_notifier: 'false',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
  }
  // Read by npm and pnpm.
  writeFileSync(join(folder, '.npmrc'), `registry=${registryUrl}\n`)

  const start = (command: string, { in: below = '', env = {}, answers = [] }: RunOptions = {}): Running => {
    const child = spawn('sh', ['-c', command], {
      cwd: join(folder, below),
      env: { ...base, ...env },
      stdio: [answers.length > 0 ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      // A group of its own, so that all of it can be ended.
      detached: true,
    })
    let printed = ''
    let answered = 0
    let from = 0
    const left = [...answers]
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
        const [next] = left
        if (next === undefined || !stripVTControlCharacters(printed.slice(from)).includes(next[0])) return
        from = printed.length
        answered++
        left.shift()
        // A prompt that has been drawn listens in a moment.
        setTimeout(() => child.stdin?.write(next[1]), 100)
        if (answered === answers.length) setTimeout(() => child.stdin?.end(), 1_000)
      })
    const ended = once(child, 'close')
    const one: Running = {
      child,
      printed: () => printed,
      async stop() {
        if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGTERM')
        const impatient = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 20_000)
        await ended
        clearTimeout(impatient)
        running.delete(one)
        return child.exitCode
      },
    }
    running.add(one)
    return one
  }

  return {
    folder,
    start,
    async run(command, options) {
      const { child, printed, stop } = start(command, options)
      const impatient = setTimeout(() => void stop(), PATIENCE_MS)
      const [code] = await once(child, 'close')
      clearTimeout(impatient)
      if (code !== 0) throw new Error(`\`${command}\` ended with ${code}:\n${stripVTControlCharacters(printed()).slice(-4000)}`)
      return printed()
    },
    async end() {
      for (const each of running) await each.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Whether this system has what gives a command a terminal: `script` of util-linux. */
export const hasTerminal = spawnSync('script', ['--version']).stdout?.includes('util-linux') === true

/** `npx create-simple-cdn my-cdn` in a terminal, answering nothing but the origin: Enter takes what is offered. */
export function createInTerminal(me: User, origin: string): Promise<string> {
  return me.run(`script --quiet --return --command "stty cols 100 rows 40; npx --yes create-simple-cdn my-cdn" /dev/null`, {
    env: { TERM: 'xterm' },
    answers: [
      ['Where is your site?', `${origin}\r`],
      ['Where will it run?', '\r'],
      ['Where do the logs go?', '\r'],
      ['How much disk', '\r'],
    ],
  })
}

/** Asks again until it is answered, a minute at most. Throws what the server printed when it has ended. */
export async function answered(
  url: string,
  running: Running,
  isGood: (response: Response) => boolean = () => true,
): Promise<Response> {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    if (running.child.exitCode !== null || running.child.signalCode !== null)
      throw new Error(`it has ended:\n${running.printed()}`)
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    if (response !== undefined && isGood(response)) return response
    await response?.body?.cancel()
    await sleep(50)
  }
  throw new Error(`${url} is not answered:\n${running.printed()}`)
}

export interface OtherNode {
  readonly bin: string
  readonly version: string
}

/** A Node of another major, which npm brings once for this repository. Throws when it cannot. */
export function nodeOf(major: number): OtherNode {
  const system = `${process.platform}-${process.arch}`.replace('darwin-arm64', 'bin-darwin-arm64')
  const folder = join(root, `node_modules/.cache/nodes/${major}`)
  const bin = join(folder, 'node_modules/.bin')
  const version = () => spawnSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' })
  if (version().status !== 0)
    output(
      root,
      'npm',
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--ignore-scripts',
      '--loglevel=error',
      `node-${system}@${major}`,
    )
  return { bin, version: version().stdout.trim() }
}

/** A Node below 22.19 with an npm of its own on this machine: in OLD_NODE, or where systems have theirs. */
export function oldNode(): OtherNode | undefined {
  for (const bin of [process.env.OLD_NODE ?? '', '/usr/bin', '/usr/local/bin']) {
    const version = spawnSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? ''
    const [, major = 0, minor = 0] = (/^v(\d+)\.(\d+)/.exec(version) ?? []).map(Number)
    const isOld = major > 0 && (major < 22 || (major === 22 && minor < 19))
    if (isOld && spawnSync(join(bin, 'npm'), ['--version']).status === 0) return { bin, version }
  }
  return undefined
}
