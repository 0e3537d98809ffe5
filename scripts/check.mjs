// The one command before a commit: runs each check to its end, then says which of them failed.
import { spawnSync } from 'node:child_process'

const checks = [
  'tsc -b',
  'biome check --error-on-warnings .',
  'node run.mjs test',
  'node run.mjs build',
  'node scripts/pack-check.mjs',
  'node run.mjs test:packed',
  'knip',
]

const failed = checks.filter((check) => {
  console.log(`\n== ${check}`)
  const [file, ...args] = check.split(' ')
  return spawnSync(file, args, { stdio: 'inherit' }).status !== 0
})
console.log(failed.length === 0 ? '\nAll checks pass.' : `\nFailed: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
