// The Cache-Status field: one member, of whatever a cache did (RFC 9211).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cacheStatus } from '../../src/log/cache-status.ts'
import type { CacheOutcome } from '../../src/log/entry.ts'

const HIT: CacheOutcome = { key: '', action: 'serve', reason: 'fresh', hit: true, stored: false, collapsed: false, ttl: 5 }
const MISS: CacheOutcome = { ...HIT, action: 'fetch', reason: 'uri-miss', hit: false, fwd: 'uri-miss', fwdStatus: 200 }

/** [the rule, the cache's name, what it did, the member] */
const MEMBERS: readonly (readonly [string, string, CacheOutcome, string])[] = [
  ['a hit (§2.1)', 'cdn', HIT, 'cdn; hit; ttl=5'],
  [
    'a hit of what is stale says why (§2.8)',
    'cdn',
    { ...HIT, reason: 'stale-while-revalidate', ttl: -3 },
    'cdn; hit; ttl=-3; detail=stale-while-revalidate',
  ],
  ['a miss that was stored (§2.2, §2.5)', 'cdn', { ...MISS, stored: true }, 'cdn; fwd=uri-miss; fwd-status=200; ttl=5; stored'],
  [
    'a miss that was not says why',
    'cdn',
    { ...MISS, ttl: undefined, notStored: 'private' },
    'cdn; fwd=uri-miss; fwd-status=200; detail=private',
  ],
  ['a miss that the origin never answered', 'cdn', { ...MISS, fwdStatus: undefined, ttl: undefined }, 'cdn; fwd=uri-miss'],
  [
    'one that waited for another (§2.6)',
    'cdn',
    { ...MISS, collapsed: true },
    'cdn; fwd=uri-miss; fwd-status=200; ttl=5; collapsed',
  ],
  ['a name that is no Token is a String (§2)', '1st:cdn', HIT, '"1st:cdn"; hit; ttl=5'],
  ['with escapes (RFC 9651 §4.1.6)', '"\\', HIT, '"\\"\\\\"; hit; ttl=5'],
  ['and in ASCII', 'café', HIT, '"caf?"; hit; ttl=5'],
]

describe('cacheStatus', () => {
  for (const [rule, name, outcome, expected] of MEMBERS) it(rule, () => assert.equal(cacheStatus(name, outcome), expected))

  it('names an error before any reason', () => {
    assert.match(cacheStatus('cdn', { ...MISS, notStored: 'private' }, 'CDN_ORIGIN_TIMEOUT'), /; detail=CDN_ORIGIN_TIMEOUT$/)
  })
})
