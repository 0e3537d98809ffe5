// Rounds of kill -9 on a cache under load that logs to S3, and what is in the bucket afterwards, request by request.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Verified } from '@simple-cdn/core/log'
import { s3Batches } from '../../src/index.ts'
import { ACCESS, FSYNC_MS } from './access.ts'

export interface Outcome {
  readonly rounds: number
  /** Requests whose response was completed. */
  readonly completed: number
  /** Of those, completed so long before the kill that not even a loss of power may take them. */
  readonly settled: number
  /** Of the settled, without a line in the bucket. */
  readonly lost: number
  /** Of the others, completed in the last moments before a kill. */
  readonly lostLate: number
  /** How long before the kill the earliest of the lost was completed. */
  readonly lostWithinMs: number
  readonly twice: number
  readonly lines: number
  readonly gaps: number
  readonly objects: number
  readonly verified: readonly Verified[]
}

interface Running {
  readonly child: ChildProcess
  readonly port: number
}

export async function start(folder: string, endpoint: string): Promise<Running> {
  const args = ['--conditions=@simple-cdn/source', join(import.meta.dirname, 'child.ts'), folder, endpoint]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ port }] = await once(child, 'message')
  return { child, port }
}

/** Ends it as it should be ended. */
export async function end({ child }: Running): Promise<void> {
  const ended = once(child, 'exit')
  child.send('end')
  await ended
}

/** Asks so many times a second until it is stopped; tells the name of each request whose response is complete. */
export function load(
  port: number,
  perSecond: number,
  name: () => string,
  completed: (name: string, at: number) => void,
): { readonly pause: () => void; readonly stop: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const began = performance.now()
  let sent = 0
  let isOver = false
  const tick = setInterval(() => {
    const due = Math.min(((performance.now() - began) / 1000) * perSecond, sent + 200)
    for (; sent < due && !isOver; sent++) {
      const id = name()
      get({ host: '127.0.0.1', port, path: `/page?n=${id}`, agent }, (response) => {
        response.on('end', () => completed(id, performance.now())).on('error', () => {})
        response.resume()
      }).on('error', () => {})
    }
  }, 5)
  /** Asks for nothing more. */
  const pause = (): void => {
    isOver = true
    clearInterval(tick)
  }
  return {
    pause,
    stop() {
      pause()
      agent.destroy()
    },
  }
}

/** `endpoint` has the bucket. */
export async function killRounds(
  folder: string,
  endpoint: string,
  rounds: number,
  perSecond: number,
  onRound = (_: number): void => {},
): Promise<Outcome> {
  const dates = new Set([today()])
  const completions = new Map<string, number>()
  const settled = new Set<string>()
  let next = 0
  for (let round = 0; round < rounds; round++) {
    const running = await start(folder, endpoint)
    const inRound: string[] = []
    const asking = load(
      running.port,
      perSecond,
      () => String(next++),
      (id, at) => {
        completions.set(id, at)
        inRound.push(id)
      },
    )
    await sleep(FSYNC_MS + 200 + Math.random() * 1_000)
    const gone = once(running.child, 'exit')
    running.child.kill('SIGKILL')
    const killedAt = performance.now()
    await gone
    asking.stop()
    for (const id of inRound) {
      const before = killedAt - (completions.get(id) as number)
      completions.set(id, before)
      if (before > FSYNC_MS) settled.add(id)
    }
    dates.add(today())
    onRound(round)
  }
  await end(await start(folder, endpoint))
  dates.add(today())

  const sink = s3Batches({ ...ACCESS, endpoint })
  const lines = new Map<string, number>()
  let objects = 0
  const verified: Verified[] = []
  for (const date of dates) {
    for await (const text of sink.read?.(date) ?? []) {
      objects++
      for (const [, id = ''] of text.matchAll(/"url":"[^"]*\/page\?n=(\d+)"/g)) lines.set(id, (lines.get(id) ?? 0) + 1)
    }
    verified.push(...((await sink.verify?.(date, { read: true })) ?? []))
  }
  await sink.close?.()
  const missing = [...completions].filter(([id]) => !lines.has(id))
  return {
    rounds,
    completed: completions.size,
    settled: settled.size,
    lost: missing.filter(([id]) => settled.has(id)).length,
    lostLate: missing.filter(([id]) => !settled.has(id)).length,
    lostWithinMs: Math.max(0, ...missing.map(([, before]) => before)),
    twice: [...lines.values()].filter((count) => count > 1).length,
    lines: [...lines.values()].reduce((sum, count) => sum + count, 0),
    gaps: verified.reduce((sum, { gaps }) => sum + gaps.length, 0),
    objects,
    verified,
  }
}

export function today(): string {
  return new Date().toISOString().slice(0, 10)
}
