// `pnpm conformance`: plays the cases against ours or any other proxy and prints what they come to. `--help` says how.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Case, casesPath, haveCases, loadCases, withDependencies } from './cases.ts'
import { isGood, totals } from './classify.ts'
import { surprises } from './expected.ts'
import { profiles, startEmbedded, startProgram } from './subject.ts'
import { type Run, runSuite, type Subject } from './suite.ts'

const usage = `pnpm conformance [options]
  --profile NAME       ours as it ships ("default") or doing all that RFC 9111 allows ("strict-rfc"); without it, both
  --program            start ours as \`simple-cdn start\`, not embedded
  --target URL         a proxy that runs already ("http://127.0.0.1:8080") and forwards to --origin-port
  --origin-port PORT   where the suite's origin listens on 127.0.0.1; without it, a free port
  --only ID,ID,…       these cases and those they depend on
  --runs N             so many runs in a row: a case counts if it is passed in all of them
  --verdicts FILE      write the verdict of each case as JSON`

const { values: options } = parseArgs({
  options: {
    profile: { type: 'string' },
    program: { type: 'boolean', default: false },
    target: { type: 'string' },
    'origin-port': { type: 'string', default: '0' },
    only: { type: 'string' },
    runs: { type: 'string', default: '1' },
    verdicts: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (options.help) console.log(usage)
else if (haveCases) process.exitCode = await main().catch(tell)
else {
  console.error(
    `There are no cases at ${casesPath}. Set SIMPLE_CDN_CACHE_TESTS to where they are; test/conformance/README.md says what they are.`,
  )
  process.exitCode = 2
}

/** The exit code: 0 when all is as expected, else 1; 2 when nothing was played. Of another proxy, and of some of the cases, nothing is expected. */
async function main(): Promise<number> {
  const all = loadCases()
  const cases = options.only === undefined ? all : withDependencies(all, options.only.split(','))
  const count = Number(options.runs)
  if (!Number.isInteger(count) || count < 1) throw new Error(`--runs "${options.runs}" is not a number of runs`)
  const written: Record<string, unknown> = {}
  let surprised = 0
  for (const { name, start } of subjects()) {
    const runs: Run[] = []
    for (let run = 0; run < count; run++) {
      runs.push(await runSuite(cases, start, { originPort: Number(options['origin-port']) }))
    }
    const combined = inAllRuns(cases, runs)
    report(name, cases, combined, runs)
    written[name] = Object.fromEntries(combined.verdicts)
    const profile = profiles.find((each) => each === name)
    if (profile === undefined || options.only !== undefined) continue
    const unexpected = surprises(cases, combined, profile)
    console.log(unexpected.length === 0 ? '  as expected.json says' : `  NOT as expected.json says:\n${indented(unexpected)}`)
    surprised += unexpected.length
  }
  if (options.verdicts !== undefined) writeFileSync(options.verdicts, JSON.stringify(written, undefined, 2))
  return surprised === 0 ? 0 : 1
}

function tell(error: Error): number {
  console.error(error.message)
  return 2
}

interface Named {
  readonly name: string
  readonly start: (originPort: number) => Promise<Subject>
}

function subjects(): readonly Named[] {
  const { target: url, profile: wanted } = options
  if (url !== undefined && options['origin-port'] === '0')
    throw new Error('--target needs --origin-port: where does that proxy forward to?')
  if (url !== undefined) return [{ name: url, start: async () => ({ url, stop: async () => {} }) }]
  const chosen = profiles.filter((each) => wanted === undefined || each === wanted)
  if (chosen.length === 0) throw new Error(`there is no profile "${wanted}": ${profiles.join(' or ')}`)
  const start = options.program ? startProgram : startEmbedded
  return chosen.map((profile) => ({ name: profile, start: (originPort) => start(profile, originPort) }))
}

/** For each case the run in which it went worst, as if it were the only one. */
function inAllRuns(cases: readonly Case[], runs: readonly Run[]): Run {
  const worst = (id: string) => runs.find(({ verdicts }) => !isGood(verdicts.get(id))) ?? runs[0]
  return {
    outcomes: new Map(cases.map(({ id }) => [id, worst(id)?.outcomes.get(id) ?? { overlooked: [] }])),
    verdicts: new Map(cases.map(({ id }) => [id, worst(id)?.verdicts.get(id) ?? 'untested'])),
    seconds: runs.reduce((sum, { seconds }) => sum + seconds, 0),
  }
}

function report(name: string, cases: readonly Case[], { verdicts, outcomes, seconds }: Run, runs: readonly Run[]): void {
  const { required, optimal, check } = totals(cases, verdicts)
  const effort = `${runs.length} ${runs.length === 1 ? 'run' : 'runs'}, ${seconds.toFixed(0)} s`
  console.log(
    `${name}: required ${required.good}/${required.of}, optimal ${optimal.good}/${optimal.of}, check yes ${check.good}/${check.of} (${effort})`,
  )
  const shown = cases.filter(({ id, kind }) => options.only !== undefined || (kind !== 'check' && !isGood(verdicts.get(id))))
  console.log(
    indented(
      shown.map(({ id, kind }) => {
        const why = outcomes.get(id)?.deviation?.why ?? ''
        const flips = new Set(runs.map((run) => run.verdicts.get(id))).size > 1 ? ' (not in every run)' : ''
        return `${kind.padEnd(8)} ${id.padEnd(50)} ${`${verdicts.get(id)}${flips}`.padEnd(11)} ${why}`
      }),
    ),
  )
  const noted = cases.flatMap(({ id }) => (outcomes.get(id)?.overlooked ?? []).map((what) => `${id}: ${what}`))
  if (noted.length > 0) console.log(`  outside the verdicts, since the original suite does not look there:\n${indented(noted)}`)
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `    ${line.trimEnd()}`).join('\n')
}
