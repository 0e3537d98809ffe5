// The Cache-Status field against the grammar and the rules of RFC 9211.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CacheOutcome, createCdn, ERROR_CODES, type Forward, REASONS, type Reason } from '@simple-cdn/core'
import { cacheStatus } from '../../src/log/cache-status.ts'

type Outcome = Omit<CacheOutcome, 'key'>

const HIT: Outcome = { action: 'serve', reason: 'fresh', hit: true, stored: false, collapsed: false }
const MISS: Outcome = { action: 'fetch', reason: 'uri-miss', hit: false, fwd: 'uri-miss', stored: false, collapsed: false }

const TOKEN = /^[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*$/
const STRING = /^"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"$/
const INTEGER = /^-?\d{1,15}$/
const FORWARD = /^(?:bypass|method|uri-miss|vary-miss|miss|request|stale|partial)$/

/** What each parameter may be (RFC 9211 §2). `true`: it stands alone. */
const PARAMETERS: Readonly<Record<string, RegExp | true>> = {
  hit: true,
  fwd: FORWARD,
  'fwd-status': INTEGER,
  ttl: INTEGER,
  stored: true,
  collapsed: true,
  key: STRING,
  detail: TOKEN,
}

/** What is wrong with a member, by the grammar of structured fields and the meaning of its parameters. */
function faults(member: string): readonly string[] {
  const [, name = '', rest = ''] = /^("(?:[^"\\]|\\.)*"|[^;]*)(.*)$/s.exec(member) ?? []
  const parameters = rest.split('; ').slice(1)
  const found = parameters.map((parameter) => parameter.split('=', 1)[0] as string)
  return [
    ...(TOKEN.test(name) || STRING.test(name) ? [] : [`${name} is neither token nor string`]),
    ...(rest === '' || rest === parameters.map((parameter) => `; ${parameter}`).join('')
      ? []
      : [`"${rest}" is not separated well`]),
    ...parameters.flatMap((parameter) => {
      const [key = '', ...value] = parameter.split('=')
      const rule = PARAMETERS[key]
      if (rule === undefined) return [`there is no ${key}`]
      const fits = rule === true ? value.length === 0 : value.length === 1 && rule.test(value[0] ?? '')
      return fits ? [] : [`${parameter} is not what ${key} may be`]
    }),
    ...(new Set(found).size === found.length ? [] : ['a parameter comes twice']),
    // (RFC 9211 §2.1, §2.3, §2.5, §2.6)
    ...(found.includes('hit') && found.includes('fwd') ? ['it is hit and forwarded'] : []),
    ...['fwd-status', 'stored', 'collapsed'].flatMap((key) =>
      found.includes(key) && !found.includes('fwd') ? [`${key} without fwd`] : [],
    ),
  ]
}

describe('Cache-Status', () => {
  const rows: readonly (readonly [outcome: Partial<Outcome>, error: string | undefined, expected: string])[] = [
    [{ ...HIT, ttl: 60 }, undefined, 'cdn; hit; ttl=60'],
    [{ ...HIT, ttl: -5, reason: 'stale-while-revalidate' }, undefined, 'cdn; hit; ttl=-5; detail=stale-while-revalidate'],
    [{}, undefined, 'cdn; fwd=uri-miss'],
    [{ fwdStatus: 200, ttl: 60, stored: true }, undefined, 'cdn; fwd=uri-miss; fwd-status=200; ttl=60; stored'],
    [{ fwdStatus: 200, notStored: 'no-store' }, undefined, 'cdn; fwd=uri-miss; fwd-status=200; detail=no-store'],
    [{ collapsed: true, ttl: 0 }, undefined, 'cdn; fwd=uri-miss; ttl=0; collapsed'],
    [
      { action: 'revalidate', reason: 'stale', fwd: 'stale', fwdStatus: 304, stored: true },
      undefined,
      'cdn; fwd=stale; fwd-status=304; stored',
    ],
    [{ reason: 'cookie', fwd: 'bypass', fwdStatus: 200 }, undefined, 'cdn; fwd=bypass; fwd-status=200; detail=cookie'],
    [{}, 'CDN_ORIGIN_TIMEOUT', 'cdn; fwd=uri-miss; detail=CDN_ORIGIN_TIMEOUT'],
    [{ fwd: undefined, action: 'respond', reason: 'redirect' }, undefined, 'cdn; detail=redirect'],
    [{ fwd: undefined, action: 'refuse', reason: 'only-if-cached' }, undefined, 'cdn; detail=only-if-cached'],
  ]
  for (const [outcome, error, expected] of rows) {
    it(`says ${expected}`, () => assert.equal(cacheStatus('cdn', { ...MISS, ...outcome }, error), expected))
  }

  it('keeps to the grammar for every reason, every error and every way forward', () => {
    const reasons = Object.keys(REASONS) as Reason[]
    const forwards: readonly Forward[] = ['bypass', 'method', 'uri-miss', 'vary-miss', 'request', 'stale', 'partial']
    for (const reason of reasons) {
      assert.deepEqual(faults(cacheStatus('cdn', { ...HIT, reason, ttl: 2 ** 31 })), [], reason)
      for (const fwd of forwards) {
        for (const flag of [true, false]) {
          const outcome: Outcome = {
            ...MISS,
            reason,
            fwd,
            fwdStatus: 200,
            ttl: -1,
            stored: flag,
            collapsed: !flag,
            notStored: reason,
          }
          assert.deepEqual(faults(cacheStatus('cdn', outcome)), [], `${reason} ${fwd}`)
        }
      }
    }
    for (const code of ERROR_CODES) assert.deepEqual(faults(cacheStatus('cdn', MISS, code)), [], code)
  })

  it('quotes a name that is a token of HTTP, and none of structured fields', () => {
    for (const [name, expected] of [
      ['my.cdn-1', 'my.cdn-1; hit'],
      ['*', '*; hit'],
      ['1st', '"1st"; hit'],
      ["'quoted'", `"'quoted'"; hit`],
    ] as const) {
      const member = cacheStatus(name, HIT)
      assert.equal(member, expected)
      assert.deepEqual(faults(member), [])
    }
  })

  it('has no name that is not a token: the configuration refuses it', () => {
    for (const name of ['', 'two words', 'a;b', 'a,b', 'a"b', 'é', 'a\r\nb', 'a/b', 'a@b'])
      assert.throws(() => createCdn({ origins: {}, routes: [{ match: '/*', respond: { status: 204 } }], name }), {
        code: 'CDN_CONFIG_INVALID',
      })
  })

  it('is checked by something that finds faults', () => {
    for (const wrong of [
      'a b; hit',
      '1; hit',
      'cdn; hit; fwd=miss',
      'cdn; hit=1',
      'cdn; fwd=no',
      'cdn; stored',
      'cdn; fwd=miss; ttl=1.5',
      'cdn;hit; ',
      'cdn; detail=a b',
      'cdn; hit; hit',
    ])
      assert.notDeepEqual(faults(wrong), [], wrong)
  })
})
