// One run of the cases against one proxy: its origin is started first, then the proxy, then all cases are played, many at once.
import type { Case } from './cases.ts'
import { classify, type Verdicts } from './classify.ts'
import { durationOf, type Outcome, play } from './client.ts'
import { startOrigin } from './origin.ts'

/** A proxy under test. */
export interface Subject {
  /** Where it listens, without a path: "http://127.0.0.1:8080". */
  readonly url: string
  stop(): Promise<void>
}

export interface Run {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly verdicts: Verdicts
  readonly seconds: number
}

/**
 * Plays the cases against the proxy that `start` starts before an origin on that port. `originPort` 0 takes a free one. So many cases
 * side by side as in the original suite: nearly all of their time is waiting.
 */
export async function runSuite(
  cases: readonly Case[],
  start: (originPort: number) => Promise<Subject>,
  { originPort = 0, atOnce = 25 } = {},
): Promise<Run> {
  const begun = performance.now()
  const outcomes = new Map<string, Outcome>()
  // The longest first, so that none of them is left alone at the end.
  const waiting = cases.toSorted((one, other) => durationOf(other) - durationOf(one)).values()
  const origin = await startOrigin(originPort)
  try {
    const subject = await start(origin.port)
    const worker = async (): Promise<void> => {
      for (const each of waiting) outcomes.set(each.id, await play(each, subject.url, origin))
    }
    await Promise.all(Array.from({ length: atOnce }, worker)).finally(() => subject.stop())
  } finally {
    await origin.close()
  }
  return { outcomes, verdicts: classify(cases, outcomes), seconds: (performance.now() - begun) / 1000 }
}
