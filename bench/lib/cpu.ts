// CPU time and memory of a server with all its processes, from /proc: see proc(5).
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const microsPerTick = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/**
 * User and system time in microseconds that the process `pid` has used so far, its children included, living and waited for.
 * In steps of a clock tick, usually 10 ms. Throws when there is no such process.
 */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // Field 2 is a name that may hold blanks and parentheses: count from its end. Fields 14 to 17: utime, stime, cutime, cstime.
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
  const own = ticks.reduce((sum, field) => sum + Number(field), 0) * microsPerTick
  return childrenOf(pid).reduce((sum, child) => sum + cpuOfChild(child), own)
}

/** As `cpuMicros`, in nanoseconds and without steps, but of living threads only: for a server that keeps those it has. */
export function cpuNanosOfThreads(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const own = threads.reduce(
    (sum, id) => sum + Number.parseInt(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'latin1'), 10),
    0,
  )
  return childrenOf(pid).reduce((sum, child) => sum + cpuNanosOfThreads(child), own)
}

function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()
  return list === '' ? [] : list.split(' ').map(Number)
}

function cpuOfChild(pid: number): number {
  try {
    return cpuMicros(pid)
  } catch {
    // It ended just now, nginx's cache loader for one: from here on its parent counts it as waited for.
    return 0
  }
}

/** The most memory that each process of a server has had at a time since `forgetPeak`, added up, in bytes. */
export function peakBytes(pid: number): number {
  const kilobytes = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
  return childrenOf(pid).reduce((sum, child) => sum + peakBytes(child), kilobytes * 1024)
}

/** Lets the peak of each process begin anew, at what it has now. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  for (const child of childrenOf(pid)) forgetPeak(child)
}
