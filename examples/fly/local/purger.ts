// How a purge reaches every machine. The bus does this by itself; this one asks each admin listener, and tells machines that come back what they have missed.
import type { Machine } from './machines.ts'

export interface Purger {
  /** Resolves when every machine that answers requests has applied it: with the receipts, by machine. */
  purge(url: string): Promise<ReadonlyMap<string, number>>
  /** A machine is there again: resolves when it has heard what was purged meanwhile. Nothing may be asked of it before that. */
  returned(machine: Machine): Promise<void>
}

/** More than this a machine cannot have missed: then everything it has is purged. */
const MAX_OWED = 10_000
const PATIENCE_MS = 20_000

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
    const response = await fetch(`${machine.adminUrl}/purge`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: JSON.stringify({ purge }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    if (!response.ok) throw new Error(`${machine.id} answered ${response.status} to a purge: ${await response.text()}`)
    await response.arrayBuffer()
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
        if (missed.length > 0)
          await post(machine, missed.length > MAX_OWED ? [{ everything: true }] : missed.map((url) => ({ url })))
        owed.delete(machine)
      }),
  }
}
