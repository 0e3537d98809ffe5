// What of a client's request goes to the origin, line by line, and which requests have been here before.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requestFor } from '@simple-cdn/testing'
import { forwardedFields, isLoop } from '../../src/engine/forwarded.ts'

const BY = { name: 'cdn', instance: '1a2b3c4d' }

/** What this cache adds to every request. */
const ADDED = [
  'X-Forwarded-For: 192.0.2.1',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Host: cdn.test',
  'Via: 1.1 cdn',
  'CDN-Loop: cdn; id=1a2b3c4d',
]

/** The lines that go on, without those that this cache adds. */
function sent(lines: readonly string[], keep: 'all' | 'range' | 'none' = 'none', mayStore = true): readonly string[] {
  const fields = lines.flatMap((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)])
  const forwarded = forwardedFields({ ...requestFor('/'), fields }, BY, keep, mayStore)
  const all = forwarded.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${forwarded[at + 1]}`] : []))
  assert.deepEqual(all.slice(-ADDED.length), ADDED)
  return all.slice(0, -ADDED.length)
}

describe('a line of a request', () => {
  const goes: readonly string[] = [
    'Accept: */*',
    'accept-encoding: gzip',
    'Authorization: Bearer x',
    'Cookie: a=1',
    'Cache-Control: no-cache',
    'Content-Type: text/plain',
    'Content-Length: 5',
    'User-Agent: x',
    'Via: 1.0 before',
    'CDN-Loop: other; id=x',
    'X-Own: 1',
    'X_Own: 1',
    'X-Forwarded-Client-Cert: x',
    'X-Real-IP: 6.6.6.6',
    'Max-Forwards: 1',
  ]
  for (const line of goes) it(`goes on: ${line}`, () => assert.deepEqual(sent([line]), [line]))

  it('goes on as often as it came, in order', () => {
    const lines = ['Cookie: a=1', 'X-Own: 2', 'cookie: b=2', 'X-Own: 1']
    assert.deepEqual(sent(lines), lines)
  })

  const stays: readonly string[] = [
    // about one connection (RFC 9110 §7.6.1)
    'Connection: close',
    'Keep-Alive: timeout=5',
    'Proxy-Connection: keep-alive',
    'TE: trailers',
    'Trailer: X',
    'Transfer-Encoding: chunked',
    'Upgrade: h2c',
    'HTTP2-Settings: x',
    'Proxy-Authorization: Basic x',
    // for the cache itself, or for it to say
    'Host: evil.test',
    'Expect: 100-continue',
    'Forwarded: for=6.6.6.6',
    'X-Forwarded-For: 6.6.6.6',
    'x-FORWARDED-proto: gopher',
    'X-Forwarded-Host: evil.test',
    'Surrogate-Capability: x="Surrogate/1.0"',
    // taken for something else by programs behind CGI
    'Proxy: http://evil.test',
    'X_Forwarded_Host: evil.test',
    'x-forwarded_for: 6.6.6.6',
  ]
  for (const line of stays) {
    it(`never goes on: ${line}`, () => {
      for (const keep of ['all', 'range', 'none'] as const)
        for (const mayStore of [true, false]) assert.deepEqual(sent([line, 'X-Own: 1'], keep, mayStore), ['X-Own: 1'])
    })
  }

  const poison: readonly string[] = [
    'X-Host: evil.test',
    'X-HTTP-Host-Override: evil.test',
    'X-Forwarded-Scheme: http',
    'X-Forwarded-Protocol: http',
    'X-Forwarded-SSL: off',
    'X-Forwarded-Server: evil.test',
    'X-Forwarded-Port: 1',
    'X-Forwarded-Prefix: /evil',
    'X-Forwarded-Path: /evil',
    'X-Forwarded-URI: /evil',
    'X-URL-Scheme: http',
    'Front-End-Https: off',
    'X-Original-URL: /evil',
    'X-Original-Host: evil.test',
    'X-Rewrite-URL: /evil',
    'X-HTTP-Method: DELETE',
    'X-HTTP-Method-Override: DELETE',
    'X-Method-Override: DELETE',
    'X_Original_URL: /evil',
  ]
  for (const line of poison) {
    it(`goes on only where nothing is stored: ${line}`, () => {
      assert.deepEqual(sent([line], 'all', true), [])
      assert.deepEqual(sent([line], 'all', false), [line])
    })
  }

  const conditions: readonly (readonly [line: string, goesWith: readonly ('all' | 'range' | 'none')[]])[] = [
    ['If-None-Match: "a"', ['all']],
    ['If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT', ['all']],
    ['If-Match: "a"', ['all']],
    ['If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT', ['all']],
    ['If-Range: "a"', ['all', 'range']],
    ['Range: bytes=0-1', ['all', 'range']],
  ]
  for (const [line, goesWith] of conditions) {
    it(`goes on with ${goesWith.join(' and ')}: ${line}`, () => {
      for (const keep of ['all', 'range', 'none'] as const)
        assert.deepEqual(sent([line], keep), goesWith.includes(keep) ? [line] : [], keep)
    })
  }

  it('that Connection names stays, if it may be named there', () => {
    const lines = ['Connection: keep-alive, X-Hop , Authorization,Cookie, CDN-Loop', 'connection: X-Other']
    const named = ['x-hop: 1', 'X-Other: 2', 'Authorization: x', 'Cookie: a=1', 'CDN-Loop: other', 'X-Own: 1']
    assert.deepEqual(sent([...lines, ...named]), ['Authorization: x', 'Cookie: a=1', 'CDN-Loop: other', 'X-Own: 1'])
  })
})

describe('what a request is given on its way', () => {
  it('tells by whom, over what and as what it came', () => {
    const request = { ...requestFor('https://Site.test:8443/'), httpVersion: '1.0', clientAddress: '2001:db8::1', fields: [] }
    assert.deepEqual(forwardedFields(request, BY, 'none', true), [
      'X-Forwarded-For',
      '2001:db8::1',
      'X-Forwarded-Proto',
      'https',
      'X-Forwarded-Host',
      'site.test:8443',
      'Via',
      '1.0 cdn',
      'CDN-Loop',
      'cdn; id=1a2b3c4d',
    ])
  })

  it('tells of no client where none is known', () => {
    const request = { ...requestFor('/'), clientAddress: undefined, fields: [] }
    assert.deepEqual(forwardedFields(request, BY, 'none', true).slice(0, 2), ['X-Forwarded-Proto', 'http'])
  })
})

describe('a request with CDN-Loop', () => {
  const other = 'cdn; id=00000000'
  const rows: readonly (readonly [what: string, cdnLoop: string, expected: boolean])[] = [
    ['by this process', 'cdn; id=1a2b3c4d', true],
    ['by this process, among others', 'first, cdn; id=1a2b3c4d; x=y, last; a="b"', true],
    ['by this process, written anew', 'first;a=b ,cdn;x=y;id="1a2b3c4d"', true],
    ['by another process of the same name', other, false],
    ['by a few others of the same name', Array(7).fill(other).join(', '), false],
    ['by too many others of the same name', Array(8).fill(other).join(', '), true],
    ['by too many of another name', Array(100).fill('other; id=1a2b3c4d').join(', '), false],
    ['by a name that begins with this one', Array(8).fill('cdn2; id=1a2b3c4d').join(), false],
    ['by nobody, though some text says so', 'other; note="a, cdn; id=1a2b3c4d"', false],
    ['by nobody', '', false],
    ['by who cannot spell', ';;,,=, "', false],
  ]
  for (const [what, cdnLoop, expected] of rows) {
    it(`has ${expected ? '' : 'not '}come back: it has passed ${what}`, () => assert.equal(isLoop(cdnLoop, BY), expected))
  }
})
