// What a machine can check of the documentation: it covers what there is and nothing else, its links lead somewhere, its code compiles.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { describe, test } from 'node:test'
import { CdnError, ERROR_CODES, type ErrorCode, REASONS, type Reason } from '@simple-cdn/core'
// @ts-expect-error: a script without types, so that it runs on any Node.
import { configReference } from '../scripts/config-reference.mjs'

const root = join(import.meta.dirname, '..')

/** Paths from the root of the repository, with `/`. */
function filesLike(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: root })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path))
    .sort()
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const pages = filesLike('*.md', '{docs,examples,bench,test}/**/*.md', 'packages/**/*.md')

/** `text` with the same number of lines, and nothing in those that are in fences. */
function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, (block) => block.replace(/.+/g, ''))
}

interface Section {
  /** As it is written, without `#`. */
  readonly heading: string
  readonly level: number
  /** What comes before the next heading of any level. */
  readonly text: string
}

function sectionsOf(text: string): Section[] {
  return [...withoutFences(text).matchAll(/^(#{1,6}) (.+)\n((?:(?!#{1,6} ).*\n?)*)/gm)].map(
    ([, marks = '', heading = '', body = '']) => ({ heading, level: marks.length, text: body }),
  )
}

/** Sections of the third level that are about one thing in code: `### \`fresh\``. */
function sectionsByCode(path: string): ReadonlyMap<string, string> {
  const about = sectionsOf(read(path)).filter(({ heading, level }) => level === 3 && /^`[^`]+`$/.test(heading))
  assert.equal(new Set(about.map(({ heading }) => heading)).size, about.length, `${path} has two sections about one thing`)
  return new Map(about.map(({ heading, text }) => [heading.slice(1, -1), text]))
}

/** The fragment that GitHub makes of a heading. */
function slugOf(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

/** Links of a page that lead nowhere: no such file, or no such heading in it. */
function brokenLinks(path: string, text: string): string[] {
  const prose = withoutFences(text).replace(/`[^`\n]*`/g, '')
  const targets = [...prose.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)|^\[[^\]]+\]: *(\S+)/gm)].map(
    ([, inline, reference]) => inline ?? reference ?? '',
  )
  return targets
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
    .filter((target) => {
      const [file = '', fragment] = target.split('#')
      const found = posix.join(posix.dirname(path), decodeURIComponent(file))
      if (file !== '' && !existsSync(join(root, found))) return true
      if (fragment === undefined) return false
      if (file !== '' && statSync(join(root, found)).isDirectory()) return true
      const headings = sectionsOf(file === '' ? text : read(found)).map(({ heading }) => slugOf(heading))
      return !headings.includes(fragment)
    })
    .map((target) => `${path}: ${target}`)
}

/** The options of each interface in a file that configures something: `CdnConfig`, `OriginRoute`. */
function optionsOf(source: string): ReadonlyMap<string, readonly string[]> {
  const interfaces = source.matchAll(/^export interface (\w+(?:Config|Route))\b.*\{\n([\s\S]*?)^\}/gm)
  return new Map(
    [...interfaces].map(([, name = '', body = '']) => {
      const code = body.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'[^']*'/g, '')
      return [name, [...code.matchAll(/\b(\w+)\??:/g)].map(([, option = '']) => option)]
    }),
  )
}

/** First cells of the rows of tables, where they are code. */
function codeInFirstCells(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, code = '']) => code)
}

interface Block {
  readonly path: string
  readonly line: number
  readonly code: string
}

/** TypeScript that is meant to be whole, since it imports or exports something. */
function wholeBlocks(path: string, text: string): Block[] {
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
    .map(({ index, 1: code = '' }) => ({ path, line: text.slice(0, index).split('\n').length + 1, code }))
    .filter(({ code }) => /^(import|export)\b/m.test(code))
}

