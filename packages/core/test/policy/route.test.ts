// Which requests a match takes, and what the origin or a redirect gets of them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { matches, parseMatch, rewritten } from '../../src/policy/route.ts'

/** [the rule, the match, the request, what `*` stood for, or `undefined` when it does not match] */
const MATCHES: readonly (readonly [string, string, string, string | undefined])[] = [
  ['everything', '/*', 'http://a.test/', ''],
  ['everything, of any host', '/*', 'https://b.test:8443/x/y', 'x/y'],
  ['a path', '/a', 'http://a.test/a', ''],
  ['another path', '/a', 'http://a.test/ab', undefined],
  ['a path and more', '/a', 'http://a.test/a/', undefined],
  ['paths have case', '/a', 'http://a.test/A', undefined],
  ['a query is not part of the path', '/a', 'http://a.test/a?b', ''],
  ['* at the end', '/a/*', 'http://a.test/a/b/c', 'b/c'],
  ['* for nothing', '/a/*', 'http://a.test/a/', ''],
  ['* after a slash needs the slash', '/a/*', 'http://a.test/a', undefined],
  ['* within a segment', '/a*', 'http://a.test/abc/d', 'bc/d'],
  ['* does not take the query', '/a/*', 'http://a.test/a/b?c=/d', 'b'],
  ['nor does the query help to match', '/a/b*', 'http://a.test/a?/b', undefined],
  ['* in the middle', '/feeds/*.xml', 'http://a.test/feeds/x/y.xml', 'x/y'],
  ['* in the middle, before a query', '/feeds/*.xml', 'http://a.test/feeds/x.xml?a.txt', 'x'],
  ['* in the middle, and another end', '/feeds/*.xml', 'http://a.test/feeds/x.xmls', undefined],
  ['an end in the query is none', '/feeds/*.xml', 'http://a.test/feeds/x?.xml', undefined],
  ['* does not stand for less than nothing', '/ab*ba', 'http://a.test/aba', undefined],
  ['* for nothing in the middle', '/ab*ba', 'http://a.test/abba', ''],

  ['a scheme', 'https://a.test/*', 'https://a.test/x', 'x'],
  ['another scheme', 'https://a.test/*', 'http://a.test/x', undefined],
  ['any scheme', '//a.test/*', 'http://a.test/x', 'x'],
  ['no path is any path', 'https://a.test', 'https://a.test/x', 'x'],
  ['another host', 'https://a.test/*', 'https://b.test/x', undefined],
  ['hosts have no case (RFC 9110 §4.2.3)', 'https://A.Test/*', 'https://a.test/x', 'x'],
  ['a host with whatever port', 'http://a.test/*', 'http://a.test:8080/x', 'x'],
  ['a port', 'http://a.test:8080/*', 'http://a.test:8080/x', 'x'],
  ['another port', 'http://a.test:8080/*', 'http://a.test:8081/x', undefined],
  ['a port, and none', 'http://a.test:8080/*', 'http://a.test/x', undefined],
  ['the port of http is left out (RFC 9110 §4.2.3)', 'http://a.test:80/*', 'http://a.test/x', 'x'],
  ['the port of https is left out', 'https://a.test:443/*', 'https://a.test/x', 'x'],
  ['the port of the other scheme is not', 'http://a.test:443/*', 'http://a.test/x', undefined],
  ['a port of any scheme', '//a.test:443/*', 'https://a.test/x', 'x'],
  ['any host', 'https://*/x', 'https://a.test/x', ''],
  ['subdomains', '//*.a.test/*', 'http://b.a.test/x', 'x'],
  ['subdomains of subdomains', '//*.a.test/*', 'http://c.b.a.test/x', 'x'],
  ['subdomains with a port', '//*.a.test/*', 'http://b.a.test:8080/x', 'x'],
  ['subdomains on a port', '//*.a.test:8080/*', 'http://b.a.test:8080/x', 'x'],
  ['not the domain itself', '//*.a.test/*', 'http://a.test/x', undefined],
  ['not a domain that ends so', '//*.a.test/*', 'http://ba.test/x', undefined],
  ['an address of IPv6', '//[::1]/*', 'http://[::1]/x', 'x'],
  ['an address of IPv6 with a port', '//[::1]:8080/*', 'http://[::1]:8080/x', 'x'],
  ['an address of IPv6 with whatever port', '//[::1]/*', 'http://[::1]:8080/x', 'x'],
]

describe('a match', () => {
  for (const [rule, text, url, expected] of MATCHES) {
    it(`${rule}: ${text} ${expected === undefined ? 'does not take' : 'takes'} ${url}`, () => {
      const match = parseMatch(text)
      assert.ok(typeof match !== 'string', String(match))
      const [, scheme = '', authority = '', target = ''] = /^(https?):\/\/([^/]+)(\/.*)$/.exec(url) ?? []
      assert.equal(matches(match, scheme, authority, target), expected)
    })
  }

  const WRONG: readonly (readonly [string, RegExp])[] = [
    ['a', /must begin with/],
    ['', /must begin with/],
    ['ftp://a.test/', /must begin with/],
    ['https:/a', /must begin with/],
    ['/a?b', /must not contain/],
    ['/a#b', /must not contain/],
    ['/a b', /must not contain/],
    ['/*/*', /one "\*"/],
    ['//a.*.test/', /first label/],
    ['//a.*/', /first label/],
  ]
  for (const [text, message] of WRONG) {
    it(`is not ${text || '(empty)'}`, () => assert.match(String(parseMatch(text)), message))
  }
})

/** [the rule, the rewrite, what `*` stood for, the target, what is asked for] */
const REWRITES: readonly (readonly [string, string | undefined, string, string, string])[] = [
  ['none', undefined, 'x', '/a/x?b', '/a/x?b'],
  ['* is filled in', '/*.xml', 'x', '/feeds/x', '/x.xml'],
  ['without *', '/b', 'x', '/a/x', '/b'],
  ['the query goes along', '/*', 'x', '/a/x?b=c', '/x?b=c'],
  ['an empty query, too', '/*', 'x', '/a/x?', '/x?'],
  ['what looks like a replacement is text', '/*', '$&$1', '/a/$&$1', '/$&$1'],
  ['only the first * is filled in, not one that it stood for', '/*', '*', '/a/*', '/*'],
  ['a redirect to another host', 'https://b.test/*', 'x', '/a/x?c', 'https://b.test/x?c'],
  ['a query of its own comes first', '/find?q=*', 'x', '/a/x?b=c', '/find?q=x&b=c'],
  ['a query of its own alone', '/find?q=*', 'x', '/a/x', '/find?q=x'],
  ['a fragment comes last (RFC 3986 §3)', '/b#top', '', '/a?c=d', '/b?c=d#top'],
  ['a path that begins with two slashes would name a host', '/*', '/evil.test/', '/a//evil.test/', '/evil.test/'],
  ['with more of them', '/*', '///evil.test', '/a////evil.test', '/evil.test'],
  ['slashes further on stay', '/b/*', '/c', '/a//c', '/b//c'],
]

describe('rewritten', () => {
  for (const [rule, rewrite, star, target, expected] of REWRITES) {
    it(`${rule}: ${expected}`, () => assert.equal(rewritten(rewrite, star, target), expected))
  }
})
