// Which address is chosen, and who gets how much.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooser } from '../../src/origins/choice.ts'

const addresses = (...weights: number[]) => weights.map((weight, at) => ({ url: `http://${'abcdefgh'[at]}/`, weight }))

function shares(chosen: readonly { url: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { url } of chosen) counts[url[7] ?? ''] = (counts[url[7] ?? ''] ?? 0) + 1
  return counts
}

const keys = Array.from({ length: 10_000 }, (_, at) => `http://cdn.test/${at}`)

describe('the first', () => {
  it('is the first of those that are left', () => {
    const [a, b] = addresses(1, 1)
    const choose = chooser('first')
    assert.equal(choose([a, b] as never, 'x'), a)
    assert.equal(choose([b] as never, 'x'), b)
  })
})

describe('in turn', () => {
  it('everyone has as many turns as it weighs, spread out', () => {
    const all = addresses(3, 1, 1)
    const choose = chooser<(typeof all)[number]>('round-robin')
    const turns = Array.from({ length: 10 }, () => choose(all, '')).map(({ url }) => url[7])
    assert.equal(turns.join(''), 'abacaabaca')
  })

  it('who comes back has not saved up turns', () => {
    const all = addresses(1, 1)
    const choose = chooser<(typeof all)[number]>('round-robin')
    for (let turn = 0; turn < 100; turn++) choose(all.slice(0, 1), '')
    assert.deepEqual(shares(Array.from({ length: 10 }, () => choose(all, ''))), { a: 5, b: 5 })
  })
})

describe('by hash', () => {
  it('a key has always the same address, whatever the order and whoever asks', () => {
    const all = addresses(1, 1, 1)
    for (const key of keys.slice(0, 100)) {
      const chosen = chooser<(typeof all)[number]>('hash')(all, key)
      assert.equal(chooser<(typeof all)[number]>('hash')(all.toReversed(), key), chosen)
    }
    assert.equal(chooser<(typeof all)[number]>('hash')(all, 'http://cdn.test/')?.url, 'http://b/')
  })

  it('everyone has its share of the keys', () => {
    const all = addresses(2, 1, 1)
    const { a = 0, b = 0, c = 0 } = shares(keys.map((key) => chooser<(typeof all)[number]>('hash')(all, key)))
    for (const [count, share] of [
      [a, 5_000],
      [b, 2_500],
      [c, 2_500],
    ] as const)
      assert.ok(Math.abs(count - share) < 250, `${count}`)
  })

  it('only the keys of one that is left out go elsewhere, to all others', () => {
    const all = addresses(1, 1, 1, 1)
    const choose = chooser<(typeof all)[number]>('hash')
    const moved = keys.filter((key) => choose(all, key).url === 'http://b/')
    const left = all.filter(({ url }) => url !== 'http://b/')
    for (const key of keys) if (!moved.includes(key)) assert.equal(choose(left, key), choose(all, key))
    const { a = 0, c = 0, d = 0 } = shares(moved.map((key) => choose(left, key)))
    assert.ok(Math.min(a, c, d) > 600, `${a} ${c} ${d}`)
  })
})
