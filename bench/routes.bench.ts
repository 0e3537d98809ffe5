// What 1,000 routes and a table of 10,000 redirects add to a request, beside a single route. See README.md.
import { type CdnConfig, type CdnRequest, createCdn } from '@simple-cdn/core'

const GOAL_MICROS = 5
const ROUNDS = 15
const REQUESTS = 40_000

const table = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`/old/${at}`, `/new/${at}`]))
const last = { match: '/*', respond: { status: 204 } } as const

const many: CdnConfig['routes'] = [
  { match: '/*', redirect: table, status: 308 },
  ...Array.from({ length: 400 }, (_, at) => ({ match: `/section-${at}/*`, respond: { status: 204 } })),
  ...Array.from({ length: 300 }, (_, at) => ({ match: `/page-${at}`, respond: { status: 204 } })),
  ...Array.from({ length: 299 }, (_, at) => ({ match: `https://site-${at}.test/*`, respond: { status: 204 } })),
  last,
]

const cases: Readonly<Record<string, readonly string[]>> = {
  'that the last route takes': Array.from({ length: 500 }, (_, at) => `/other/${at}?a=b`),
  'of the table': Array.from({ length: 500 }, (_, at) => `/old/${at * 20}`),
  'of a section': Array.from({ length: 400 }, (_, at) => `/section-${at}/x`),
  'of a page': Array.from({ length: 300 }, (_, at) => `/page-${at}`),
}

const subjects = { one: createCdn(of([last])), many: createCdn(of(many)) }

function of(routes: CdnConfig['routes']): CdnConfig {
  return { origins: {}, routes, log: [] }
}

function micros(cdn: ReturnType<typeof createCdn>, targets: readonly string[]): number {
  const signal = new AbortController().signal
  const requests = targets.map(
    (target): CdnRequest => ({
      method: 'GET',
      scheme: 'https',
      authority: 'site-7x.test',
      target,
      httpVersion: '1.1',
      fields: [],
      signal,
    }),
  )
  const began = performance.now()
  for (let at = 0; at < REQUESTS; at++) {
    const answer = cdn.handle(requests[at % requests.length] as CdnRequest)
    if (answer instanceof Promise || answer.status >= 400) throw new Error('no route took it')
    answer.finished(0, true)
  }
  return ((performance.now() - began) * 1000) / REQUESTS
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

console.log(
  `${many.length} routes, one of them a table of 10,000 redirects; microseconds for a whole request, without a network:\n`,
)
console.log('| requests                  | one route | all   | added |')
console.log('| ------------------------- | --------- | ----- | ----- |')
let worst = 0
for (const [name, targets] of Object.entries(cases)) {
  const [one, all]: [number[], number[]] = [[], []]
  for (let round = 0; round <= ROUNDS; round++) {
    const measured = [micros(subjects.one, targets), micros(subjects.many, targets)] as const
    // The first round warms up.
    if (round === 0) continue
    one.push(measured[0])
    all.push(measured[1])
  }
  const added = median(all.map((value, round) => value - (one[round] as number)))
  worst = Math.max(worst, added)
  console.log(`| ${name.padEnd(25)} | ${median(one).toFixed(2).padEnd(9)} | ${median(all).toFixed(2)}  | ${added.toFixed(2)}  |`)
}
console.log(`\nAt most ${worst.toFixed(2)} µs are added; the goal is less than ${GOAL_MICROS}.`)
process.exitCode = worst < GOAL_MICROS ? 0 : 1
