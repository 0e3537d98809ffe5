// What is expected to fail, and why: the list in expected.json, kept honest in both directions.
import { readFileSync } from 'node:fs'
import type { Case } from './cases.ts'
import { isGood } from './classify.ts'
import type { Profile } from './subject.ts'
import type { Run } from './suite.ts'

/** For each profile the ids of the cases that it should not pass, with the reason. */
const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Readonly<
  Record<Profile, Readonly<Record<string, string>>>
>

/** Where a run departs from what is expected of its profile, one sentence each. Both answers to a `check` case are right. */
export function surprises(cases: readonly Case[], { verdicts, outcomes }: Run, profile: Profile): readonly string[] {
  const reasons = expected[profile]
  const known = new Set(cases.map(({ id }) => id))
  const scored = cases.filter(({ kind }) => kind !== 'check')
  return [
    ...Object.keys(reasons).flatMap((id) => (known.has(id) ? [] : [`${id} is in expected.json, and there is no such case`])),
    ...scored.flatMap(({ id, kind }) => {
      const good = isGood(verdicts.get(id))
      if (good && id in reasons) return [`${id} is passed, and expected.json says it is not: "${reasons[id]}"`]
      if (!good && !(id in reasons))
        return [`${id} (${kind}): ${verdicts.get(id)}, ${outcomes.get(id)?.deviation?.why ?? 'itself passed'}`]
      return []
    }),
    ...cases.flatMap(({ id }) =>
      (outcomes.get(id)?.overlooked ?? []).map((what) => `${id}: ${what}, which its verdict does not cover`),
    ),
  ]
}
