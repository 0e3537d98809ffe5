// The same exchange judged twice, by this cache and by http-cache-semantics, in words that can be compared.
import CachePolicy from 'http-cache-semantics'
import type { Fields } from '../../packages/core/src/http/fields.ts'
import { type CacheKey, currentAge, selects } from '../../packages/core/src/http/stored-response.ts'
import { admit } from '../../packages/core/src/policy/admit.ts'
import { type Decision, decide, decideAfterFailure } from '../../packages/core/src/policy/decide.ts'
import { defaultPolicy, type Policy } from '../../packages/core/src/policy/policy.ts'
import { type Case, type Headers, T0 } from './cases.ts'

/** As near to what the library does as the policy goes: both obey the client, and both guess lifetimes. */
const policy: Policy = {
  ...defaultPolicy,
  honorRequestDirectives: true,
  heuristicFreshness: true,
  staleIfError: 0,
  targetedFields: ['cdn-cache-control'],
}

/** `undefined`: there is nothing to judge, since the response is not stored. */
export interface Verdict {
  readonly stores: 'yes' | 'no'
  /** Seconds of freshness. */
  readonly lifetime: number | undefined
  /** Seconds, when the second request comes. */
  readonly age: number | undefined
  /** What the second request gets. */
  readonly serves: 'stored' | 'stored, and validates it' | 'asks the origin' | 'refuses' | undefined
  /** What it gets when the origin, asked, answers 503. */
  readonly afterFailure: 'stored' | 'the failure' | undefined
}

/** With the reason why it stores or does not, and serves or does not. */
export type OurVerdict = Verdict & { readonly because: string }

const URL = 'http://cdn.test/'
const KEY = URL as CacheKey

export function ours({ first, response, second }: Case): OurVerdict {
  const now = T0 + second.afterMs
  const asked = { method: first.method, url: URL, fields: fieldsOf(first.headers) }
  const times = { requestedAt: T0 - response.delayMs, receivedAt: T0 }
  const before = decide(asked, { miss: 'uri-miss' }, policy, T0)
  if (before.action !== 'fetch' || !before.mayStore) return { ...UNSTORED, because: 'the request' }
  const admission = admit(
    KEY,
    asked,
    { status: response.status, fields: fieldsOf(response.headers), ...times },
    policy,
    () => 'id',
  )
  if (!admission.store) return { ...UNSTORED, because: admission.reason }

  const { meta } = admission
  const again = { method: second.method, fields: fieldsOf(second.headers) }
  const selected = selects(meta, again.fields, policy.normalise)
  const decision = decide(again, selected ? { stored: meta } : { miss: 'vary-miss' }, policy, now)
  const failed = selected && decision.action === 'revalidate' ? decideAfterFailure(meta, now) : undefined
  return {
    stores: 'yes',
    lifetime: meta.freshness.lifetime,
    age: currentAge(meta, now),
    serves: served(decision),
    afterFailure: decision.action !== 'revalidate' ? undefined : failed === undefined ? 'the failure' : 'stored',
    because: decision.reason,
  }
}

const UNSTORED: Verdict = { stores: 'no', lifetime: undefined, age: undefined, serves: undefined, afterFailure: undefined }

function served(decision: Decision): Verdict['serves'] {
  if (decision.action === 'refuse') return 'refuses'
  if (decision.action !== 'serve') return 'asks the origin'
  return decision.revalidateAfter ? 'stored, and validates it' : 'stored'
}

export function theirs({ first, response, second }: Case): Verdict {
  const stored = new AtTime({ method: first.method, url: '/', headers: first.headers }, response, T0)
  if (!stored.storable()) return UNSTORED
  stored.time = T0 + second.afterMs
  const again = { method: second.method, url: '/', headers: second.headers }
  const { response: hit, revalidation } = stored.evaluateRequest(again)
  return {
    stores: 'yes',
    lifetime: stored.maxAge(),
    age: stored.age(),
    serves: hit === undefined ? 'asks the origin' : revalidation === undefined ? 'stored' : 'stored, and validates it',
    afterFailure: stored.revalidatedPolicy(again, { status: 503, headers: {} }).matches ? 'stored' : 'the failure',
  }
}

class AtTime extends CachePolicy {
  time: number | undefined

  constructor(request: ConstructorParameters<typeof CachePolicy>[0], response: Case['response'], time: number) {
    super(request, response, { shared: true })
    this.time = time
  }

  /** The constructor of the library asks before there is a field to hold the answer. */
  override now(): number {
    return this.time ?? T0
  }
}

function fieldsOf(headers: Headers): Fields {
  return Object.entries(headers).flat()
}

export interface Disagreement {
  readonly about: keyof Verdict
  readonly exchange: Case
  readonly ours: OurVerdict
  readonly theirs: Verdict
}

/** Whatever the two say differently. */
export function disagreements(exchange: Case): readonly Disagreement[] {
  const verdicts = { exchange, ours: ours(exchange), theirs: theirs(exchange) }
  return (['stores', 'lifetime', 'age', 'serves', 'afterFailure'] as const)
    .filter((about) => differ(verdicts.ours[about], verdicts.theirs[about]))
    .map((about) => ({ about, ...verdicts }))
}

function differ(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return false
  return typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) > 1e-6 : a !== b
}
