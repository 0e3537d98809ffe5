// Whoever may send a field can write anything into it: nothing here throws, and every answer is one that the type allows.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decidingDirectives, directiveSeconds, parseDirectives } from '../../packages/core/src/http/cache-control.ts'
import { cookieValue, endToEndFields, isEndToEnd, listMembers, splitList } from '../../packages/core/src/http/fields.ts'
import { identifies, mergedFields } from '../../packages/core/src/http/freshen.ts'
import { explicitLifetime, heuristicLifetime, initialAge } from '../../packages/core/src/http/freshness.ts'
import { alsoInvalidated } from '../../packages/core/src/http/invalidation.ts'
import { evaluatePreconditions } from '../../packages/core/src/http/preconditions.ts'
import { contentRange, evaluateRange, fieldsOfNotModified, parseContentRange } from '../../packages/core/src/http/ranges.ts'
import { selectingOf, varyNames } from '../../packages/core/src/http/stored-response.ts'
import { type BareItem, parseDictionary } from '../../packages/core/src/http/structured-fields.ts'
import { formatHttpDate, parseHttpDate } from '../../packages/core/src/http/time.ts'
import { parseEntityTag, validationFields } from '../../packages/core/src/http/validators.ts'
import { admit } from '../../packages/core/src/policy/admit.ts'
import { decide, decideAfterFailure } from '../../packages/core/src/policy/decide.ts'
import { explainDecision } from '../../packages/core/src/policy/explain.ts'
import { cacheKey, normalisedAuthority, normalisedTarget } from '../../packages/core/src/policy/key.ts'
import { rfcPolicy } from '../../packages/core/src/policy/policy.ts'
import { matches, parseMatch } from '../../packages/core/src/policy/route.ts'
import { surrogateKeys } from '../../packages/core/src/policy/surrogate-keys.ts'
import { holds } from './holds.ts'
import { fields, method, name, pieces, status, text } from './texts.ts'

const T0 = Date.UTC(2014, 5, 6)
const instant = fc.integer({ min: -1e12, max: 1e13 })

const isSeconds = (seconds: number | undefined) => seconds === undefined || (seconds >= 0 && seconds < Number.POSITIVE_INFINITY)

describe('any text', () => {
  it('is read as a date or as none', () => {
    holds(
      fc.property(
        text,
        instant,
        (value, now) => parseHttpDate(value, now) === undefined || Number.isFinite(parseHttpDate(value, now)),
      ),
    )
  })
  it('is read as a list, of which nothing is lost but white space and commas', () => {
    holds(
      fc.property(text, (value) => {
        const bare = (each: string) => each.replace(/[ \t,]/g, '')
        assert.equal(bare(listMembers(value).join(',')), bare(value))
        assert.equal(bare(splitList(value).join(',')), bare(value))
        for (const member of listMembers(value)) assert.match(member, /^[^ \t,](?:.*[^ \t])?$/s)
      }),
    )
  })
  it('is read as a list that, written down, is read as the same', () => {
    holds(fc.property(text, (value) => assert.deepEqual(listMembers(listMembers(value).join(', ')), listMembers(value))))
  })
  it('is read as directives with names in lower case, and seconds that can be counted', () => {
    holds(
      fc.property(text, (value) => {
        const directives = parseDirectives(value)
        for (const each of directives.keys()) {
          assert.equal(each, each.toLowerCase())
          assert.ok(isSeconds(directiveSeconds(directives, each)))
        }
      }),
    )
  })
  it('is read as a Dictionary or as none', () => {
    holds(fc.property(text, (value) => void parseDictionary(value)))
  })
  it('is read as an entity tag, a range of content, a match, an authority, or none', () => {
    holds(
      fc.property(text, text, (value, other) => {
        parseEntityTag(value)
        parseContentRange(value)
        normalisedAuthority('http', value)
        const match = parseMatch(value)
        if (typeof match !== 'string') matches(match, 'http', 'cdn.test', other)
      }),
    )
  })
  it('is read as a target of printable characters, or as none', () => {
    holds(
      fc.property(text, (value) => {
        const target = normalisedTarget(`/${value}`)
        if (target === undefined) return
        assert.match(target, /^\/[\x21-\x7e]*$/)
        for (const query of ['all', 'none', ['a', '']] as const) cacheKey('http', 'cdn.test', target, query)
      }),
    )
  })
})

