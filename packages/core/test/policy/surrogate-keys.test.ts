// The names under which a response can be purged together with others.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { surrogateKeys } from '../../src/policy/surrogate-keys.ts'

/** [the rule, fields, names] */
const KEYS: readonly (readonly [string, string[], readonly string[]])[] = [
  ['none', [], []],
  ['Surrogate-Key is separated by white space', ['Surrogate-Key', 'a b\tc  d'], ['a', 'b', 'c', 'd']],
  ['it may have commas in names', ['Surrogate-Key', 'a,b c'], ['a,b', 'c']],
  ['Cache-Tag is separated by commas', ['Cache-Tag', 'a, b,\tc ,d'], ['a', 'b', 'c', 'd']],
  ['it may have spaces in names', ['Cache-Tag', 'a b, c'], ['a b', 'c']],
  ['both', ['Cache-Tag', 'c', 'Surrogate-Key', 'a b'], ['a', 'b', 'c']],
  [
    'on several lines, in any case',
    ['surrogate-key', 'a', 'SURROGATE-KEY', 'b', 'cache-tag', 'c', 'Cache-Tag', 'd'],
    ['a', 'b', 'c', 'd'],
  ],
  ['each once', ['Surrogate-Key', 'a b a', 'Cache-Tag', 'b,b'], ['a', 'b']],
  ['names have case', ['Surrogate-Key', 'a A'], ['a', 'A']],
  ['nothing is no name', ['Surrogate-Key', ' ', 'Cache-Tag', ',, ,'], []],
  [
    'bytes above ASCII belong to names: 0xA0 is the end of à in UTF-8',
    ['Surrogate-Key', 'voil\u00c3\u00a0 b', 'Cache-Tag', 'del\u00c3\u00a0'],
    ['voil\u00c3\u00a0', 'b', 'del\u00c3\u00a0'],
  ],
]

describe('surrogateKeys', () => {
  for (const [rule, fields, expected] of KEYS) it(rule, () => assert.deepEqual(surrogateKeys(fields), expected))

  it('keeps 256 names at most', () => {
    const names = Array.from({ length: 300 }, (_, at) => `n${at}`)
    assert.deepEqual(surrogateKeys(['Surrogate-Key', names.join(' ')]), names.slice(0, 256))
  })
})
