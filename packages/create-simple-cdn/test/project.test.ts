// Every project there can be: its files compile, say what they should, and fit one another.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { checkConfig, type ProgramConfig } from 'simple-cdn'
import { parse } from 'yaml'
import { type Choices, LOGS, PLACES } from '../src/choices.ts'
import { packageManager } from '../src/package-manager.ts'
import { projectFiles } from '../src/project.ts'

const root = join(import.meta.dirname, '../../..')
const folder = mkdtempSync(join(tmpdir(), 'create-simple-cdn-'))
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
after(() => rmSync(folder, { recursive: true, force: true }))

const runner = readFileSync(join(import.meta.dirname, '../templates/run.mjs'), 'utf8')
const npm = packageManager('npm/11.0.0')
const all: Choices[] = PLACES.flatMap((place) =>
  LOGS.flatMap((logs) =>
    [8, 0].map((diskGb) => ({ name: 'my-cdn', origin: "https://app.example.com/it's", place, logs, diskGb })),
  ),
)
const setting = { version: '1.2.3', bringsNode: false, manager: npm, runner }
const nameFor = ({ place, logs, diskGb }: Choices): string => `${place}-${logs}-${diskGb}`

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly engines?: object
}

const manifest = (files: Readonly<Record<string, string>>): Manifest => JSON.parse(files['package.json'] ?? '')

describe('every project', () => {
  for (const choices of all) {
    const at = join(folder, nameFor(choices))
    for (const [path, text] of Object.entries(projectFiles(choices, setting))) {
      mkdirSync(dirname(join(at, path)), { recursive: true })
      writeFileSync(join(at, path), text)
    }
  }

  test('has a configuration without mistakes, before the origin that was named', async () => {
    for (const choices of all) {
      const { default: made } = await import(pathToFileURL(join(folder, nameFor(choices), 'cdn.config.ts')).href)
      const { server, memory: _, disk, ...config } = made({ BUCKET_NAME: 'logs' }) as ProgramConfig
      assert.deepEqual(checkConfig(config), [], nameFor(choices))
      assert.deepEqual(config.origins, { app: choices.origin })
      assert.equal(disk, choices.diskGb === 0 ? false : `${choices.diskGb}gb`)
      assert.equal(config.trustedProxies, choices.place === 'fly' ? 'fly' : undefined)
      assert.equal(server?.admin !== undefined, choices.place === 'fly')
      assert.deepEqual(
        config.log?.map(({ name }) => name),
        { none: [], stdout: undefined, s3: ['s3:logs'] }[choices.logs],
      )
    }
  })

  test('compiles, by its own tsconfig', () => {
    const references = all.map((choices) => ({ path: `./${nameFor(choices)}` }))
    // One program for all of them: they have the same options.
    const { compilerOptions } = JSON.parse(readFileSync(join(folder, nameFor(all[0] as Choices), 'tsconfig.json'), 'utf8'))
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, customConditions: ['@simple-cdn/source'] },
        include: references.map(({ path }) => `${path}/*.ts`),
      }),
    )
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '--project', folder, '--pretty', 'false'],
      { encoding: 'utf8', timeout: 60_000 },
    )
    assert.equal(stdout, '')
    assert.equal(status, 0)
  })

  test('has a workflow that installs, checks and tests; on Fly a tag is deployed after that', () => {
    for (const choices of all) {
      const { jobs } = parse(projectFiles(choices, setting)['.github/workflows/ci.yml'] ?? '')
      const runs = jobs.test.steps.flatMap(({ run = [] }) => run)
      assert.deepEqual(runs, ['npm ci', 'npm run check', 'npm run test'])
      assert.equal(jobs.deploy?.needs, choices.place === 'fly' ? 'test' : undefined)
    }
  })

  test('names the version that it was made with, and says in its scripts what it runs', () => {
    const files = projectFiles(all[0] as Choices, setting)
    assert.deepEqual(manifest(files).dependencies, { 'simple-cdn': '^1.2.3' })
    assert.equal(manifest(files).scripts.dev, 'simple-cdn start')
    assert.equal(manifest(files).scripts.check, 'simple-cdn check --fly && tsc')
    assert.equal(files['run.mjs'], undefined)
  })

  test('brings a Node of its own where the one there is would be too old', () => {
    const files = projectFiles(all[0] as Choices, { ...setting, bringsNode: true })
    assert.equal(files['run.mjs'], runner)
    for (const script of Object.values(manifest(files).scripts)) assert.match(script, /^node run\.mjs /)
    assert.equal(manifest(files).engines, undefined)
    assert.match(files['README.md'] ?? '', /EBADENGINE/)
  })

  test('has a volume where something has to outlive a machine, and none where nothing has', () => {
    for (const choices of all) {
      const files = projectFiles(choices, setting)
      const needs = choices.diskGb > 0 || choices.logs === 's3'
      if (choices.place === 'fly') assert.equal((files['fly.toml'] ?? '').includes('[[mounts]]'), needs, nameFor(choices))
      if (choices.place === 'docker') {
        const { services, volumes } = parse(files['compose.yaml'] ?? '')
        assert.deepEqual(services.cdn.volumes, needs ? ['cdn:/app/.simple-cdn'] : undefined)
        assert.deepEqual(volumes, needs ? { cdn: null } : undefined)
        assert.equal(services.cdn.stop_grace_period, '60s')
      }
    }
  })
})

describe('the package manager', () => {
  const agents: readonly [agent: string | undefined, name: string, ci: string][] = [
    ['npm/11.19.1 node/v20.20.2 linux x64 workspaces/false', 'npm', 'npm ci --omit=dev'],
    ['pnpm/12.21.0 npm/? node/v24.21.0 linux x64', 'pnpm', 'pnpm install --frozen-lockfile --prod'],
    ['yarn/1.22.22 npm/? node/v24.21.0 linux x64', 'yarn', 'yarn install --frozen-lockfile --production'],
    ['yarn/4.5.0 npm/? node/v24.21.0 linux x64', 'npm', 'npm ci --omit=dev'],
    ['bun/1.3.0 npm/? node/v24.3.0 linux x64', 'bun', 'bun install --frozen-lockfile --production'],
    ['constructor/1', 'npm', 'npm ci --omit=dev'],
    [undefined, 'npm', 'npm ci --omit=dev'],
  ]
  for (const [agent, name, ci] of agents)
    test(`that calls itself ${agent ?? 'nothing'} is ${name}, and builds the image, too`, () => {
      const manager = packageManager(agent)
      const files = projectFiles({ ...(all[0] as Choices), place: 'docker' }, { ...setting, manager })
      assert.equal(manager.name, name)
      assert.ok(files.Dockerfile?.includes(`RUN ${ci}\n`))
      assert.ok(files['README.md']?.includes(`${name} install\n`))
    })
})
