// Runs the tests named on the command line (files or patterns), or all of them; ends with node:test's counts.
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const named = process.argv.slice(2)
const all = ['packages/*/test/**/*.test.ts', 'examples/**/*.test.ts', 'test/**/*.test.ts']

run({ globPatterns: named.length > 0 ? named : all, execArgv: ['--conditions=@simple-cdn/source'], concurrency: 2 })
  .on('test:fail', () => {
    process.exitCode = 1
  })
  .compose(spec)
  .pipe(process.stdout)
