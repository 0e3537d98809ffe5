// Finding and loading a configuration: the forms it may have, and for each way it can fail a message that says what to do.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { Failure } from '../src/failure.ts'
import { findConfig, loadConfig } from '../src/load-config.ts'
import { project } from './support/project.ts'

type Files = Readonly<Record<string, string>>

async function load(t: TestContext, files: Files, named?: string): Promise<unknown> {
  const { folder } = project(t, files)
  return loadConfig(findConfig(named, folder))
}

/** The message of the failure, with `~` for the folder of the project. */
async function failure(t: TestContext, files: Files, named?: string): Promise<string> {
  const { folder } = project(t, files)
  try {
    await loadConfig(findConfig(named, folder))
  } catch (error) {
    assert.ok(error instanceof Failure, String(error))
    assert.equal(error.exitCode, 1)
    return error.message.replaceAll(folder, '~')
  }
  throw new Error('it was loaded')
}

const MODULE = { 'package.json': '{ "type": "module" }' }

describe('a configuration is loaded', () => {
  const plain = "export default { name: 'edge' }"
  const forms: readonly [what: string, files: Files, named?: string][] = [
    ['in TypeScript', { 'cdn.config.ts': 'const name: string = "edge"\nexport default { name }' }],
    ['in TypeScript, said to be a module', { 'cdn.config.mts': plain }],
    ['in JavaScript', { ...MODULE, 'cdn.config.js': plain }],
    ['in JavaScript, said to be a module', { 'cdn.config.mjs': plain }],
    ['in JSON', { 'cdn.config.json': '{ "name": "edge" }' }],
    ['as a function', { 'cdn.config.mjs': "export default () => ({ name: 'edge' })" }],
    ['as a function of the environment', { 'cdn.config.mjs': "export default async ({ PATH }) => ({ name: PATH && 'edge' })" }],
    [
      'checked by defineConfig',
      { 'cdn.config.ts': "import { defineConfig } from 'simple-cdn'\nexport default defineConfig({ name: 'edge' } as never)" },
    ],
    [
      'from several files',
      {
        'cdn.config.ts': "import name from './parts/name.ts'\nexport default { name }",
        'parts/name.ts': "export default 'edge'",
      },
    ],
    ['by its name', { 'cdn.config.mjs': 'export default {}', 'conf/other.mjs': plain }, 'conf/other.mjs'],
  ]
  for (const [what, files, named] of forms) {
    test(what, async (t) => assert.deepEqual(await load(t, files, named), { name: 'edge' }))
  }
})

