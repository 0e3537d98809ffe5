// One key for what is the same URL, and never one for two.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { cacheKey, normalisedAuthority, normalisedTarget, parameterName } from '../../packages/core/src/policy/key.ts'
import { holds } from './holds.ts'

const pathPiece = fc.constantFrom(
  ...[
    '/',
    '/',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '%2F',
    '%41',
    'A',
    'a',
    '%',
    '%2',
    ';',
    '%3B',
    '\u00e9',
    '%E9',
    '"',
    "'",
    '|',
    '+',
    '%20',
  ],
)
const queryPiece = fc.constantFrom(...['&', '&', '=', 'a', 'b', '%61', '%', '[', '%5B', '?', '/', '..', "'", '%27', '+', '1'])
const path = fc.array(pathPiece, { maxLength: 10 }).map((pieces) => `/${pieces.join('')}`)
const query = fc.array(queryPiece, { maxLength: 10 }).map((pieces) => `?${pieces.join('')}`)
const target = fc.tuple(path, fc.option(query, { nil: '' })).map(([one, other]) => one + other)

function normalised(of: string): string {
  const found = normalisedTarget(of)
  assert.ok(found !== undefined, of)
  return found
}

/** The bytes that a piece of a URL stands for. A `%` that begins no escape stands for itself. */
const decoded = (piece: string) => piece.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))

/** What a path names, piece by piece, as RFC 3986 §5.2.4 removes its dots. */
function segments(of: string): readonly string[] {
  const kept: string[] = []
  const all = of.replace(/\?.*/s, '').slice(1).split('/').map(decoded)
  for (const [at, segment] of all.entries()) {
    const isLast = at === all.length - 1
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (isLast) kept.push('')
  }
  return kept
}

describe('a normalised target', () => {
  it('is normalised', () => {
    holds(fc.property(target, (each) => assert.equal(normalised(normalised(each)), normalised(each))))
  })
  it('names the segments that the target named, and no others', () => {
    holds(fc.property(target, (each) => assert.deepEqual(segments(normalised(each)), segments(each))))
  })
  it('has the query that the target had', () => {
    holds(
      fc.property(path, query, (place, search) => {
        const mark = normalised(place + search).indexOf('?')
        assert.equal(decoded(normalised(place + search).slice(mark)), decoded(search))
      }),
    )
  })
  it('keeps what is escaped apart from what is not, where that may mean two things', () => {
    const reserved = (of: string) => of.match(/%(?:2F|3B|5B)|[;[]/gi)?.map((found) => found.toUpperCase())
    const plain = fc.array(fc.constantFrom('a', '%2f', '%2F', ';', '%3b', '[', '%5B', '%41'), { maxLength: 8 })
    holds(
      fc.property(plain, (pieces) => assert.deepEqual(reserved(normalised(`/${pieces.join('')}`)), reserved(pieces.join('')))),
    )
  })
  it('is what the URL of it says', () => {
    holds(
      fc.property(target, (each) =>
        assert.equal(new URL(`http://cdn.test${normalised(each)}`).href, `http://cdn.test${normalised(each)}`),
      ),
    )
  })
  it('has no dot segment', () => {
    holds(fc.property(target, (each) => assert.ok(!/\/\.{1,2}(?:\/|$)/.test(normalised(each).replace(/\?.*/s, '')))))
  })
})

/** All that tells two URLs apart: parameters of the same name keep their order. */
function identity(scheme: string, authority: string, of: string): string {
  const mark = of.indexOf('?')
  const parameters = mark < 0 ? undefined : Map.groupBy(of.slice(mark + 1).split('&'), parameterName)
  return JSON.stringify([scheme, authority, mark < 0 ? of : of.slice(0, mark), parameters && [...parameters].sort()])
}

const site = fc.tuple(fc.constantFrom('http', 'https'), fc.constantFrom('a', 'b', 'a:8080', '[::1]'))

describe('a key', () => {
  it('is the same exactly when scheme, authority, path and parameters are, whatever the order of their names', () => {
    const url = fc.tuple(
      site,
      fc.oneof(
        target,
        query.map((search) => `/${search}`),
      ),
    )
    // Two that have nothing to do with each other are easily told apart: one is made of the other, too.
    const pair = fc.oneof(
      fc.tuple(url, url),
      fc.tuple(url, fc.nat(), fc.nat()).map(([[where, of], from, to]) => {
        const mark = of.indexOf('?')
        const parameters = of.slice(mark + 1).split('&')
        const [moved = ''] = parameters.splice(from % parameters.length, 1)
        parameters.splice(to % (parameters.length + 1), 0, moved)
        return [
          [where, of],
          [where, mark < 0 ? of : `${of.slice(0, mark)}?${parameters.join('&')}`],
        ] as const
      }),
    )
    holds(
      fc.property(pair, ([[[scheme, authority], one], [[otherScheme, otherAuthority], other]]) => {
        const [a, b] = [normalised(one), normalised(other)]
        const sameKey = cacheKey(scheme, authority, a, 'all') === cacheKey(otherScheme, otherAuthority, b, 'all')
        assert.equal(sameKey, identity(scheme, authority, a) === identity(otherScheme, otherAuthority, b))
      }),
    )
  })
  it('of some parameters is that of a URL with those alone', () => {
    const some = fc.subarray(['a', 'b', '1', ''])
    holds(
      fc.property(path, query, some, (place, search, names) => {
        const of = normalised(place + search)
        const mark = of.indexOf('?')
        const kept = of
          .slice(mark + 1)
          .split('&')
          .filter((parameter) => names.includes(parameterName(parameter)))
        const alone = of.slice(0, mark) + (kept.length === 0 ? '' : `?${kept.join('&')}`)
        assert.equal(cacheKey('http', 'a', of, names), cacheKey('http', 'a', alone, 'all'))
      }),
    )
  })
  it('of no parameters is that of the path', () => {
    holds(
      fc.property(path, query, (place, search) =>
        assert.equal(cacheKey('http', 'a', normalised(place + search), 'none'), cacheKey('http', 'a', normalised(place), 'all')),
      ),
    )
  })
})

describe('a normalised authority', () => {
  it('is normalised, and the one that a URL has', () => {
    const host = fc.constantFrom('cdn.test', 'CDN.test', '[::1]', '192.0.2.1')
    const port = fc.constantFrom('', ':80', ':443', ':8080', ':8443')
    holds(
      fc.property(fc.constantFrom('http', 'https'), host, port, (scheme, name, suffix) => {
        const authority = normalisedAuthority(scheme, name + suffix)
        assert.equal(normalisedAuthority(scheme, authority), authority)
        assert.equal(authority, new URL(`${scheme}://${name}${suffix}/`).host)
      }),
    )
  })
})
