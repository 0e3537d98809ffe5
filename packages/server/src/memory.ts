// One number for memory: what the machine allows the process, and what of it is left to the cache.
import { totalmem } from 'node:os'
import { setFlagsFromString } from 'node:v8'

const MB = 1024 * 1024

/** The share of the machine's memory, or of the container's, that is taken when the configuration does not say. */
const SHARE = 0.6
const LEAST = 128 * MB
/** With less, what the runtime takes for the sake of speed counts, and every buffer that has been used and not yet been collected. */
const PLENTY = 1024 * MB

/** Bytes that this machine, or the container it is, allows all its processes. */
export function machineMemory(
  env: NodeJS.ProcessEnv = process.env,
  container: number = process.constrainedMemory(),
  machine: number = totalmem(),
): number {
  const fly = Number(env.FLY_VM_MEMORY_MB)
  if (fly > 0) return fly * MB
  // Without a limit, Node tells none, or one that no machine has.
  return container > 0 && container < machine ? container : machine
}

/** What the process may take when the configuration does not say. */
export function defaultMemory(machine: number): number {
  return Math.max(LEAST, Math.floor(machine * SHARE))
}

/**
 * What of the process's memory the cache may hold. The rest is the runtime's own: some 150 MiB for its code, its heap and a few
 * hundred connections, and a quarter of everything for buffers that have been used and not yet been collected. Measured by `npm run soak`.
 */
export function cacheMemory(processBytes: number): number {
  return Math.max(24 * MB, Math.floor(processBytes * 0.75) - 156 * MB)
}

/** Releases of Node whose V8 can count buffers, and can be told a bound for them: others say on standard error that they know no such flag. */
const COUNTS_BUFFERS: ReadonlySet<number> = new Set([24, 25, 26])
const BOUNDS_BUFFERS: ReadonlySet<number> = new Set([25, 26])
/** With less, V8 counts its heap alone. */
const ENOUGH_TO_COUNT = 384 * MB

/**
 * Tells V8 how much may lie about before everything is collected, and how much of what is new.
 *
 * Buffers lie outside of V8's heap. Ours is small, and V8 as it comes collects all of it whenever 8 MB of buffers have been used, which are
 * 8 MB of bodies: two thirds of what a body costs on its way in. Where there is plenty of memory it waits for a third of all that there
 * is, buffers included, and from 384 MB on for a fourteenth; with less, for one and a half times the heap. Decision 0019 has the figures.
 *
 * V8's space for new objects may grow again, to 32 MB, where there is plenty. With less, it stays at the few MB it begins with:
 * it is collected oftener, and with it the buffers of connections that have been used. At 256 MB and 200 clients that is 60 MB
 * less (`npm run soak`).
 *
 * One thread collects what is new: it is little, and waking others costs more than they do.
 */
export function tuneCollector(processBytes: number): void {
  for (const flag of collectorFlags(processBytes, process.versions.node)) setFlagsFromString(flag)
}

export function collectorFlags(processBytes: number, node: string): readonly string[] {
  const release = Number.parseInt(node, 10)
  if (processBytes >= PLENTY) {
    const counted = COUNTS_BUFFERS.has(release) ? ['--external-memory-accounted-in-global-limit'] : []
    return ['--no-parallel-scavenge', '--semi-space-growth-factor=2', ...counted]
  }
  const bounds = processBytes >= ENOUGH_TO_COUNT && BOUNDS_BUFFERS.has(release)
  const bounded = bounds ? ['--external-memory-accounted-in-global-limit', '--external-memory-max-growing-factor=1.07'] : []
  return ['--no-parallel-scavenge', '--heap-growing-percent=150', ...bounded]
}
