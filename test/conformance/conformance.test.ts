// http-tests/cache-tests against ours: both profiles fail what expected.json says, and nothing else.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { casesPath, haveCases, loadCases } from './cases.ts'
import { totals } from './classify.ts'
import { surprises } from './expected.ts'
import { profiles, startEmbedded } from './subject.ts'
import { runSuite } from './suite.ts'

const skip = !haveCases && `there are no cases at ${casesPath}, and SIMPLE_CDN_CACHE_TESTS does not say where else`
if (skip) console.error(`CONFORMANCE WAS NOT TESTED: ${skip}`)

describe('the cases of http-tests/cache-tests', { concurrency: true }, () => {
  for (const profile of profiles) {
    it(`are passed by the profile ${profile}, except those that expected.json lists`, { skip }, async (t) => {
      const cases = loadCases()
      const run = await runSuite(cases, (originPort) => startEmbedded(profile, originPort))
      t.diagnostic(JSON.stringify(totals(cases, run.verdicts)))
      assert.deepEqual(surprises(cases, run, profile), [])
    })
  }
})
