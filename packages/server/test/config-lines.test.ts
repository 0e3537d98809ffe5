// Where in a configuration file a mistake is.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lineOf } from '../src/config-lines.ts'

const literal = `// routes: { in a comment }
import { defineConfig } from 'simple-cdn'
const other = { routes: [] }

export default defineConfig({
  origins: {
    app: 'http://localhost:3000', // { not this
    'my app': { url: "x", host: \`a\${1}\` },
  },
  routes: [
    { match: '/a', respond: { status: 204 } },
    {
      match: ['/b', '/{c'],
      cache: { defaultTtl: '1 h' } as const,
      origin: 'app',
    },
    ...more,
    { match: '/d' },
  ],
  memory: '1',
})
`

describe('the line of an option', () => {
  for (const [path, line] of [
    ['origins', 6],
    ['origins.app', 7],
    ['origins["my app"].host', 8],
    ['routes[0].respond.status', 11],
    ['routes[1]', 12],
    ['routes[1].match[1]', 13],
    ['routes[1].cache.defaultTtl', 14],
    ['routes[1].cache.defaultTtl.more', 14],
    ['memory', 20],
    ['nothing', undefined],
    ['', undefined],
  ] as const)
    it(`${path || '(the whole)'} is ${line}`, () => assert.equal(lineOf(literal, path), line))

  it('is that of the list where nobody can tell which member it is', () => assert.equal(lineOf(literal, 'routes[3].match'), 10))

  it('is found in a function, in JSON, and in a plain object', () => {
    assert.equal(lineOf('export default defineConfig((env) => ({\n  routes: []\n}))', 'routes'), 2)
    assert.equal(lineOf('{\n  "routes": [\n  {}]\n}', 'routes[0]'), 3)
    assert.equal(lineOf('export default {\n\n a: 1 }', 'a'), 3)
  })

  it('is none in what is no configuration', () => {
    for (const source of ['', '{', 'export default', 'export default {a', 'export default [', '(((', "{ a: '"])
      lineOf(source, 'routes[1].a')
  })
})
