// What a machine can check of how the code is kept: who imports whom, who reads the clock, what a file's first line says.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

import { describe, test } from 'node:test'

interface Source {
  /** From the root of the repository, with `/`. */
  readonly path: string
  readonly text: string
}

/** The floors of packages/core/src, lowest first. What stands beside them in src/ is the roof. See docs/architecture.md. */
const floors = [['errors.ts'], ['http'], ['policy', 'checks.ts'], ['stores', 'origins', 'log'], ['engine'], ['adapters']]
const core = 'packages/core/src/'

/** Where the world is asked for the time, and what for. Everything else is given a `Clock`, or the time itself. */
const readsTheClock = ['packages/core/src/http/time.ts']

const root = join(import.meta.dirname, '..')
const notOurs = new Set(['node_modules', 'dist', '.git', '.toolchain'])

function sourcesIn(folder: string): Source[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter(({ name }) => !notOurs.has(name))
    .flatMap((found) => {
      const path = posix.join(folder, found.name)
      if (found.isDirectory()) return sourcesIn(path)
      return /\.(ts|mts|mjs|js|json|ya?ml|md)$/.test(path) ? [{ path, text: readFileSync(join(root, path), 'utf8') }] : []
    })
}

const isCode = ({ path }: Source) => /\.(ts|mts|mjs|js)$/.test(path)
const isShipped = (source: Source) => isCode(source) && /^packages\/.+\/src\//.test(source.path)

/** `text` without comments that have lines of their own, so that prose breaks no rule. */
const codeOf = ({ text }: Source) => text.replace(/^\s*(\/\/|\/?\*).*$/gm, '')

function imports(source: Source): string[] {
  return [...codeOf(source).matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, specifier = '']) => specifier)
}

/** The folder of a file in packages/core/src (the roof's is ''), and how high it is. */
function place(path: string): { folder: string; floor: number } {
  const [first = ''] = path.slice(core.length).split('/')
  const floor = floors.findIndex((names) => names.includes(first))
  if (floor >= 0) return { folder: first, floor }
  assert.ok(first.endsWith('.ts'), `${core}${first}/ is on no floor: give it one in test/tidy.test.ts`)
  return { folder: '', floor: floors.length }
}

/** Imports that go sideways or up in core, or out of a package by path. */
function wrongImports(sources: readonly Source[]): string[] {
  return sources.filter(isShipped).flatMap((source) =>
    imports(source)
      .filter((specifier) => specifier.startsWith('.'))
      .filter((specifier) => {
        const target = posix.join(posix.dirname(source.path), specifier)
        const own = source.path.slice(0, source.path.indexOf('/src/') + 5)
        if (!target.startsWith(own)) return true
        if (own !== core) return false
        const [from, to] = [place(source.path), place(target)]
        return from.folder !== to.folder && from.floor <= to.floor
      })
      .map((specifier) => `${source.path} imports ${specifier}`),
  )
}

/** Packages and Node modules that a pure floor imports: it is to have no way to the outside. */
function impureImports(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => /^packages\/core\/src\/(http|policy)\//.test(path))
    .flatMap((source) =>
      imports(source)
        .filter((specifier) => !specifier.startsWith('.'))
        .map((specifier) => `${source.path} imports ${specifier}`),
    )
}

function clockReaders(sources: readonly Source[]): string[] {
  const reads = /\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\)|\bDate\(\)|\bhrtime\b/
  return sources.filter((source) => isShipped(source) && reads.test(codeOf(source))).map(({ path }) => path)
}

