// Checks the packages as users get them: what is in the tarballs and how large they are, what publint and attw say of them; installs all of them with npm in an empty folder,
// imports every entry point, compiles against the types, and runs the command, also on an older Node if there is one. Needs a build.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Runs a program in `cwd` and gives what it printed. What fails, or takes longer than two minutes, ends the check. */
function run(cwd, file, ...args) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  if (status !== 0) fail(`\`${file} ${args.join(' ')}\` failed: ${error?.message ?? `exit code ${status}`}\n${stdout}${stderr}`)
  return stdout
}

function expect(condition, message) {
  if (!condition) fail(message)
}

function fail(message) {
  console.error(`pack-check: ${message}`)
  process.exit(1)
}

function step(text) {
  console.log(`· ${text}`)
}

/** What a tarball may weigh, in KiB. Raise one on purpose, not by accident. */
const BUDGET_KB = {
  '@simple-cdn/core': 180,
  'simple-cdn': 60,
  '@simple-cdn/testing': 16,
  'create-simple-cdn': 20,
  '@simple-cdn/store-cacache': 16,
  '@simple-cdn/store-disk': 24,
  '@simple-cdn/geo': 6,
  '@simple-cdn/sink-http': 8,
  '@simple-cdn/sink-pino': 6,
  '@simple-cdn/sink-s3': 12,
  '@simple-cdn/bus-nats': 20,
}
/** No sources, no tests, no maps, nothing of this machine. */
const CONTENTS = /^package\/(package\.json|README\.md|LICENSE|bin\/[\w-]+\.js|templates\/[\w.-]+|dist\/[\w/.-]+(\.js|\.d\.ts))$/

const packages = JSON.parse(run(root, 'pnpm', 'list', '--recursive', '--json', '--depth=-1')).filter((listed) => !listed.private)

const tarballs = packages.map(({ name, path }) => {
  const { filename } = JSON.parse(run(path, 'pnpm', 'pack', '--json', '--pack-destination', folder))
  const files = run(folder, 'tar', '-tzf', filename).trim().split('\n')
  const size = Math.ceil(statSync(filename).size / 1024)
  step(`${name}: ${files.length} files, ${size} KiB; publint, attw`)
  const strange = files.filter((file) => !CONTENTS.test(file))
  expect(strange.length === 0, `${name} has what nobody needs: ${strange}`)
  for (const file of ['README.md', 'LICENSE']) expect(files.includes(`package/${file}`), `${name} has no ${file}`)
  expect(name in BUDGET_KB, `${name} has no budget: give it one in scripts/pack-check.mjs`)
  expect(size <= BUDGET_KB[name], `${name} weighs ${size} KiB, and may weigh ${BUDGET_KB[name]}`)
  run(root, 'publint', 'run', filename, '--strict')
  run(root, 'attw', filename, '--profile', 'esm-only')
  return filename
})

step('npm install in an empty folder')
writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs)

const entries = packages.flatMap(({ name, path }) => {
  const subpaths = (file) =>
    Object.keys(JSON.parse(readFileSync(file, 'utf8')).exports).filter((subpath) => !subpath.endsWith('.json'))
  const [ours, theirs] = [join(path, 'package.json'), join(folder, 'node_modules', name, 'package.json')].map(subpaths)
  expect(
    `${ours}` === `${theirs}`,
    `${name}: "exports" and "publishConfig.exports" name different entry points: ${ours} and ${theirs}`,
  )
  return theirs.map((subpath) => name + subpath.slice(1))
})
step(`import ${entries.join(', ')}`)
for (const entry of entries) run(folder, 'node', '--input-type=module', '--eval', `await import('${entry}')`)

step('compile against the types')
writeFileSync(join(folder, 'all.ts'), entries.map((entry, index) => `export * as entry${index} from '${entry}'\n`).join(''))
const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
run(folder, 'tsc', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', ...types, 'all.ts')

const command = join(folder, 'node_modules/.bin/simple-cdn')
step('simple-cdn --version, simple-cdn --help')
const { version } = packages.find(({ name }) => name === 'simple-cdn')
expect(run(folder, command, '--version').includes(version), `simple-cdn --version does not say ${version}`)
expect(run(folder, command, '--help').includes('simple-cdn start'), 'simple-cdn --help does not name `simple-cdn start`')

const older = process.env.PATH.split(delimiter)
  .map((bin) => join(bin, 'node'))
  .find((node) => Number(/^v(\d+)/.exec(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]) < 22)
if (older === undefined) step('no older Node on this machine: what simple-cdn says on one is not checked')
else {
  const { status, stdout, stderr } = spawnSync(older, [command, '--version'], { encoding: 'utf8' })
  step(`on an older Node: ${stderr.trim()}`)
  expect(
    status === 1 && stdout === '' && /^simple-cdn needs Node .+\.\n$/.test(stderr),
    'that is not one sentence and exit code 1',
  )
}
