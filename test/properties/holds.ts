// How properties are checked here: from a seed that is always the same, unless SEED names another.
import fc from 'fast-check'

const SEED = Number(process.env.SEED ?? 20140606)

/** A failure names seed and path, and shows the smallest example found. */
export function holds<Ts>(property: fc.IProperty<Ts>, numRuns = 2000): void {
  fc.assert(property, { seed: SEED, numRuns })
}

export async function holdsInTime<Ts>(property: fc.IAsyncProperty<Ts>, numRuns: number): Promise<void> {
  await fc.assert(property, { seed: SEED, numRuns })
}
