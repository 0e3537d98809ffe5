// What is remembered of purges comes to the same however it is kept, and never to too little.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { fits, type Purge, Purges } from '../../src/engine/purges.ts'
import { metaOf } from '../support/stored.ts'

const purge = fc.record({
  at: fc.integer({ min: 1, max: 20 }),
  soft: fc.boolean(),
  what: fc.constantFrom(
    ['url', 'a.test/1'],
    ['surrogate-key', 'k'],
    ['prefix', 'a.test/'],
    ['pattern', '*.test/1'],
    ['route', 'pages'],
    ['everything', ''],
  ),
})
const stored = fc.record({
  requestedAt: fc.integer({ min: 0, max: 21 }),
  key: fc.constantFrom('http://a.test/1', 'https://a.test/1', 'http://a.test/2', 'http://b.test/1'),
  surrogateKeys: fc.constantFrom([], ['k'], ['k', 'other']),
})

function metaFrom({ requestedAt, key, surrogateKeys }: { requestedAt: number; key: string; surrogateKeys: readonly string[] }) {
  return { ...metaOf('x', 1), key: key as ReturnType<typeof metaOf>['key'], requestedAt, surrogateKeys }
}

it('written down and applied anew, it says the same of everything', () => {
  fc.assert(
    fc.property(fc.array(purge, { maxLength: 12 }), stored, (given, response) => {
      const purges = given.map(
        ({ at, soft, what }, index) => ({ id: `${index}`, at, soft, kind: what[0], value: what[1] }) as Purge,
      )
      const [first, second] = [new Purges(), new Purges()]
      for (const each of purges) first.apply(each)
      for (const each of first.all()) second.apply(each)
      const meta = metaFrom(response)
      const [said, again] = [first.of(meta, 'pages'), second.of(meta, 'pages')]
      assert.deepEqual(again?.soft, said?.soft)
      const url = meta.key.slice(meta.key.indexOf('//') + 2)
      const about = purges.filter(
        ({ kind, value, at }) =>
          at >= meta.requestedAt &&
          (kind === 'everything' ||
            (kind === 'url' && value === url) ||
            (kind === 'prefix' && url.startsWith(value)) ||
            (kind === 'pattern' && url.endsWith('.test/1')) ||
            kind === 'route' ||
            (kind === 'surrogate-key' && meta.surrogateKeys.includes(value))),
      )
      const expected = about.some(({ soft }) => !soft) ? false : about.length > 0 ? true : undefined
      assert.equal(said?.soft, expected)
    }),
    { numRuns: 5_000 },
  )
})

it('of more prefixes than are remembered, those purged first purge everything of their age', () => {
  const purges = new Purges()
  for (let at = 1; at <= 1_001; at++) purges.apply({ id: `${at}`, at, soft: false, kind: 'prefix', value: `${at}.test/` })
  assert.deepEqual(purges.of(metaFrom({ requestedAt: 1, key: 'http://a.test/1', surrogateKeys: [] }), ''), { at: 1, soft: false })
  assert.equal(purges.of(metaFrom({ requestedAt: 2, key: 'http://a.test/1', surrogateKeys: [] }), ''), undefined)
})

it('of more text than is remembered, those purged first purge everything of their age', () => {
  const purges = new Purges()
  for (let at = 1; at <= 1_300; at++) {
    // Again and again the same costs nothing more.
    for (const kind of ['url', 'surrogate-key'] as const)
      purges.apply({ id: `${at}`, at, soft: false, kind, value: `${kind === 'url' ? at : 1}${'x'.repeat(8_000)}` })
  }
  assert.ok(purges.size > 1_200 && purges.size < 1_260, `${purges.size}`)
  assert.equal(purges.of(metaFrom({ requestedAt: 10, key: 'http://a.test/1', surrogateKeys: [] }), '')?.soft, false)
  assert.equal(purges.of(metaFrom({ requestedAt: 100, key: 'http://a.test/1', surrogateKeys: [] }), ''), undefined)
})

it('a pattern fits as a regular expression would have it, in time that is no trap', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 12 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 8 })
  fc.assert(
    fc.property(text, pattern, (text, pattern) => {
      assert.equal(fits(text, pattern.split('*')), new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(text))
    }),
    { numRuns: 5_000 },
  )
  assert.equal(fits('a'.repeat(100_000), `${'*a'.repeat(2_000)}*b`.split('*')), false)
})

it('while nobody knows what was purged, nothing from before is reused, and everything that was not purged is afterwards', () => {
  const purges = new Purges()
  const meta = metaFrom({ requestedAt: 5, key: 'http://a.test/1', surrogateKeys: ['k'] })
  const later = metaFrom({ requestedAt: 6, key: 'http://a.test/1', surrogateKeys: ['k'] })
  purges.doubtUntil(5)
  assert.equal(purges.of(meta, '')?.unknown, true)
  assert.equal(purges.of(later, ''), undefined)
  purges.apply({ id: '1', at: 4, soft: false, kind: 'surrogate-key', value: 'k' })
  purges.trust()
  assert.equal(purges.of(meta, ''), undefined)
})