describe('any fields', () => {
  it('have a lifetime and an age of seconds that can be counted', () => {
    holds(
      fc.property(fields, instant, instant, status, (response, requestedAt, receivedAt, code) => {
        const deciding = decidingDirectives(response, ['cdn-cache-control', 'surrogate-control'])
        assert.ok(isSeconds(explicitLifetime(response, deciding, receivedAt)?.seconds))
        assert.ok(isSeconds(heuristicLifetime(code, response, deciding, receivedAt)?.seconds))
        assert.ok(isSeconds(initialAge(response, requestedAt, receivedAt)))
      }),
    )
  })
  it('lose to the next recipient what is for one connection, and nothing twice', () => {
    holds(
      fc.property(fields, (all) => {
        const kept = endToEndFields(all)
        assert.deepEqual(endToEndFields(kept), kept)
        for (let at = 0; at < kept.length; at += 2) assert.ok(isEndToEnd(all, String(kept[at]).toLowerCase()))
      }),
    )
  })
  it('are judged: conditions, ranges, cookies, names to purge by, what is invalidated', () => {
    holds(
      fc.property(method, fields, status, fields, fc.nat(100), text, (asked, request, code, response, length, url) => {
        evaluatePreconditions(asked, request, { status: code, fields: response }, T0)
        evaluateRange(request, { status: code, fields: response }, length, { maxRanges: 3 })
        fieldsOfNotModified(response)
        cookieValue(request, 'a')
        assert.ok(surrogateKeys(response).length <= 256)
        alsoInvalidated(`http://cdn.test/${url}`, response)
        alsoInvalidated(url, response)
      }),
    )
  })
  it('of a response are admitted or not, and what is admitted can be decided about, validated, freshened and explained', () => {
    holds(
      fc.property(method, fields, status, fields, fields, instant, (asked, request, code, response, again, now) => {
        const policy = { ...rfcPolicy, honorRequestDirectives: true, selectOn: ['accept', 'cookie:a'] }
        const url = 'http://cdn.test/a'
        const times = { requestedAt: T0, receivedAt: T0 }
        const key = cacheKey('http', 'cdn.test', '/a', 'all')
        const admission = admit(
          key,
          { method: asked, url, fields: request },
          { status: code, fields: response, ...times },
          policy,
          () => '',
        )
        if (!admission.store) return
        const { meta } = admission
        assert.ok(
          isSeconds(meta.freshness.lifetime) &&
            isSeconds(meta.freshness.staleIfError) &&
            isSeconds(meta.freshness.staleWhileRevalidate),
        )
        for (const line of explainDecision(decide({ method: 'GET', fields: again }, { stored: meta }, policy, now)))
          assert.ok(line)
        decideAfterFailure(meta, now)
        validationFields([meta])
        identifies(again, meta)
        mergedFields(meta.fields, again)
      }),
    )
  })
  it('named by Vary select, or select nothing', () => {
    holds(
      fc.property(fields, fields, fc.boolean(), (response, request, languages) => {
        const names = varyNames(response)
        if (names !== '*') assert.equal(selectingOf(names, request, { languages }).length, names.length)
      }),
    )
  })
})

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Whole seconds of the years 0 to 9999. */
const second = fc.integer({ min: -62_167_219_200, max: 253_402_300_799 }).map((seconds) => seconds * 1000)

