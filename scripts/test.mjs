// Runs the tests named on the command line (files or patterns), or all of them; ends with node:test's counts.
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const named = process.argv.slice(2)
const skipped = []
const all = [
  'packages/*/test/**/*.test.ts',
  'packages/{stores,sinks}/*/test/**/*.test.ts',
  'examples/**/*.test.ts',
  'test/**/*.test.ts',
]

// A test has two minutes; a file that stays alive after its tests, for want of closing something, is ended and fails after ten.
run({
  globPatterns: named.length > 0 ? named : all,
  execArgv: ['--conditions=@simple-cdn/source', '--test-timeout=120000'],
  signal: AbortSignal.timeout(600_000),
  concurrency: 2,
})
  .on('test:pass', ({ name, skip }) => {
    if (skip !== undefined) skipped.push(`SKIPPED: ${name}: ${skip}`)
  })
  .on('test:summary', ({ success }) => {
    if (!success) process.exitCode = 1
  })
  .compose(spec)
  .pipe(process.stdout)

// Of hundreds of lines nobody reads the one in the middle.
process.on('exit', () => {
  if (skipped.length > 0) console.error(skipped.join('\n'))
})