/** Code whose first line (after a `#!`) is not a comment with something to say. */
function unexplained(sources: readonly Source[]): string[] {
  return sources
    .filter((source) => isCode(source) && !/^(#!.*\n)?(\/\/|\/\*\*)( \S+){3}/.test(source.text))
    .map(({ path }) => path)
}

function linesWith(pattern: RegExp, sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  )
}

// Put together here, so that this file does not break its own rules.
const leftForLater = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`)
const onlyOne = new RegExp(`\\b(test|it|describe|suite)\\.${'only'}\\(`)
const registryHost = new RegExp(
  ['registry\\.' + 'npmjs', 'registry\\.' + 'yarnpkg', 'npm' + 'mirror\\.', 'tarball: ' + 'http'].join('|'),
)

describe('the repository', () => {
  const sources = sourcesIn('.')

  test('is found', () => {
    assert.ok(sources.filter(isShipped).length > 30)
  })
  test('imports only from the same folder and from floors below', () => {
    assert.deepEqual(wrongImports(sources), [])
  })
  test('keeps http/ and policy/ free of packages and Node modules', () => {
    assert.deepEqual(impureImports(sources), [])
  })
  test('reads the clock only where a Clock is made', () => {
    assert.deepEqual(
      clockReaders(sources).filter((path) => !readsTheClock.includes(path)),
      [],
    )
  })
  test('says in the first line of each file what it is for', () => {
    assert.deepEqual(unexplained(sources), [])
  })
  test('leaves nothing for later, and no test alone', () => {
    assert.deepEqual(linesWith(leftForLater, sources), [])
    assert.deepEqual(linesWith(onlyOne, sources), [])
  })
  test('names no registry: which one to ask is for each machine to say', () => {
    assert.deepEqual(linesWith(registryHost, sources), [])
  })
})

describe('the rules of the repository catch', () => {
  const file = (path: string, text: string): Source[] => [{ path: core + path, text }]
  const wrong = (path: string, specifier: string) => wrongImports(file(path, `import { x } from '${specifier}'`)).length === 1

  const directions: [from: string, specifier: string, wrong: boolean, what: string][] = [
    ['policy/decide.ts', '../http/time.ts', false, 'down'],
    ['policy/decide.ts', './admit.ts', false, 'the same folder'],
    ['cdn.ts', './config.ts', false, 'the roof, from the roof'],
    ['adapters/node.ts', '../errors.ts', false, 'the ground'],
    ['http/time.ts', '../policy/decide.ts', true, 'up: that very import turned round'],
    ['stores/memory.ts', '../log/sink.ts', true, 'sideways'],
    ['errors.ts', './http/time.ts', true, 'up, from the ground'],
    ['engine/engine.ts', '../config.ts', true, 'the roof, from below'],
    ['adapters/node.ts', '../../../server/src/index.ts', true, 'out of the package'],
  ]
  for (const [from, specifier, expected, what] of directions) {
    test(`${expected ? 'an import' : 'no import'} that goes ${what}`, () => assert.equal(wrong(from, specifier), expected))
  }

  test('every spelling of an import', () => {
    for (const spelling of [`import '../engine/x.ts'`, `export * from '../engine/x.ts'`, `await import('../engine/x.ts')`]) {
      assert.equal(wrongImports(file('http/a.ts', spelling)).length, 1, spelling)
    }
    assert.equal(wrongImports(file('http/a.ts', `import {\n  type A,\n  b,\n} from '../engine/x.ts'`)).length, 1)
    assert.deepEqual(wrongImports(file('http/a.ts', `// as if one wrote: import '../engine/x.ts'`)), [])
  })
  test('a folder that is on no floor', () => {
    assert.throws(() => wrong('cdn.ts', './cluster/peers.ts'), /on no floor/)
  })
  test('a way out of a pure floor', () => {
    assert.equal(impureImports(file('http/a.ts', `import { readFile } from 'node:fs'`)).length, 1)
    assert.equal(impureImports(file('engine/a.ts', `import { pipeline } from 'node:stream'`)).length, 0)
  })
  test('a look at the clock', () => {
    for (const look of ['Date.now()', 'performance.now()', 'new Date()', 'process.hrtime.bigint()']) {
      assert.equal(clockReaders(file('engine/a.ts', `const now = ${look}`)).length, 1, look)
    }
    assert.deepEqual(clockReaders(file('engine/a.ts', 'const at = new Date(now)')), [])
  })
  test('a first line that says nothing', () => {
    for (const text of ['import a', '//', '// helpers', '']) assert.equal(unexplained(file('a.ts', text)).length, 1, text)
    for (const text of ['// Counts what goes by.', '#!/bin/x\n// Starts the command line.', '/** Counts what goes by. */']) {
      assert.deepEqual(unexplained(file('a.ts', text)), [], text)
    }
  })
  test('work left for later, and the registry', () => {
    assert.equal(linesWith(leftForLater, file('a.ts', `// ${'TO'}${'DO'}: the rest`)).length, 1)
    assert.equal(linesWith(registryHost, file('a.ts', `'https://registry.${'npmjs'}.org/'`)).length, 1)
    assert.equal(linesWith(onlyOne, file('a.ts', `test.${'only'}('x')`)).length, 1)
  })
})