/** What the compiler says about them, with the place in the page. */
function complaints(blocks: readonly Block[]): string {
  const cache = join(root, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'docs-'))
  try {
    const files = blocks.map(({ path, line, code }) => {
      const name = `${path.replaceAll('/', '+')}+${line}.mts`
      writeFileSync(join(folder, name), code)
      return name
    })
    const compilerOptions = { composite: false, noEmit: true, emitDeclarationOnly: false, tsBuildInfoFile: null }
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../../tsconfig.base.json', compilerOptions, files }),
    )
    const tsc = spawnSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '--project', folder, '--pretty', 'false'],
      {
        cwd: folder,
        encoding: 'utf8',
        timeout: 60_000,
      },
    )
    if (tsc.status === 0) return ''
    return `${tsc.stdout}${tsc.stderr}${tsc.error ?? ''}` || `tsc ended with ${tsc.status}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the documentation', () => {
  test('is found', () => {
    for (const page of ['README.md', 'CONTRIBUTING.md', 'docs/README.md', 'docs/decisions/README.md'])
      assert.ok(pages.includes(page), page)
  })

  test('has every reason, with its sentence, and no other', () => {
    const documented = sectionsByCode('docs/explain.md')
    assert.deepEqual([...documented.keys()].sort(), Object.keys(REASONS).sort())
    for (const [reason, text] of documented) assert.equal(/^> (.+)$/m.exec(text)?.[1], REASONS[reason as Reason], reason)
  })

  test('has every error code, with its status, source and message, and no other', () => {
    const documented = sectionsByCode('docs/errors.md')
    assert.deepEqual([...documented.keys()].sort(), [...ERROR_CODES].sort())
    for (const [code, text] of documented) {
      const { status, source, retry, summary } = new CdnError(code as ErrorCode)
      assert.equal(text.split('\n', 1)[0], `${status}, source \`${source}\`, retry ${retry ? 'yes' : 'no'}: ${summary}.`, code)
    }
  })

  test('has every option of each part of a configuration, and no other', () => {
    const sections = sectionsOf(read('docs/config.md'))
    const interfaces = [...optionsOf(read('packages/core/src/config.ts')), ...optionsOf(read('packages/server/src/config.ts'))]
    assert.ok(interfaces.length > 10)
    for (const [name, options] of interfaces) {
      const section = sections.find(({ heading }) => heading.includes(`\`${name}\``))
      assert.ok(section !== undefined, `docs/config.md has no section about ${name}`)
      assert.deepEqual(codeInFirstCells(section.text).sort(), [...options].sort(), name)
    }
  })

  test('has the types of the configuration as they are declared', () => {
    assert.equal(
      read('docs/config-types.md'),
      configReference(),
      'the types have changed: `node scripts/config-reference.mjs` writes the page anew',
    )
  })

  test('has only links that lead somewhere', () => {
    assert.deepEqual(
      pages.flatMap((page) => brokenLinks(page, read(page))),
      [],
    )
  })

  test('has every decision that is cited, and an index of all', () => {
    const records = filesLike('docs/decisions/[0-9]*.md').map((path) => posix.basename(path))
    const sources = filesLike(
      '*.mjs',
      '{packages,examples,bench,scripts,test}/**/*.{ts,mjs,js}',
      '{docs,examples}/**/*.md',
      '*.md',
    )
    const cited = sources.flatMap((path) => [...read(path).matchAll(/decisions\/(\d{4})\b/g)].map(([, number = '']) => number))
    assert.ok(cited.length > 0)
    for (const number of cited)
      assert.equal(records.filter((name) => name.startsWith(`${number}-`)).length, 1, `decision ${number}`)
    const index = read('docs/decisions/README.md')
    for (const record of records) assert.ok(index.includes(`[${record.slice(0, 4)}](${record})`), `${record} is not in the index`)
  })

  test('has code that compiles', () => {
    const blocks = pages.flatMap((page) => wholeBlocks(page, read(page)))
    assert.ok(blocks.length > 5)
    assert.equal(complaints(blocks), '')
  })
})

describe('the checks of the documentation catch', () => {
  test('a link to no file, and to no heading', () => {
    const text =
      '# One two\n\n[a](nowhere.md) [b](#one-two) [c](#three) [d](README.md#documentation) [e](README.md#x) [f](https://x.example/#y)\n'
    assert.deepEqual(brokenLinks('docs/page.md', text), [
      'docs/page.md: nowhere.md',
      'docs/page.md: #three',
      'docs/page.md: README.md#x',
    ])
  })
  test('no link and no heading in code', () => {
    assert.deepEqual(brokenLinks('docs/page.md', 'Write `[a](b)`.\n\n```sh\n# c\n[d](e)\n```\n'), [])
    assert.deepEqual(brokenLinks('docs/page.md', '[a](#c)\n\n```sh\n# c\n```\n'), ['docs/page.md: #c'])
  })
  test('headings as GitHub spells them', () => {
    assert.equal(slugOf('The cache: `CdnConfig`'), 'the-cache-cdnconfig')
    assert.equal(slugOf('`CDN_NO_ROUTE`'), 'cdn_no_route')
    assert.equal(slugOf('May [this](x.md) be – kept?'), 'may-this-be--kept')
  })
  test('options wherever they stand, and nothing else', () => {
    const source =
      "export interface AConfig {\n  /** not: this */\n  a?: 'b: c'\n  d: { e: number; f?: string }\n}\nexport interface B {\n  g: 1\n}\n"
    assert.deepEqual([...optionsOf(source)], [['AConfig', ['a', 'd', 'e', 'f']]])
  })
  test('code that does not compile, with its place', () => {
    const text =
      "# x\n\n```ts\nimport { defineConfig } from 'simple-cdn'\nexport default defineConfig({ origins: {}, routes: [{ match: '/', origin: 'a' }] })\n```\n\n```ts\nnot whole\n```\n"
    assert.match(complaints(wholeBlocks('docs/page.md', text)), /docs\+page\.md\+4\.mts\(2,\d+\)/)
  })
})
