// The cache key: one spelling for what is the same, different keys for what is not.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { cacheKey, normalisedAuthority, normalisedTarget } from '../../src/policy/key.ts'

const TARGETS: readonly (readonly [string, string | undefined])[] = [
  ['/', '/'],
  ['/a/b.html?x=1&y=2', '/a/b.html?x=1&y=2'],
  ['/%7euser/%41', '/~user/A'],
  ['/a%2fb%2F', '/a%2Fb%2F'],
  ['/a/../b', '/b'],
  ['/a/./b/.', '/a/b/'],
  ['/a/b/..', '/a/'],
  ['/../../etc', '/etc'],
  ['/a/%2e%2e/b', '/b'],
  ['/a//b', '/a//b'],
  ['/..a/.b/...', '/..a/.b/...'],
  ['/a?x=/../b', '/a?x=/../b'],
  ['/"<>', '/%22%3C%3E'],
  ['/100%', '/100%25'],
  ['/100%25', '/100%25'],
  ['/%%341', '/%2541'],
  ['/%%2e%2E/a', '/%25../a'],
  ['/?%zz%4', '/?%25zz%254'],
  ["/it's?it's", "/it's?it%27s"],
  ["/it's", "/it's"],
  ['/caf\u00e9', '/caf%E9'],
  ['/a#b', undefined],
  ['/a\\b', undefined],
  ['/a b', undefined],
  ['*', undefined],
  ['', undefined],
  ['http://other/', undefined],
]

describe('normalisedTarget', () => {
  for (const [target, expected] of TARGETS) {
    it(`${target || '(empty)'} becomes ${expected ?? 'an error'}`, () => {
      assert.equal(normalisedTarget(target), expected)
    })
  }

  it('changes nothing the second time', () => {
    const parts = fc.constantFrom('/', '.', '..', '%2e', '%2F', '%41', 'a', '?', '&', '=', '%', '\u00e9', '"', '//')
    fc.assert(
      fc.property(fc.array(parts), (pieces) => {
        const once = normalisedTarget(`/${pieces.join('')}`)
        assert.ok(once === undefined || normalisedTarget(once) === once, once)
      }),
    )
  })

  it('is what a URL would make of it, so that Location leads to the same key', () => {
    for (let code = 0x21; code <= 0x7e; code++) {
      const character = String.fromCharCode(code)
      const target = normalisedTarget(`/a${character}b?c${character}d`)
      if (target !== undefined) assert.equal(new URL(target, 'http://cdn.test').href, `http://cdn.test${target}`)
    }
  })

  it('leaves no dot segment in a path', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('.', '..', '%2e%2E', 'a', '')), (segments) => {
        const target = normalisedTarget(`/${segments.join('/')}`)
        assert.ok(!target?.split('/').some((segment) => segment === '.' || segment === '..'), target)
      }),
    )
  })
})

describe('normalisedAuthority', () => {
  const AUTHORITIES: readonly (readonly [string, string, string])[] = [
    ['http', 'cdn.test', 'cdn.test'],
    ['http', 'CDN.Test', 'cdn.test'],
    ['http', 'cdn.test:80', 'cdn.test'],
    ['https', 'cdn.test:443', 'cdn.test'],
    ['https', 'cdn.test:80', 'cdn.test:80'],
    ['http', 'cdn.test:443', 'cdn.test:443'],
    ['http', 'cdn.test:8080', 'cdn.test:8080'],
    ['http', '[::1]:80', '[::1]'],
    ['http', '[::80]', '[::80]'],
  ]
  for (const [scheme, authority, expected] of AUTHORITIES) {
    it(`${authority} on ${scheme} is ${expected} (RFC 9110 §4.2.3)`, () => {
      assert.equal(normalisedAuthority(scheme, authority), expected)
    })
  }
})

describe('cacheKey', () => {
  const KEYS: readonly (readonly [string, 'all' | 'none' | readonly string[], string])[] = [
    ['/a', 'all', '/a'],
    ['/a?b=2&a=1', 'all', '/a?a=1&b=2'],
    ['/a?b=2&b=1&a=0', 'all', '/a?a=0&b=2&b=1'],
    ['/a?b=2&a=1', 'none', '/a'],
    ['/a?b=2&utm_source=x&a=1', ['a', 'b'], '/a?a=1&b=2'],
    ['/a?utm_source=x', ['a', 'b'], '/a'],
    ['/a?', 'all', '/a?'],
    ['/a?a%5B%5D=1&b=2', ['a[]'], '/a?a%5B%5D=1'],
    ['/a?a[]=1&b=2', ['a[]'], '/a?a[]=1'],
    ['/a?a+b=1', ['a b'], '/a?a+b=1'],
    ['/a?a[]=2&a%5B%5D=1&Z=0', 'all', '/a?Z=0&a[]=2&a%5B%5D=1'],
    ['/a?a%5B%5D=1&a[]=2', 'all', '/a?a%5B%5D=1&a[]=2'],
  ]
  for (const [target, query, expected] of KEYS) {
    it(`${target} with query ${JSON.stringify(query)} is ${expected}`, () => {
      assert.equal(cacheKey('http', 'cdn.test', target, query), `http://cdn.test${expected}`)
    })
  }

  it('is different for different schemes and hosts', () => {
    const keys = [
      cacheKey('http', 'a', '/', 'all'),
      cacheKey('https', 'a', '/', 'all'),
      cacheKey('http', 'b', '/', 'all'),
      cacheKey('http', 'a:8080', '/', 'all'),
    ]
    assert.equal(new Set(keys).size, 4)
  })
})
