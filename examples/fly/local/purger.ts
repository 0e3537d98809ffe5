// How a purge reaches every machine: by the bus, or, without one, by asking each admin listener, and telling machines that come back what they have missed.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PurgeStatus } from 'simple-cdn'
import type { Machine } from './machines.ts'

export interface Purger {
  /** Resolves when every machine that answers requests has applied it: with the receipts, by machine. */
  purge(url: string): Promise<ReadonlyMap<string, number>>
  /** A machine is there again: resolves when it has heard what was purged meanwhile. Nothing may be asked of it before that. */
  returned(machine: Machine): Promise<void>
}

/** More than this a machine cannot have missed: then everything it has is purged. */
const MAX_OWED = 10_000
/** The admin listener takes no more at once. */
const MAX_SELECTORS = 1_000
const PATIENCE_MS = 20_000
/** How often a machine may ask to be asked again later: as many minutes as 10,000 take at 1,000 each, and some more. */
const MOST_WAITS = 15
/** A purge is safe to repeat. */
const MOST_TRIES = 5

/** Asks any machine that is there, which hands it to the bus; again, another one, when that fails. @throws Error when a machine does not hear of it. */
export function busPurger(machines: readonly Machine[], token: string): Purger {
  async function ask(url: string): Promise<ReadonlyMap<string, number>> {
    const there = machines.filter((machine) => machine.state() === 'started')
    const asked = there[Math.floor(Math.random() * there.length)] as Machine
    const response = await fetch(`${asked.adminUrl}/purge`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: JSON.stringify({ purge: [{ url }], waitMs: PATIENCE_MS }),
      signal: AbortSignal.timeout(2 * PATIENCE_MS),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${asked.id} answered ${response.status} to a purge: ${text}`)
    const { receipts } = JSON.parse(text) as { receipts: PurgeStatus }
    const owing = receipts.machines.filter(({ state }) => state === 'behind')
    if (owing.length > 0) throw new Error(`a purge was not heard by ${owing.map(({ machine }) => machine)}`)
    // Who is away hears of it before it next serves from its cache.
    return new Map(
      receipts.machines.flatMap(({ machine, state, appliedAt = 0 }) => (state === 'applied' ? [[machine, appliedAt]] : [])),
    )
  }
  return {
    async purge(url) {
      for (let tries = 1; ; tries++)
        try {
          return await ask(url)
        } catch (error) {
          if (tries === MOST_TRIES) throw error
        }
    },
    returned: async () => undefined,
  }
}

export function adminPurger(machines: readonly Machine[], token: string): Purger {
  const owed = new Map<Machine, string[]>()
  /** One after another for each machine, so that none overtakes what it is owed. */
  const turns = new Map<Machine, Promise<unknown>>()

  const inTurn = <Result>(machine: Machine, work: () => Promise<Result>): Promise<Result> => {
    const done = (turns.get(machine) ?? Promise.resolve()).catch(() => undefined).then(work)
    turns.set(machine, done)
    return done
  }

  async function post(machine: Machine, purge: readonly object[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      const response = await fetch(`${machine.adminUrl}/purge`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}` },
        body: JSON.stringify({ purge }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      })
      const text = await response.text()
      if (response.ok) return
      // A minute has room for `purge.perMinute`, and a machine may be owed more than that.
      if (response.status !== 429 || tries === MOST_WAITS)
        throw new Error(`${machine.id} answered ${response.status} to a purge: ${text}`)
      await sleep(1000 * Number(response.headers.get('Retry-After') ?? 1))
    }
  }

  return {
    async purge(url) {
      const receipts = new Map<string, number>()
      await Promise.all(
        machines.map((machine) =>
          inTurn(machine, async () => {
            try {
              if (machine.state() !== 'started') throw new Error('it is not there')
              await post(machine, [{ url }])
              receipts.set(machine.id, performance.now())
            } catch {
              owed.set(machine, [...(owed.get(machine) ?? []), url].slice(-MAX_OWED - 1))
            }
          }),
        ),
      )
      return receipts
    },
    returned: (machine) =>
      inTurn(machine, async () => {
        const missed = owed.get(machine) ?? []
        const purges = missed.length > MAX_OWED ? [{ everything: true }] : missed.map((url) => ({ url }))
        for (let from = 0; from < purges.length; from += MAX_SELECTORS)
          await post(machine, purges.slice(from, from + MAX_SELECTORS))
        owed.delete(machine)
      }),
  }
}
