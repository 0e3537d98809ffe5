// Which methods change something, and which URLs they make invalid (RFC 9110 §9.2.1, RFC 9111 §4.4).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { alsoInvalidated, isSafe } from '../../src/http/invalidation.ts'

describe('isSafe', () => {
  const METHODS: readonly (readonly [string, boolean])[] = [
    ...['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH'].map((method) => [method, true] as const),
    ...['POST', 'PUT', 'DELETE', 'PATCH', 'MOVE', 'LOCK', 'PURGE', 'M-SEARCH', 'NOBODY-KNOWS', ''].map(
      (method) => [method, false] as const,
    ),
    // Methods have case (RFC 9110 §9.1): this is one that nobody knows.
    ['get', false],
  ]
  for (const [method, safe] of METHODS)
    it(`${method || '(empty)'} is ${safe ? '' : 'not '}safe`, () => assert.equal(isSafe(method), safe))
})

const TARGET = 'https://cdn.test/a/b?c=d'

/** [the rule, the response's fields, URLs besides its own] */
const NAMED: readonly (readonly [string, string[], readonly string[]])[] = [
  ['none', [], []],
  ['Location', ['Location', 'https://cdn.test/x'], ['https://cdn.test/x']],
  ['Content-Location', ['Content-Location', 'https://cdn.test/x'], ['https://cdn.test/x']],
  ['both', ['Location', '/x', 'Content-Location', '/y'], ['https://cdn.test/x', 'https://cdn.test/y']],
  ['the same twice', ['Location', '/x', 'Content-Location', '/x'], ['https://cdn.test/x']],
  ['relative to the target (RFC 9110 §10.2.2)', ['Location', 'x'], ['https://cdn.test/a/x']],
  ['a query alone', ['Location', '?x'], ['https://cdn.test/a/b?x']],
  ['upwards', ['Location', '../x'], ['https://cdn.test/x']],
  ['without fragment', ['Location', '/x#y'], ['https://cdn.test/x']],
  ['itself', ['Location', '#y'], []],
  ['of the same origin only (§4.4): another host', ['Location', 'https://other.test/x'], []],
  ['another scheme', ['Location', 'http://cdn.test/x'], []],
  ['another port', ['Location', 'https://cdn.test:8443/x'], []],
  ['the port of the scheme is the same', ['Location', 'https://cdn.test:443/x'], ['https://cdn.test/x']],
  ['a host in upper case is the same', ['Location', 'https://CDN.test/x'], ['https://cdn.test/x']],
  ['no scheme', ['Location', '//other.test/x'], []],
  ['not a URL', ['Location', 'https://[', 'Content-Location', 'http://%'], []],
  ['something else than a page', ['Location', 'mailto:a@cdn.test'], []],
]

describe('alsoInvalidated', () => {
  for (const [rule, fields, expected] of NAMED) {
    it(rule, () => assert.deepEqual(alsoInvalidated(TARGET, fields), expected))
  }

  it('names nothing where the host is none that a URL can have', () => {
    for (const host of ['cdn.test:99999', '1.2.3.4.5', 'a%zz'])
      assert.deepEqual(alsoInvalidated(`http://${host}/`, ['Location', '/x']), [], host)
  })
})
