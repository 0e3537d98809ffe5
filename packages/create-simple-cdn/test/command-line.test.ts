// The command as it is typed: what it writes, what it refuses, and that it never writes over anything.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'

const program = join(import.meta.dirname, '../bin/create-simple-cdn.js')

function workplace(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'create-simple-cdn-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const create = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=@simple-cdn/source', program, ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, npm_config_user_agent: 'pnpm/12.0.0 npm/? node/v24.0.0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return { code: status, stdout, stderr }
  }
  return { folder, create }
}

const ORIGIN = ['--origin', 'https://app.example.com']

describe('create-simple-cdn', () => {
  test('writes a project, and says the next three commands', (t) => {
    const { folder, create } = workplace(t)
    assert.deepEqual(create('My CDN', ...ORIGIN, '--template', 'fly', '--logs', 's3', '--disk', '20gb', '--yes'), {
      code: 0,
      stdout: `11 files in My CDN: a CDN before https://app.example.com.
Next:

  cd 'My CDN'
  pnpm install
  pnpm run dev
`,
      stderr: '',
    })
    const read = (name: string) => readFileSync(join(folder, 'My CDN', name), 'utf8')
    assert.equal(JSON.parse(read('package.json')).name, 'my-cdn')
    assert.match(read('fly.toml'), /^app = "my-cdn"$/m)
    assert.match(read('cdn.config.ts'), /disk: '20gb'/)
  })

  test('asks nothing where nobody can answer, and takes what is most common', (t) => {
    const { folder, create } = workplace(t)
    assert.equal(create(...ORIGIN).code, 0)
    assert.deepEqual(readdirSync(join(folder, 'my-cdn')).sort(), [
      '.github',
      '.gitignore',
      'README.md',
      'cdn.config.test.ts',
      'cdn.config.ts',
      'package.json',
      'pnpm-workspace.yaml',
      'tsconfig.json',
    ])
  })

  test('writes into a folder that is empty but for a repository', (t) => {
    const { folder, create } = workplace(t)
    mkdirSync(join(folder, '.git'))
    assert.equal(create('.', ...ORIGIN).code, 0)
    assert.ok(existsSync(join(folder, 'cdn.config.ts')))
  })

  test('leaves a folder with something in it as it is, and says what lies there', (t) => {
    const { folder, create } = workplace(t)
    mkdirSync(join(folder, 'full'))
    for (const name of ['a', 'b', 'c', 'package.json']) writeFileSync(join(folder, 'full', name), 'mine')
    writeFileSync(join(folder, 'file'), '')
    assert.deepEqual(create('full', ...ORIGIN, '--yes'), {
      code: 1,
      stdout: '',
      stderr: 'create-simple-cdn: full is not empty (a, b, c, …); name a new folder, or empty that one\n',
    })
    assert.deepEqual(readdirSync(join(folder, 'full')), ['a', 'b', 'c', 'package.json'])
    assert.equal(create('file', ...ORIGIN).stderr, 'create-simple-cdn: file is a file; name another folder\n')
  })

  test('says in a sentence that it may not write there, and writes nothing where no folder is named', (t) => {
    const { folder, create } = workplace(t)
    writeFileSync(join(folder, 'file'), '')
    const under = create('file/below', ...ORIGIN)
    assert.equal(under.code, 1)
    assert.match(under.stderr, /^create-simple-cdn: ENOTDIR: .*\n$/)
    assert.deepEqual(create('', ...ORIGIN, '--yes'), {
      code: 1,
      stdout: '',
      stderr: 'create-simple-cdn: the folder has no name; write one, or "." for this one\n',
    })
    assert.deepEqual(readdirSync(folder), ['file'])
  })

  test('takes an origin without the spaces around it', (t) => {
    const { folder, create } = workplace(t)
    assert.equal(create('--origin', ' https://app.example.com ').code, 0)
    assert.match(readFileSync(join(folder, 'my-cdn/cdn.config.ts'), 'utf8'), /'https:\/\/app\.example\.com'/)
  })

  const wrong: readonly [args: readonly string[], message: string][] = [
    [['a', '--yes'], 'where is your site? Say it with --origin https://app.example.com'],
    [['a', '--origin', 'app.example.com'], '--origin: "app.example.com" has no scheme; write "https://app.example.com"'],
    [['a', '--origin', 'not a site'], '--origin: "not a site" is not a URL; write it like "https://app.example.com"'],
    [['a', '--origin', 'ftp://a.example'], '--origin: "ftp://a.example" is neither http nor https'],
    [['a', '--origin', 'https://:b@a.example'], '--origin: write it without user, query and fragment'],
    [
      ['a', '--origin', 'https://a.exa\tmple'],
      '--origin: "https://a.exa\tmple" is not a URL; write it like "https://app.example.com"',
    ],
    [['a', '--origin', 'https://a.example/?b'], '--origin: write it without user, query and fragment'],
    [['a', ...ORIGIN, '-t', 'flyio'], '--template: there is no "flyio"; choose fly, docker, node'],
    [['a', ...ORIGIN, '--logs', 'x'], '--logs: there is no "x"; choose stdout, s3, none'],
    [['a', ...ORIGIN, '--disk', '10 GB'], '--disk: "10 GB" is no size here; write "8gb", or "none"'],
    [['a', 'b', ...ORIGIN], '"b" is more than is asked for: one folder'],
    [['a', '--orgin', 'x'], "Unknown option '--orgin'; see --help"],
  ]
  for (const [args, message] of wrong)
    test(`says of ${args.join(' ')}: ${message}`, (t) => {
      const { folder, create } = workplace(t)
      assert.deepEqual(create(...args), { code: 2, stdout: '', stderr: `create-simple-cdn: ${message}\n` })
      assert.deepEqual(readdirSync(folder), [])
    })
})
