// Thousands of routes are searched as if they were tried from top to bottom.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { matches } from '../../src/policy/route.ts'
import { Router } from '../../src/policy/router.ts'
import { resolveConfig } from '../../src/resolve-config.ts'

const path = fc
  .tuple(fc.constantFrom('a', 'b', 'ab'), fc.array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 2 }))
  .map(([first, more]) => `/${[first, ...more].join('/')}`)
const host = fc.constantFrom('', '//a.test', '//b.test', '//*.test', 'https://a.test', '//a.test:81', 'http://*')
const pattern = fc
  .tuple(host, path, fc.boolean(), fc.constantFrom('', 'b', '/a'))
  .map(([name, before, star, after]) => name + before + (star ? `*${after}` : ''))
const request = fc.record({
  scheme: fc.constantFrom('http', 'https'),
  authority: fc.constantFrom('a.test', 'b.test', 'a.test:81', 'c.test', 'other'),
  target: fc.tuple(path, fc.constantFrom('', '?a', '?/a/b')).map(([place, query]) => place + query),
})

it('finds the route that comes first among all that match', () => {
  fc.assert(
    fc.property(fc.array(fc.array(pattern, { minLength: 1, maxLength: 3 }), { maxLength: 40 }), request, (patterns, asked) => {
      const { scheme, authority, target } = asked
      const { routes } = resolveConfig({
        origins: {},
        routes: [...patterns, ['/never']].map((match) => ({ match, respond: { status: 204 } })),
      })
      const expected = routes.find((route) =>
        route.matches.some((match) => matches(match, scheme, authority, target) !== undefined),
      )
      assert.equal(new Router(routes).find(scheme, authority, target)?.route.name, expected?.name)
    }),
    { numRuns: 2_000 },
  )
})

it('finds the routes of a host when there are no others', () => {
  const { routes } = resolveConfig({
    origins: {},
    routes: Array.from({ length: 40 }, (_, at) => ({ match: `https://a.test/${at}/*`, respond: { status: 204 } })),
  })
  const router = new Router(routes)
  assert.equal(router.find('https', 'a.test', '/39/x')?.star, 'x')
  assert.equal(router.find('https', 'a.test:8443', '/39/x')?.star, 'x')
  assert.equal(router.find('https', 'b.test', '/39/x'), undefined)
})
