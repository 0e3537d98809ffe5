// From how each case went to what that means: dependencies first, then the kind of the case.
import type { Case, Kind } from './cases.ts'
import type { Outcome } from './client.ts'

export type Verdict =
  | 'untested'
  /** Something that this case builds on was not passed, so that even its own success means nothing. */
  | 'dependency'
  /** The origin was asked twice. */
  | 'retry'
  /** It went wrong before the behaviour could show. */
  | 'setup'
  /** No complete reply in time. */
  | 'harness'
  | 'pass'
  | 'fail'
  | 'not-optimal'
  | 'yes'
  | 'no'

/** Verdicts by id, in the order of the cases. */
export type Verdicts = ReadonlyMap<string, Verdict>

export function classify(cases: readonly Case[], outcomes: ReadonlyMap<string, Outcome>): Verdicts {
  const byId = new Map(cases.map((each) => [each.id, each]))
  const verdicts = new Map<string, Verdict>()
  const verdictOf = (id: string): Verdict => {
    const known = verdicts.get(id)
    if (known !== undefined) return known
    const [found, outcome] = [byId.get(id), outcomes.get(id)]
    if (found === undefined || outcome === undefined) return 'untested'
    const verdict = found.dependsOn.every((each) => isGood(verdictOf(each))) ? judged(found.kind, outcome) : 'dependency'
    verdicts.set(id, verdict)
    return verdict
  }
  return new Map(cases.map(({ id }) => [id, verdictOf(id)]))
}

export function isGood(verdict: Verdict | undefined): boolean {
  return verdict === 'pass' || verdict === 'yes'
}

export type Totals = Readonly<Record<Kind, { readonly good: number; readonly of: number }>>

export function totals(cases: readonly Case[], verdicts: Verdicts): Totals {
  const total = (kind: Kind) => {
    const ofKind = cases.filter((each) => each.kind === kind)
    return { good: ofKind.filter(({ id }) => isGood(verdicts.get(id))).length, of: ofKind.length }
  }
  return { required: total('required'), optimal: total('optimal'), check: total('check') }
}

function judged(kind: Kind, { deviation }: Outcome): Verdict {
  if (deviation === undefined) return kind === 'check' ? 'yes' : 'pass'
  if (deviation.at === 'retry' || deviation.at === 'setup') return deviation.at
  if (deviation.at === 'timeout') return 'harness'
  return ({ required: 'fail', optimal: 'not-optimal', check: 'no' } as const)[kind]
}
