// The line that the default sink writes: JSON.stringify()'s, by another way.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { LogEntry } from '@simple-cdn/core'
import { jsonLine } from '../../src/log/json-line.ts'

const HIT: LogEntry = {
  at: 1_700_000_000_123,
  instance: 'a1b2c3d4',
  sequence: 0,
  machine: 'm1',
  region: 'fra',
  tier: 'edge',
  method: 'GET',
  url: 'http://cdn.test/a?b=c',
  httpVersion: '1.1',
  clientAddress: '192.0.2.1',
  userAgent: 'curl/8.5.0',
  referer: undefined,
  range: undefined,
  route: '/*',
  status: 200,
  bytes: 1024,
  contentType: undefined,
  complete: true,
  cache: { key: 'http://cdn.test/a?b=c', action: 'serve', reason: 'fresh', hit: true, stored: false, collapsed: false, ttl: 59 },
  error: undefined,
  timing: { lastByte: 3 },
}

const ODD = ['', '"', '\\', 'a"b\\c', '\n\t\0', '\u2028', 'é日本😀', '\ud83d', '\udc00x', '\x7f', '<script>']

const entries: readonly (readonly [what: string, entry: LogEntry])[] = [
  ['a hit', HIT],
  [
    'a miss that failed',
    {
      ...HIT,
      complete: false,
      cache: {
        key: '',
        action: 'fetch',
        reason: 'uri-miss',
        hit: false,
        fwd: 'uri-miss',
        fwdStatus: 503,
        stored: false,
        notStored: 'no-store',
        collapsed: false,
        ttl: undefined,
      },
      error: { code: 'CDN_ORIGIN_BROKE_OFF', message: 'a "quoted" one' },
      timing: { originAnswered: 1.5, lastByte: 20 },
    },
  ],
  [
    'all that may be there',
    {
      ...HIT,
      range: 'bytes=0-',
      contentType: 'audio/mpeg',
      geo: { city: 'Köln', latitude: 50, longitude: 7.5 },
      sampleRate: 10,
    },
  ],
  [
    'nothing that can be left out',
    { ...HIT, clientAddress: undefined, userAgent: undefined, cache: { ...HIT.cache, ttl: undefined } },
  ],
  ...ODD.map(
    (text) =>
      [
        JSON.stringify(text),
        { ...HIT, method: text, url: text, userAgent: text, referer: text, route: text, cache: { ...HIT.cache, key: text } },
      ] as const,
  ),
]

for (const [what, entry] of entries) {
  it(`is what JSON.stringify() writes: ${what}`, () => assert.equal(jsonLine(entry), `${JSON.stringify(entry)}\n`))
}
