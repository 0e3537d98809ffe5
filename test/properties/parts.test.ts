// Parts of a body, and fields that come together from two messages.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ByteRange } from '../../packages/core/src/http/body.ts'
import { mergedFields } from '../../packages/core/src/http/freshen.ts'
import { evaluateRange, type RangeAnswer } from '../../packages/core/src/http/ranges.ts'
import { holds } from './holds.ts'
import { fields, text } from './texts.ts'

const PAGE = { status: 200, fields: [] }
const MAX_RANGES = 4

/** One range, as it is written. */
const spec = fc.oneof(
  fc.tuple(fc.nat(25), fc.nat(25)).map(([first, more]) => `${first}-${first + more}`),
  fc.nat(25).map((first) => `${first}-`),
  fc.nat(25).map((suffix) => `-${suffix}`),
)
const specs = fc.array(spec, { minLength: 1, maxLength: 6 })

const ranges = (answer: RangeAnswer): readonly ByteRange[] =>
  answer.kind === 'part' ? [answer.range] : answer.kind === 'parts' ? answer.ranges : []

/** The offsets that a range asks for, of those there are: as slowly as that can be found out. */
function asked(range: string, length: number): number[] {
  const [first = '', last = ''] = range.split('-')
  return Array.from({ length }, (_, at) => at).filter((at) => {
    if (first === '') return at >= length - Number(last)
    return at >= Number(first) && (last === '' || at <= Number(last))
  })
}

function offsets({ first, last }: ByteRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at)
}

describe('ranges', () => {
  const evaluated = (value: string, length: number) => evaluateRange(['Range', value], PAGE, length, { maxRanges: MAX_RANGES })

  it('lie within the body, ascend, neither overlap nor touch, and are never more than the body', () => {
    holds(
      fc.property(
        fc.oneof(
          specs.map((all) => `bytes=${all.join(',')}`),
          text.map((any) => `bytes=${any}`),
        ),
        fc.nat(40),
        (value, length) => {
          const parts = ranges(evaluated(value, length))
          assert.ok(parts.length <= MAX_RANGES)
          let end = -2
          for (const { first, last } of parts) {
            assert.ok(first > end + 1 && first <= last && last < length, value)
            end = last
          }
        },
      ),
    )
  })
  it('are all that was asked for, and nothing else', () => {
    holds(
      fc.property(specs, fc.nat(40), (all, length) => {
        const answer = evaluated(`bytes=${all.join(', ')}`, length)
        const wanted = all.map((each) => asked(each, length))
        const sum = wanted.reduce((count, each) => count + each.length, 0)
        if (answer.kind === 'unsatisfiable') assert.ok(sum === 0 && length > 0)
        else if (answer.kind === 'whole') assert.ok(length === 0 || sum > length || answerIsTooMany(wanted), String(all))
        else
          assert.deepEqual(
            ranges(answer).flatMap(offsets),
            [...new Set(wanted.flat())].sort((a, b) => a - b),
          )
      }),
    )
  })
})

/** More parts than allowed, after those that touch have become one. */
function answerIsTooMany(wanted: readonly (readonly number[])[]): boolean {
  const all = [...new Set(wanted.flat())]
  return all.filter((at) => !all.includes(at - 1)).length > MAX_RANGES
}

describe('fields of a 304', () => {
  const OF_THE_BYTES = ['content-encoding', 'content-length', 'content-range']
  const of = (all: readonly string[], name: string) => all.filter((_, at) => at % 2 === 1 && all[at - 1]?.toLowerCase() === name)

  it('leave alone what says how to read the stored bytes', () => {
    holds(
      fc.property(fields, fields, fc.constantFrom(...OF_THE_BYTES), text, text, (stored, update, name, one, other) => {
        const merged = mergedFields([...stored, name, one], [...update, name.toUpperCase(), other])
        for (const each of OF_THE_BYTES) assert.deepEqual(of(merged, each), of([...stored, name, one], each))
      }),
    )
  })
  it('replace all of a name, and leave alone all that they do not name', () => {
    holds(
      fc.property(fields, fields, (stored, update) => {
        const merged = mergedFields(stored, update)
        const names = new Set([...stored, ...update].filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()))
        for (const name of ['connection', 'date', 'age', ...OF_THE_BYTES]) names.delete(name)
        for (const name of names) {
          const now = of(merged, name)
          const isNew = of(update, name).length > 0 && String(now) === String(of(update, name))
          assert.ok(isNew || String(now) === String(of(stored, name)), name)
        }
      }),
    )
  })
  it('change nothing the second time', () => {
    holds(
      fc.property(fields, fields, (stored, update) =>
        assert.deepEqual(mergedFields(mergedFields(stored, update), update), mergedFields(stored, update)),
      ),
    )
  })
})
