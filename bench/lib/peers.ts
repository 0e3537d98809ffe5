// The servers that a benchmark compares: each on a core of its own choosing, on loopback only, in a folder that goes with it.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../packages/core/test/support/free-port.ts'
import { build, builtProgram } from './built.ts'
import { spawnOn } from './cores.ts'

export interface Server {
  readonly pid: number
  /** Without a path: "http://127.0.0.1:8080". */
  readonly url: string
  /** Log entries since it was last asked; `undefined` when the server keeps no log. */
  logged(): Promise<number | undefined>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

export interface BenchOrigin {
  readonly url: string
  readonly body: Buffer
  /** Requests that it has answered: while servers answer from memory, none are added. */
  requests(): number
  close(): void
}

/** An origin in this process that gives every path the same cacheable body. */
export async function startOrigin(body: Buffer): Promise<BenchOrigin> {
  const head = [
    ...['Content-Type', 'text/plain', 'Content-Length', `${body.byteLength}`, 'Cache-Control', 'max-age=3600', 'ETag', '"1"'],
    // Without it, nginx gives no ranges. Nobody who has been given the whole asks this origin for any.
    ...['Accept-Ranges', 'bytes'],
  ]
  let requests = 0
  const server = createServer((_, response) => {
    requests++
    response.writeHead(200, head).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    body,
    requests: () => requests,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** nginx with one worker and proxy_cache as its manual shows it, before `origin`. The access log goes to a file, as is its default. */
export async function startNginx(core: number, origin: string, { accessLog }: { accessLog: boolean }): Promise<Server> {
  const folder = temporaryFolder()
  // Started by root, the worker is somebody else.
  chmodSync(folder, 0o755)
  const log = join(folder, 'access.log')
  const port = await freePort()
  writeFileSync(join(folder, 'nginx.conf'), nginxConfig({ folder, port, origin, log: accessLog ? log : 'off' }))
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  const nginx = launch(core, folder, 'nginx', args, ['ignore', 'inherit', 'inherit'])
  return server(nginx, port, async () => (accessLog ? takeLines(log) : undefined))
}

/** What has no line here is as nginx has it by default, but for keepalive_requests: no server closes a connection meanwhile. */
const nginxConfig = ({ folder, port, origin, log }: { folder: string; port: number; origin: string; log: string }) => `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  sendfile on;
  keepalive_requests 1000000000;
  access_log ${log};
  client_body_temp_path ${folder}/body;
  fastcgi_temp_path ${folder}/fastcgi;
  proxy_temp_path ${folder}/proxy;
  scgi_temp_path ${folder}/scgi;
  uwsgi_temp_path ${folder}/uwsgi;
  proxy_cache_path ${folder}/cache keys_zone=cache_zone:10m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${origin};
      proxy_cache cache_zone;
    }
  }
}
`

/** Varnish as its package has it, before `origin`, but with 1 GB of memory for bodies. It writes no log but that in memory. */
export async function startVarnish(core: number, origin: string): Promise<Server> {
  const folder = temporaryFolder()
  // Started by root, the child is somebody else.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const address = ['-a', `127.0.0.1:${port}`, '-T', 'none', '-b', new URL(origin).host]
  const args = ['-F', '-n', join(folder, 'varnish'), ...address, '-s', 'malloc,1G']
  const varnish = launch(core, folder, 'varnishd', args, 'ignore')
  return server(varnish, port, async () => undefined)
}

/** The program itself, `simple-cdn start`, before `origin`: with these sizes, everything else at its default. Both logs go to files. */
export async function startProgram(
  core: number,
  origin: string,
  sizes: { memory?: string; disk?: false | string; slice?: string } = {},
): Promise<Server> {
  const folder = temporaryFolder()
  const port = await freePort()
  const config = join(folder, 'cdn.config.json')
  const routes = [{ match: '/*', origin: 'app' }]
  writeFileSync(config, JSON.stringify({ origins: { app: origin }, routes, ...sizes, server: { host: '127.0.0.1', port } }))
  const out = join(folder, 'stdout')
  const logs = [openSync(out, 'a'), openSync(join(folder, 'stderr'), 'a')] as const
  const words = [builtProgram(), 'start', '--config', config]
  const started = launch(core, folder, process.execPath, words, ['ignore', ...logs])
  for (const log of logs) closeSync(log)
  return server(started, port, async () => takeLines(out))
}

interface OnFile {
  readonly child: ChildProcess
  readonly url: string
  /** Its operational log so far. */
  said(): string
  rssMb(): number
}

/**
 * The program on a configuration file, whose `server` names 127.0.0.1 and port 0: not pinned to a core, and without an admin
 * listener to ask. It ends with this process.
 */
export async function startOnFile(config: string, ...words: string[]): Promise<OnFile> {
  const all = [builtProgram(), 'start', '--config', config, ...words]
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'ignore', 'pipe'] })
  process.once('exit', () => child.kill('SIGKILL'))
  let said = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`the program ended:\n${said}`)))
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text
      const line = said.split('\n').find((each) => each.includes('"listening on ') && each.endsWith('}'))
      if (line !== undefined) resolve(JSON.parse(line).url)
    })
  })
  const status = `/proc/${child.pid}/status`
  return { child, url, said: () => said, rssMb: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'latin1'))?.[1]) / 1024 }
}