describe('a configuration that cannot be loaded says why', () => {
  const mistakes: readonly [what: string, files: Files, message: readonly (string | RegExp)[], named?: string][] = [
    ['none is there', {}, ['there is no cdn.config.ts (or .mts, .js, .mjs, .json) in ~; write one, or name one with --config']],
    [
      'two are there',
      { 'cdn.config.ts': '', 'cdn.config.json': '' },
      ['there are cdn.config.ts and cdn.config.json in ~; name the one you mean with --config'],
    ],
    ['the one that is named is not there', { 'cdn.config.ts': '' }, ['there is no ~/other.ts'], 'other.ts'],
    [
      'it has no default export',
      { 'cdn.config.ts': 'export const config = {}' },
      ['cdn.config.ts has no default export; write "export default defineConfig({ … })"'],
    ],
    ['it is no JSON', { 'cdn.config.json': '{ "origins": {}, }' }, [/^cdn\.config\.json is not JSON: .*position 17/]],
    [
      'a syntax error in TypeScript',
      { 'cdn.config.ts': 'export default {\n  origins: {,\n}' },
      [/^cdn\.config\.ts cannot be loaded: .*`,`/, '~/cdn.config.ts:2', '  origins: {,'],
    ],
    [
      'a syntax error in JavaScript',
      { 'cdn.config.mjs': 'export default {\n  origins: {,\n}' },
      ["cdn.config.mjs cannot be loaded: Unexpected token ','", '~/cdn.config.mjs:2', '  origins: {,', '            ^'],
    ],
    [
      'an enum',
      { 'cdn.config.ts': 'enum Kind { A }\nexport default { Kind }' },
      [
        /^cdn\.config\.ts cannot be loaded: .*enum/,
        'Node removes types and compiles nothing: write an object instead of an enum or a namespace, and assign parameters to properties.',
        '~/cdn.config.ts:1',
        'enum Kind { A }',
      ],
    ],
    [
      'a package that is not installed',
      { 'cdn.config.ts': "import sink from '@simple-cdn/sink-of-mine'\nexport default { sink }" },
      [/Cannot find package '@simple-cdn\/sink-of-mine'/, 'Install it with "npm install @simple-cdn/sink-of-mine".'],
    ],
    [
      'an import without its ending',
      { 'cdn.config.ts': "import name from './parts/name'\nexport default { name }", 'parts/name.ts': "export default 'edge'" },
      [/Cannot find module '~\/parts\/name'/, "An import names the file as it is: write './parts/name.ts'."],
    ],
    [
      'an import of JavaScript that is TypeScript',
      { 'cdn.config.ts': "import name from './name.js'\nexport default { name }", 'name.ts': "export default 'edge'" },
      [/Cannot find module '~\/name.js'/, "An import names the file as it is: write './name.ts'."],
    ],
    [
      'a type that is imported as if it were a value',
      { 'cdn.config.ts': "import { ProgramConfig } from 'simple-cdn'\nexport default {} as ProgramConfig" },
      [
        /does not provide an export named 'ProgramConfig'/,
        'If it is a type, write "import type".',
        '~/cdn.config.ts:1',
        /^import/,
        /\^/,
      ],
    ],
    [
      'CommonJS where modules are meant',
      { ...MODULE, 'cdn.config.js': 'module.exports = {}' },
      [
        /module is not defined/,
        /^This file is being treated as/,
        'Write "import" and "export default" instead of "require" and "module.exports".',
        /^at ~\/cdn\.config\.js:1:1$/,
      ],
    ],
    [
      'an error while it is loaded',
      { 'cdn.config.mjs': 'const a = undefined\nexport default a.b' },
      [/Cannot read properties of undefined/, 'at ~/cdn.config.mjs:2:18'],
    ],
    [
      'an error of its function',
      { 'cdn.config.mjs': "export default () => {\n  throw new Error('no SECRET is set')\n}" },
      ['cdn.config.mjs cannot be loaded: no SECRET is set', 'at ~/cdn.config.mjs:2:9'],
    ],
    [
      'a value that is thrown and no error',
      { 'cdn.config.mjs': "export default async () => { throw 'nothing' }" },
      ['cdn.config.mjs cannot be loaded: nothing'],
    ],
    [
      'nothing that is thrown',
      { 'cdn.config.mjs': 'export default () => Promise.reject()' },
      ['cdn.config.mjs cannot be loaded: undefined'],
    ],
  ]
  for (const [what, files, message, named] of mistakes) {
    test(what, async (t) => {
      const said = await failure(t, files, named)
      const lines = said.split('\n')
      for (const line of message) {
        const at = lines.findIndex((each) => (typeof line === 'string' ? each === line : line.test(each)))
        assert.ok(at >= 0, `${said}\n\nlacks, in its place, ${line}`)
        lines.splice(0, at + 1)
      }
    })
  }

  test('with the path it looks at, wherever that is', (t) => {
    const { folder } = project(t, { 'conf/cdn.config.ts': '' })
    assert.equal(findConfig('conf/cdn.config.ts', folder), join(folder, 'conf/cdn.config.ts'))
    assert.equal(findConfig(undefined, join(folder, 'conf')), join(folder, 'conf/cdn.config.ts'))
  })
})
