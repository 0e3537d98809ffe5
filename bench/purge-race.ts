// Races of purges with fills, validations and requests: none may give an old version after an acknowledged purge. Prints what happened in them.
import { parseArgs } from 'node:util'
import { race } from '../test/properties/purge-race.ts'

const { values: options } = parseArgs({
  options: { races: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
})
const races = Number(options.races)
const first = Number(options.seed)
const begun = performance.now()
const totals = { requests: 0, hits: 0, purges: 0, validated: 0 }
const complaints: string[] = []

for (let seed = first; seed < first + races; seed++) {
  const run = await race(seed)
  totals.requests += run.requests
  totals.hits += run.hits
  totals.purges += run.purges
  totals.validated += run.validated
  if (run.complaint !== undefined && complaints.push(run.complaint) <= 5) console.error(run.complaint)
  if ((seed - first + 1) % 10_000 === 0) console.error(`${seed - first + 1} races`)
}

const seconds = Math.round((performance.now() - begun) / 1000)
console.log(
  `${races} races in ${seconds} s: ${totals.requests} requests (${totals.hits} hits), ${totals.purges} purges, ${totals.validated} validations; ${complaints.length} gave an old version`,
)
process.exitCode = complaints.length === 0 ? 0 : 1