/**
 * A server that is a script of ours: it is given the origin's URL and `args`, listens on a port of 127.0.0.1 and sends `{ port }`
 * to us. Its log is either its standard output, or a count that it sends as `{ logged }` when it is sent anything.
 */
export async function startScript(
  core: number,
  origin: string,
  script: string,
  { args = [], log }: { args?: readonly string[]; log: 'none' | 'count' | 'stdout' },
): Promise<Server> {
  const folder = temporaryFolder()
  const out = join(folder, 'stdout')
  const descriptor = openSync(out, 'a')
  build()
  const words = [script, origin, ...args]
  const started = launch(core, folder, process.execPath, words, ['ignore', descriptor, 'inherit', 'ipc'])
  closeSync(descriptor)
  const tell = async (): Promise<{ port?: number; logged?: number }> => {
    const [message] = await Promise.race([once(started.child, 'message'), started.died])
    return message
  }
  const { port = 0 } = await tell()
  return server(started, port, async () => {
    if (log === 'none') return undefined
    if (log === 'stdout') return takeLines(out)
    const answer = tell()
    started.child.send('logged')
    return (await answer).logged
  })
}

interface Process {
  readonly child: ChildProcess
  /** Rejects when the process ends before it is told to; never resolves. */
  readonly died: Promise<never>
  stop(): Promise<void>
}

/** Starts a program that owns `folder`. Whatever ends this process, neither outlives it. */
function launch(core: number, folder: string, file: string, args: readonly string[], stdio: StdioOptions): Process {
  const child = spawnOn(core, file, args, { stdio })
  const clear = (): void => {
    child.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', clear)
  const gone = once(child, 'exit')
  const died = gone.then(([code, signal]) => {
    throw new Error(`${file} ${args.join(' ')} ended: ${signal ?? `exit code ${code}`}`)
  })
  // Told to stop, it dies unheard.
  died.catch(() => {})
  return {
    child,
    died,
    async stop() {
      child.kill('SIGTERM')
      const impatient = setTimeout(() => child.kill('SIGKILL'), 5000)
      await gone
      clearTimeout(impatient)
      process.off('exit', clear)
      clear()
    },
  }
}

/** Waits, ten seconds at most, for the first answer. */
async function server({ child, died, stop }: Process, port: number, logged: Server['logged']): Promise<Server> {
  const url = `http://127.0.0.1:${port}`
  const deadline = AbortSignal.timeout(10_000)
  const answered = async (): Promise<void> => {
    for (;;) {
      try {
        await (await fetch(url, { signal: deadline })).arrayBuffer()
        return
      } catch {
        deadline.throwIfAborted()
        await sleep(50)
      }
    }
  }
  await Promise.race([answered(), died])
  return { pid: child.pid as number, url, logged, stop }
}

function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'simple-cdn-bench-'))
}

const chunk = Buffer.allocUnsafe(1024 * 1024)

/** What a log's last lines may wait for others. */
const LINES_WAIT_MS = 200

/** How many lines a log has, the last ones too; then it is empty. Whoever writes it appends. */
async function takeLines(file: string): Promise<number> {
  await sleep(LINES_WAIT_MS)
  if (!existsSync(file)) return 0
  const descriptor = openSync(file, 'r')
  let lines = 0
  for (let length = readSync(descriptor, chunk); length > 0; length = readSync(descriptor, chunk)) {
    const read = chunk.subarray(0, length)
    for (let at = read.indexOf(10); at >= 0; at = read.indexOf(10, at + 1)) lines++
  }
  closeSync(descriptor)
  truncateSync(file)
  return lines
}
