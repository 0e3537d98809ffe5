// http-tests/cache-tests against ours: both profiles fail what expected.json says, and nothing else.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { casesPath, haveCases, type Kind, loadCases } from './cases.ts'
import { totals } from './classify.ts'
import { surprises } from './expected.ts'
import { profiles, startEmbedded } from './subject.ts'
import { runSuite } from './suite.ts'

// Whoever says where they are does not want to hear that they were skipped.
const skip = !haveCases && !process.env.SIMPLE_CDN_CACHE_TESTS && `CONFORMANCE WAS NOT TESTED: there are no cases at ${casesPath}`

describe('the cases of http-tests/cache-tests', { concurrency: true }, () => {
  it('are those for which expected.json was written', { skip }, () => {
    const count = (kind: Kind) => loadCases().filter((each) => each.kind === kind).length
    assert.deepEqual([count('required'), count('optimal'), count('check')], [160, 105, 100])
    // As many of another commit may ask for something else.
    const data = JSON.stringify(JSON.parse(readFileSync(casesPath, 'utf8')))
    const digest = createHash('sha256').update(data).digest('hex')
    assert.equal(
      digest,
      'a78b24d3909cb76103d59d692eb461f87378d1ccc93061eefbd44176b50ca525',
      'commit b55b8bda, however it is spaced',
    )
  })

  for (const profile of profiles) {
    it(`are passed by the profile ${profile}, except those that expected.json lists`, { skip }, async (t) => {
      const cases = loadCases()
      const run = await runSuite(cases, (originPort) => startEmbedded(profile, originPort))
      t.diagnostic(JSON.stringify(totals(cases, run.verdicts)))
      assert.deepEqual(surprises(cases, run, profile), [])
    })
  }
})
