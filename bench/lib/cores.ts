// Which cores a benchmark uses: one for the servers, another for everything else, so that neither takes time from the other.
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Missing } from './tools.ts'

export interface Cores {
  readonly server: number
  readonly load: number
}

/** The first and the last core this process may use: where cores have two threads, these two are not of one core. Needs two. */
export function twoCores(): Cores {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? ''
  const [server, load] = [Number.parseInt(list, 10), Number(list.split(/[,-]/).at(-1))]
  if (!(server < load)) throw new Missing('two cores: one for the server, one for the load')
  return { server, load }
}

/** Moves this process, with all its threads, to one core. */
export function pinSelf(core: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${process.pid}`], { stdio: 'ignore' })
}

/** Starts a program on one core. `taskset` becomes the program, so the pid is the program's own. */
export function spawnOn(core: number, file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn('taskset', ['--cpu-list', `${core}`, file, ...args], options)
}
