// Who leaves: the sampled policy and plain LRU, unit by unit, with chance that is the same in every run.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Eviction, leastRecentlyUsed, sampled } from '@simple-cdn/core'
import { chance } from '../support/chance.ts'

/** Makes everybody leave, and says in which order. */
function leaving(eviction: Eviction): number[] {
  const order: number[] = []
  for (let unit = eviction.next(); unit !== undefined; unit = eviction.next()) {
    order.push(unit)
    eviction.remove(unit)
  }
  return order
}

const policies: Readonly<Record<string, () => Eviction>> = {
  'the sampled policy': () => sampled({ sizeExponent: 1, random: chance() }),
  'least recently used': leastRecentlyUsed,
}

for (const [name, create] of Object.entries(policies)) {
  describe(name, () => {
    it('names nobody when there is nobody', () => {
      assert.equal(create().next(), undefined)
    })

    it('names each once, whatever was removed and came in between', () => {
      const eviction = create()
      const there = new Set<number>()
      const random = chance()
      for (let step = 0; step < 5000; step++) {
        const some = [...there].at(Math.floor(random() * there.size))
        if (some !== undefined && random() < 0.2) {
          eviction.remove(some)
          there.delete(some)
        } else if (some !== undefined && random() < 0.3) {
          eviction.use(some)
        } else {
          const unit = eviction.add(1000, `${step}`)
          assert.equal(there.has(unit), false, 'a number stands for one unit')
          there.add(unit)
        }
      }
      assert.ok(there.size > 200)
      assert.deepEqual(leaving(eviction).sort(), [...there].sort())
    })

    it('lets the one go that was used longest ago, of those that are alike', () => {
      const eviction = create()
      const [a, b, c] = ['a', 'b', 'c'].map((name) => eviction.add(1000, name)) as [number, number, number]
      for (const unit of [c, a, b]) eviction.use(unit)
      assert.deepEqual(leaving(eviction), [c, a, b])
    })

    it('lets a slice go before the response it belongs to', () => {
      const eviction = create()
      const response = eviction.add(1000, 'a')
      const slices = [0, 1, 2].map(() => eviction.addSlice(100_000, response))
      eviction.useSlice(slices[0] as number, 0)
      assert.deepEqual(leaving(eviction), [slices[1], slices[2], slices[0], response])
    })
  })
}

describe('the sampled policy', () => {
  const create = (sizeExponent = 1) => sampled({ sizeExponent, random: chance() })

  it('lets the larger go, as far as size counts', () => {
    for (const [sizeExponent, leaves] of [
      [1, 'large'],
      [0, 'small'],
    ] as const) {
      const eviction = create(sizeExponent)
      const small = eviction.add(1000, 'small')
      const large = eviction.add(100_000, 'large')
      eviction.add(1000, 'now')
      assert.equal(eviction.next(), leaves === 'large' ? large : small)
    }
  })

  it('keeps what was used often longer than what was used once, and not for ever', () => {
    const eviction = create()
    const often = eviction.add(1000, 'often')
    for (let at = 0; at < 100; at++) eviction.use(often)
    const once = eviction.add(1000, 'once')
    eviction.use(once)
    let others = 0
    const usedByOthers = (until: number) => {
      for (; others < until; others++) eviction.remove(eviction.add(1, 'other'))
    }
    usedByOthers(10)
    assert.equal(eviction.next(), once)
    for (let at = 0; at < 7; at++) eviction.use(once)
    usedByOthers(200)
    assert.equal(eviction.next(), often)
  })

  it('knows again what has left, and what is replaced keeps its count', () => {
    const eviction = create()
    const first = eviction.add(1000, 'known')
    for (let at = 0; at < 5; at++) eviction.use(first)
    eviction.remove(first)
    const known = eviction.add(1000, 'known')
    const unknown = eviction.add(1000, 'unknown')
    eviction.add(1000, 'now')
    assert.deepEqual(leaving(eviction).slice(0, 1), [unknown])
    assert.equal(known, first)
  })

  it('lets what was never used go before what was used once, though that is twice as large and as old', () => {
    const eviction = create()
    const used = eviction.add(2000, 'used')
    eviction.use(used)
    const unused = eviction.add(1000, 'unused')
    eviction.add(1000, 'now')
    assert.equal(eviction.next(), unused)
  })

  it('still knows what has left when many have come since', () => {
    const eviction = create()
    eviction.remove(eviction.add(1000, 'known'))
    const others = Array.from({ length: 200 }, (_, at) => eviction.add(1, `${at}`))
    for (const other of others.slice(0, 20)) eviction.remove(other)
    eviction.add(1000, 'known')
    const unknown = eviction.add(1000, 'unknown')
    for (const other of others.slice(20)) eviction.remove(other)
    eviction.add(1000, 'now')
    assert.equal(eviction.next(), unknown)
  })

  it('keeps a response while its slices come', () => {
    const eviction = create()
    const response = eviction.add(1000, 'a')
    const other = eviction.add(1000, 'b')
    for (let at = 0; at < 10; at++) eviction.addSlice(1, response)
    assert.equal(eviction.next(), other)
  })

  it('finds one of the worst among many', () => {
    const eviction = create()
    const units = Array.from({ length: 1000 }, (_, at) => eviction.add(1000, `${at}`))
    const places = Array.from({ length: 200 }, () => {
      const unit = eviction.next() as number
      eviction.remove(unit)
      return units.indexOf(unit)
    })
    const mean = places.reduce((sum, place) => sum + place, 0) / places.length
    assert.ok(mean < 250, `on average, the ${mean}th of 1000 leaves`)
  })

  it('counts reading all slices in turn, each in several pieces, as one use', () => {
    const eviction = create()
    const twice = eviction.add(1000, 'read twice')
    const slices = Array.from({ length: 6 }, () => eviction.addSlice(1000, twice))
    for (let pass = 0; pass < 2; pass++)
      for (const slice of slices) for (const offset of [0, 300, 600]) eviction.useSlice(slice, offset)
    const thrice = eviction.add(1000, 'used three times')
    for (let at = 0; at < 3; at++) eviction.use(thrice)
    eviction.use(twice)
    eviction.use(thrice)
    // Three uses against four; all that would tell otherwise are the slices, so they go.
    for (const slice of slices) eviction.remove(slice)
    for (let at = 0; at < 20; at++) eviction.remove(eviction.add(1, 'other'))
    assert.equal(eviction.next(), twice)
  })

  it('counts a slice that is read again while it is stored for one use, and not each that follows', () => {
    const eviction = create()
    const followed = eviction.add(1000, 'followed')
    for (let at = 0; at < 5; at++) eviction.useSlice(eviction.addSlice(1, followed), 0)
    const used = eviction.add(1000, 'used twice')
    eviction.use(used)
    eviction.use(used)
    for (let at = 0; at < 200; at++) eviction.remove(eviction.add(1, 'other'))
    for (let unit = eviction.next(); unit !== followed; unit = eviction.next()) {
      assert.notEqual(unit, used)
      eviction.remove(unit as number)
    }
  })
})
