// A decision or an admission, in sentences. Knows no rules: it spells out what the value holds.
import type { StoredHead } from '../http/stored-response.ts'
import type { Admission } from './admit.ts'
import type { Decision } from './decide.ts'
import { REASONS, type Reason } from './reasons.ts'

/** The decision in sentences, the strongest first. */
export function explainDecision(decision: Decision): readonly string[] {
  const first = `${decision.action}: ${REASONS[decision.reason]}`
  if (decision.action === 'fetch')
    return [first, decision.mayStore ? 'the response may be stored' : 'the response will not be stored']
  if (decision.action === 'refuse') return [first, `answered with ${decision.status}`]
  return [first, ...explainStored(decision.stored, decision.age)]
}

/** What makes a stored response fresh or stale at an age of `age` seconds. */
export function explainStored(stored: StoredHead, age: number): readonly string[] {
  const { freshness, initialAge } = stored
  const staleFor = age - freshness.lifetime
  return [
    `lifetime ${seconds(freshness.lifetime)}, from ${freshness.from === 'none' ? 'nothing: the response names none' : freshness.from}`,
    `age ${seconds(age)} = ${seconds(initialAge)} on arrival + ${seconds(age - initialAge)} here`,
    staleFor < 0 ? `fresh for another ${seconds(-staleFor)}` : `stale for ${seconds(staleFor)}`,
    freshness.forbidsStale
      ? 'never served stale: the origin forbids it'
      : `stale-while-revalidate ${seconds(freshness.staleWhileRevalidate)}, stale-if-error ${seconds(freshness.staleIfError)}`,
    ...(freshness.validateAlways ? ['validated before every reuse'] : []),
    ...(stored.selecting.length === 0
      ? []
      : [`selected by ${stored.selecting.map(([name, value]) => `${name}: ${value ?? '(absent)'}`).join('; ')}`]),
  ]
}

/** What became of a response that was fetched. */
export function explainAdmission(admission: Admission): readonly string[] {
  return admission.store
    ? ['stored', ...explainStored(admission.meta, admission.meta.initialAge)]
    : [`not stored: ${REASONS[admission.reason]}`]
}

/** Why nothing is stored under a key, as far as that is remembered. */
export function explainAbsence(absence: { readonly reason: Reason; readonly secondsAgo: number } | undefined): readonly string[] {
  if (absence === undefined) return ['no response for it is remembered']
  return [`${Math.floor(absence.secondsAgo)}s ago: ${REASONS[absence.reason]}`]
}

function seconds(value: number): string {
  return `${Math.floor(value)}s`
}
