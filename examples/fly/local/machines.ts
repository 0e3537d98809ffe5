// Machines of a local Fly: processes of simple-cdn, each with a folder that stands for its image and its volume, and the environment that Fly gives one.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, copyFileSync, mkdirSync, openSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../packages/core/test/support/free-port.ts'

/** `kill_timeout` of fly.toml. */
const KILL_TIMEOUT_MS = 60_000

type State = 'started' | 'stopping' | 'stopped'

export interface Machine {
  readonly id: string
  readonly region: string
  /** Where its public listener is, and its admin listener. The same for as long as it lives. */
  readonly port: number
  readonly adminUrl: string
  /** What simple-cdn says of itself, as a file. */
  readonly logFile: string
  readonly state: () => State
  start(): Promise<void>
  /** SIGTERM, and SIGKILL when that has not been heeded in time. The volume stays. Resolves to the exit code. */
  stop(): Promise<number | null>
  /** SIGKILL, as a host that fails. The volume stays. */
  kill(): Promise<void>
}

export interface MachineOptions {
  readonly region: string
  readonly index: number
  /** Where its folder is made. */
  readonly folder: string
  /** Beside what Fly gives: the origin, the bucket, secrets. */
  readonly env: Readonly<Record<string, string>>
  readonly adminToken: string
}

const example = dirname(import.meta.dirname)
const program = fileURLToPath(new URL('../bin/simple-cdn.js', import.meta.resolve('simple-cdn')))

export async function machine({ region, index, folder, env, adminToken }: MachineOptions): Promise<Machine> {
  const id = `${index}`.padStart(4, '0').padEnd(14, 'e')
  const image = join(folder, `${region}-${id}`)
  mkdirSync(image)
  copyFileSync(join(example, 'cdn.config.ts'), join(image, 'cdn.config.ts'))
  symlinkSync(join(example, '../../node_modules'), join(image, 'node_modules'))
  const [port, adminPort] = [await freePort(), await freePort()]
  const logFile = join(image, 'machine.log')
  let child: ChildProcess | undefined
  let state: State = 'stopped'

  const exit = async (running: ChildProcess): Promise<number | null> => {
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit')
    return running.exitCode
  }
  return {
    id,
    region,
    port,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    logFile,
    state: () => state,
    async start() {
      const log = openSync(logFile, 'a')
      const started = spawn(
        process.execPath,
        ['--conditions=@simple-cdn/source', program, 'start', '--no-watch', '--host', '127.0.0.1', '--port', `${port}`],
        {
          cwd: image,
          env: {
            PATH: process.env.PATH,
            FLY_APP_NAME: 'local',
            FLY_REGION: region,
            FLY_MACHINE_ID: id,
            FLY_PRIVATE_IP: '127.0.0.1',
            FLY_VM_MEMORY_MB: '512',
            LOCAL_FLY: '1',
            ADMIN_PORT: `${adminPort}`,
            CDN_ADMIN_TOKEN: adminToken,
            ...env,
          },
          stdio: ['ignore', log, log],
        },
      )
      closeSync(log)
      child = started
      started.once('exit', () => {
        if (child === started) state = 'stopped'
      })
      state = 'started'
    },
    async stop() {
      if (child === undefined) return null
      const stopping = child
      state = 'stopping'
      stopping.kill('SIGTERM')
      const impatient = setTimeout(() => stopping.kill('SIGKILL'), KILL_TIMEOUT_MS)
      const code = await exit(stopping)
      clearTimeout(impatient)
      return code
    },
    async kill() {
      if (child === undefined) return
      child.kill('SIGKILL')
      await exit(child)
    },
  }
}
