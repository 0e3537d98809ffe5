// decide() and admit() against http-cache-semantics, as an oracle that is known to err: every disagreement has its class.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { cases } from './cases.ts'
import { rules, spellings } from './classes.ts'
import { type Disagreement, disagreements, ours, theirs } from './verdicts.ts'

// The library takes dates without a zone for local time: somewhere else than in Greenwich.
process.env.TZ = 'America/New_York'

const SEED = Number(process.env.SEED ?? 20140606)
const RUNS = 25_000

/** The name of its class; or the disagreement, as plainly as it can be said, when it has none. */
function classOf(disagreement: Disagreement): string | Disagreement {
  let plain = disagreement
  for (const { name, rewrite } of spellings) {
    const exchange = rewrite(plain.exchange)
    if (JSON.stringify(exchange) === JSON.stringify(plain.exchange)) continue
    const left = disagreements(exchange).find(({ about }) => about === disagreement.about)
    if (left === undefined) return name
    plain = left
  }
  const rule = ruleFor(plain)
  if (rule !== undefined || (plain.about !== 'serves' && plain.about !== 'afterFailure')) return rule ?? plain
  // What is served follows from lifetime and age.
  const causes = disagreements(plain.exchange).filter(({ about }) => about === 'lifetime' || about === 'age')
  return causes.map(ruleFor).find((cause) => cause !== undefined && cause !== 'no-cache') ?? plain
}

function ruleFor(disagreement: Disagreement): string | undefined {
  return rules.find((rule) => rule.about === disagreement.about && rule.covers(disagreement))?.name
}

const counts = new Map([...spellings, ...rules].map(({ name }) => [name, 0]))
const unclassified: Disagreement[] = []

for (const found of fc.sample(cases, { numRuns: RUNS, seed: SEED }).flatMap(disagreements).map(classOf)) {
  if (typeof found === 'string') counts.set(found, (counts.get(found) ?? 0) + 1)
  else unclassified.push(found)
}

describe(`this cache and http-cache-semantics, of ${RUNS} exchanges (SEED=${SEED}),`, () => {
  it('disagree only where a class says why', () => {
    const shown = unclassified.slice(0, 3).map((each) => JSON.stringify(each, undefined, 2))
    assert.equal(
      unclassified.length,
      0,
      `${unclassified.length} disagreements have no class; the first of them:\n${shown.join('\n')}`,
    )
  })

  for (const { name, reason, section } of [...spellings, ...rules]) {
    it(`still disagree about ${name} (${section}): ${reason}`, () => {
      assert.ok((counts.get(name) ?? 0) > 0, 'no exchange is of this class any more: take it out, or mend the cases')
    })
  }

  it('agree about most of what is plain', () => {
    const plain = fc
      .sample(cases, { numRuns: 2000, seed: SEED })
      .map((exchange) => spellings.reduce((each, { rewrite }) => rewrite(each), exchange))
    const served = plain.filter((exchange) => ours(exchange).serves === 'stored' && theirs(exchange).serves === 'stored')
    assert.ok(served.length > 200, `only ${served.length} are served by both: the cases are too odd to tell anything`)
    assert.ok(plain.filter((exchange) => disagreements(exchange).length === 0).length > 1000)
  })
})

describe('classes', () => {
  it('have names of their own, and a section each', () => {
    assert.equal(counts.size, spellings.length + rules.length)
    for (const { section } of [...spellings, ...rules]) assert.match(section, /^RFC \d{4} §\d/)
  })
})