describe('what is written is read as what it was', () => {
  it('a date', () => {
    holds(fc.property(second, instant, (at, now) => assert.equal(parseHttpDate(formatHttpDate(at), now), at)))
  })
  it('a date as asctime() writes it', () => {
    holds(
      fc.property(second, instant, (at, now) => {
        const date = new Date(at)
        const day = WEEKDAYS[date.getUTCDay()]?.slice(0, 3)
        const time = date.toISOString().slice(11, 19)
        const written = `${day} ${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)} ${time} ${String(date.getUTCFullYear()).padStart(4, '0')}`
        assert.equal(parseHttpDate(written, now), at)
      }),
    )
  })
  it('a date of the 50 years before or after now, as RFC 850 writes it', () => {
    const YEAR = 365.25 * 86_400_000
    holds(
      fc.property(
        fc.integer({ min: 0, max: 100 * 365 * 86_400 }),
        fc.double({ min: -49.9, max: 49.9, noNaN: true }),
        (then, years) => {
          const now = then * 1000
          const at = Math.floor((now + years * YEAR) / 1000) * 1000
          const date = new Date(at)
          const year = String(date.getUTCFullYear()).slice(-2)
          const written = `${WEEKDAYS[date.getUTCDay()]}, ${String(date.getUTCDate()).padStart(2, '0')}-${MONTHS[date.getUTCMonth()]}-${year} ${date.toISOString().slice(11, 19)} GMT`
          assert.equal(parseHttpDate(written, now), at)
        },
      ),
    )
  })
  it('the range of a part', () => {
    const offset = fc.nat(1e15 - 1)
    holds(
      fc.property(offset, offset, offset, (a, b, c) => {
        const [first = 0, last = 0, end = 0] = [a, b, c].toSorted((x, y) => x - y)
        if (last === end) return
        assert.deepEqual(parseContentRange(contentRange({ first, last }, end)), { first, last, length: end })
      }),
    )
  })
  it('a list of directives', () => {
    const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/)
    const argument = fc.oneof(fc.constant(true as const), token, fc.string({ unit: 'grapheme-ascii', maxLength: 9 }))
    const written = (value: string) => (/^[a-z0-9-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`)
    holds(
      fc.property(fc.array(fc.tuple(token, argument), { maxLength: 6 }), (pairs) => {
        const directives = new Map(pairs)
        const value = [...directives].map(([each, of]) => (of === true ? each : `${each}=${written(of)}`)).join(', ')
        assert.deepEqual([...parseDirectives(value)], [...directives])
      }),
    )
  })
  it('an entity tag', () => {
    const opaque = fc.array(fc.integer({ min: 0x23, max: 0x7e }), { maxLength: 20 }).map((codes) => String.fromCharCode(...codes))
    holds(
      fc.property(fc.boolean(), opaque, (weak, tag) =>
        assert.deepEqual(parseEntityTag(`${weak ? 'W/' : ''}"${tag}"`), { weak, opaque: tag }),
      ),
    )
  })
  it('a Dictionary', () => {
    const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,9}$/)
    const ascii = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      maxLength: 12,
    })
    const item: fc.Arbitrary<readonly [string, BareItem]> = fc.oneof(
      fc
        .integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 })
        .map((value) => [String(value), { type: 'integer', value }] as const),
      fc
        .integer({ min: -999_999_999, max: 999_999_999 })
        .map((value) => [(value / 1000).toFixed(3), { type: 'decimal', value: value / 1000 }] as const),
      fc.integer({ min: -1e12, max: 1e12 }).map((value) => [`@${value}`, { type: 'date', value }] as const),
      fc.boolean().map((value) => [value ? '?1' : '?0', { type: 'boolean', value }] as const),
      ascii.map((value) => [`"${value.replace(/["\\]/g, '\\$&')}"`, { type: 'string', value }] as const),
      fc
        .stringMatching(/^[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]{0,9}$/)
        .map((value) => [value, { type: 'token', value }] as const),
      fc.base64String({ maxLength: 12 }).map((value) => [`:${value}:`, { type: 'binary', value }] as const),
      fc
        .string({ unit: 'grapheme', maxLength: 6 })
        .map((value) => [`%"${percentEncoded(value)}"`, { type: 'display-string', value: value.toWellFormed() }] as const),
      fc.constantFrom('()', '(1 2)', '("a, b";c  d)').map((value) => [value, { type: 'inner-list' }] as const),
    )
    const space = fc.constantFrom('', ' ', '\t', '  ')
    holds(
      fc.property(
        fc.array(fc.tuple(key, item, fc.constantFrom('', ';a', ';a=1; b="x"')), { minLength: 1, maxLength: 6 }),
        space,
        (members, gap) => {
          const written = members.map(([each, [value], parameters]) => `${each}=${value}${parameters}`).join(`${gap},${gap}`)
          const expected = new Map<string, BareItem>()
          for (const [each, [, value]] of members) {
            expected.delete(each)
            expected.set(each, value)
          }
          assert.deepEqual([...(parseDictionary(written) ?? [])], [...expected], written)
        },
      ),
    )
  })
})

function percentEncoded(value: string): string {
  return [...new TextEncoder().encode(value)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x25
        ? `%${byte.toString(16).padStart(2, '0')}`
        : String.fromCharCode(byte),
    )
    .join('')
}

describe('fields with what is read from them', () => {
  it('are read the same in any order of other fields, and in any case', () => {
    holds(
      fc.property(pieces, fc.array(fc.tuple(name, pieces), { maxLength: 4 }), (value, others) => {
        const rest = others
          .filter(([each]) => !/^(?:cdn-)?cache-control$|^surrogate-control$|^expires$|^date$/i.test(each))
          .flat()
        const before = decidingDirectives(['Cache-Control', value, ...rest], ['cdn-cache-control'])
        const after = decidingDirectives([...rest, 'cAcHe-cOnTrOl', value], ['cdn-cache-control'])
        assert.deepEqual([...after.directives], [...before.directives])
      }),
    )
  })
})
