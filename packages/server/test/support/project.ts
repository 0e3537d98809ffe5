// The program itself, run in a folder of its own, and what it prints.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { watched } from '../../../core/test/support/watched.ts'
import { temporaryFolder } from './served.ts'

const packageFolder = join(import.meta.dirname, '../..')
const root = join(packageFolder, '../..')

interface Run {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves when standard error contains that, or the program has ended. */
  until(text: string): Promise<void>
  /** Resolves when the program has ended and everything it printed is here. */
  readonly ended: Promise<Ended>
}

interface Ended {
  /** As a shell gives it: 128 and the number of the signal for a program that died of one is not an exit code. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Started extends Run {
  readonly url: string
  readonly adminUrl: string
}

export interface Project {
  readonly folder: string
  write(name: string, text: string): void
  /** Starts `simple-cdn` with these arguments. Ends with the test. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Run
  /** `simple-cdn start`, listening. Throws what it printed when it does not come to that. */
  start(args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Started>
}

/** Has the files that are given, and `simple-cdn` installed. Gone with the test. */
export function project(t: TestContext, files: Readonly<Record<string, string>> = {}): Project {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(packageFolder, join(folder, 'node_modules/simple-cdn'))
  const made: Project = {
    folder,
    write(name, text) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    },
    run(args, env = {}) {
      const child = spawn(
        process.execPath,
        ['--conditions=@simple-cdn/source', join(packageFolder, 'bin/simple-cdn.js'), ...args],
        {
          cwd: folder,
          // Nothing of this machine's own settings; compiled once for all runs.
          env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/node'), ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      )
      t.after(() => child.kill('SIGKILL'))
      return watch(child)
    },
    async start(args = [], env = {}) {
      const run = made.run(['start', ...args], env)
      await run.until('"listening on ')
      const line = run
        .stderr()
        .split('\n')
        .find((each) => each.includes('"listening on '))
      if (line === undefined) throw new Error(run.stderr())
      const { url, admin } = JSON.parse(line)
      return { ...run, url, adminUrl: admin }
    },
  }
  for (const [name, text] of Object.entries(files)) made.write(name, text)
  return made
}

function watch(child: ChildProcess): Run {
  const printed = { stdout: '', stderr: '' }
  let over = false
  const { happened, until } = watched()
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
      happened()
    })
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      over = true
      happened()
      resolve({ code, ...printed })
    })
  })
  return {
    child,
    stdout: () => printed.stdout,
    stderr: () => printed.stderr,
    until: (text) => until(() => over || printed.stderr.includes(text)),
    ended,
  }
}
