// Every mistake of a configuration is found, named by its place, and told with what to write instead.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { CdnConfig } from '../src/config.ts'
import { defaultPolicy, rfcPolicy } from '../src/policy/policy.ts'
import {
  type ConfigError,
  checkConfig,
  configWarnings,
  mistakeLine,
  parseDuration,
  parseSize,
  resolveConfig,
} from '../src/resolve-config.ts'
import { certificate, key } from './support/certificate.ts'

const good = { origins: { app: 'http://localhost:3000' }, routes: [{ match: '/*', origin: 'app' }] } satisfies CdnConfig

const bucket = { region: 'auto', accessKeyId: 'a', secretAccessKey: 'b' }

/** What is wrong with the good configuration after this change, one line for each mistake. */
function wrong(change: Record<string, unknown>): readonly string[] {
  return checkConfig({ ...good, ...change }).map(mistakeLine)
}

function wrongRoute(route: unknown): readonly string[] {
  return wrong({ routes: [route] })
}

function wrongCache(cache: unknown): readonly string[] {
  return wrongRoute({ match: '/*', origin: 'app', cache })
}

function wrongOrigin(app: unknown): readonly string[] {
  return wrong({ origins: { app } })
}

describe('checkConfig', () => {
  it('finds nothing in a good configuration', () => {
    const everything = {
      name: 'edge-1',
      semantics: 'rfc',
      memory: '64kb',
      maxRequestBody: 0,
      log: [{ name: 'none', write() {}, async flush() {}, async close() {} }],
      origins: {
        plain: 'https://app.internal:8443/base/',
        all: {
          url: 'http://[::1]:3000',
          host: 'client',
          connectTimeout: '5s',
          headTimeout: 0.5,
          bodyTimeout: '1d',
          connections: 1,
        },
        several: {
          url: ['https://a', { url: 'https://b/base', weight: 3 }],
          choice: 'hash',
          retries: 0,
          resolveEvery: '1m',
          health: { path: '/up?deep=1', every: '5s', timeout: '5s', expect: '200-399', threshold: 1, window: 1 },
          breaker: { failures: 1, pause: '1s', maxPause: '1h' },
          fallback: 'all',
          http2: true,
          tls: { ca: [certificate], cert: certificate, key, servername: 'localhost', rejectUnauthorized: false },
        },
        files: {
          url: 'https://s3.example',
          s3: { region: 'auto', accessKeyId: 'A', secretAccessKey: 'b/+', bucket: 'my.files', pathStyle: false },
        },
        app: () => new Response(),
        own: { name: 'own', fetch: () => Promise.reject(new Error('not asked')) },
      },
      routes: [
        { match: '/health', name: 'health', respond: { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'ok' } },
        { match: 'https://www.example.com/*', redirect: 'https://example.com/*', status: 308 },
        { match: '//*.example.com/a%20b/*', redirect: '/c#top' },
        { match: '/admin/*', origin: 'plain', cache: false, rewrite: '/*.php', methods: ['GET', 'M-SEARCH'] },
        {
          match: '/*',
          origin: 'all',
          cache: {
            defaultTtl: '1m',
            overrideTtl: 0,
            staleWhileRevalidate: '1h',
            staleIfError: '7d',
            key: { query: ['page', 'q[]'], headers: ['Accept'], cookies: ['theme'] },
            bypassCookies: ['sess[id]'],
            targetedFields: [],
            honorRequestDirectives: true,
            maxBody: '1.5gb',
          },
        },
      ],
    }
    assert.deepEqual(checkConfig(everything), [])
  })

  it('counts an option that is undefined as left out', () => {
    assert.deepEqual(
      wrong({ memory: undefined, routes: [{ match: '/*', origin: 'app', cache: undefined, redirect: undefined }] }),
      [],
    )
  })

  it('tells all mistakes at once, each with its place', () => {
    const config = {
      origins: { assets: 'ftp://files' },
      routes: [
        { match: '/a/*', origin: 'asets' },
        { match: 'b', cash: {} },
      ],
      memmory: '1gb',
    }
    assert.deepEqual(checkConfig(config).map(mistakeLine), [
      'origins.assets: "ftp://files": an origin speaks http: or https:, not ftp:',
      'routes[1].match: "b" must begin with "/" or "https://"',
      'routes[1].cash: there is no such option; did you mean "cache"?',
      'routes[1]: does nothing; give it an origin, a redirect or a respond',
      'memmory: there is no such option; did you mean "memory"?',
      'routes[0].origin: no origin is called "asets"; did you mean "assets"?',
    ])
  })

  // what was written, the whole of what is said about it
  const tables: Record<string, [mistakes: readonly string[], expected: string | readonly string[]][]> = {
    'the whole': [
      [checkConfig(undefined).map(mistakeLine), 'is undefined; write an object'],
      [checkConfig([]).map(mistakeLine), 'is a list; write an object'],
      [
        checkConfig({}).map(mistakeLine),
        [
          'origins: is missing; write {} when no route needs any',
          'routes: is missing; write at least one, such as { match: "/*", origin: "app" }',
        ],
      ],
      [wrong({ routes: [] }), 'routes: is empty; write at least one, such as { match: "/*", origin: "app" }'],
      [wrong({ routes: {} }), 'routes: is an object; write a list of routes'],
      [wrong({ name: 'my cdn' }), 'name: "my cdn" is not a token; use letters, digits, "-", "_" and "."'],
      [wrong({ semantics: 'RFC' }), 'semantics: is "RFC"; write one of "cautious", "rfc"'],
      [wrong({ memory: '1kb' }), 'memory: is "1kb"; write a size from 64kb to 9007199254740991 bytes'],
      [wrong({ memory: '64 MiB' }), 'memory: "64 MiB" is not a size; write "64mb"'],
      [wrong({ memory: '1tb' }), 'memory: "1tb" is not a size; write "1024gb"'],
      [wrong({ trustedProxies: 'flyy' }), 'trustedProxies: is "flyy"; write one of "private", "fly"'],
      [
        wrong({ trustedProxies: ['10.0.0.0/8', '10.0.0.0/40'] }),
        'trustedProxies[1]: "10.0.0.0/40" is neither an address nor a network such as "10.0.0.0/8"',
      ],
      [wrong({ maxRequestBody: '1000' }), 'maxRequestBody: "1000" is not a size; write 1000, without quotes'],
      [wrong({ maxRequestBody: -1 }), 'maxRequestBody: -1 is not a size; write one such as "64kb", "512mb", "20gb"'],
      [wrong({ store: {} }), 'store: is not a store, such as memoryStore({ maxBytes }): it has no lookup()'],
      [wrong({ store: 'disk' }), 'store: is "disk"; write a store, such as memoryStore({ maxBytes })'],
      [wrong({ log: [console] }), 'log[0]: is not a log sink, such as stdoutSink(): it has no write()'],
      [wrong({ log: console }), 'log: is an object; write a list of log sinks'],
      [wrong({ __proto__: null, constructor: 1 }), 'constructor: there is no such option'],
    ],
    origins: [
      [
        wrong({ origins: [] }),
        [
          'origins: is a list; write origins by name, such as { app: "http://localhost:3000" }',
          'routes[0].origin: no origin is called "app"',
        ],
      ],
      [
        wrong({ origins: { app: 'http://a', 'my app': 'http://b' } }),
        'origins["my app"]: is not a name; use letters, digits, "-", "_" and "."',
      ],
      [
        wrongOrigin('localhost:3000'),
        'origins.app: "localhost:3000" has no scheme; write "http://localhost:3000" or "https://localhost:3000"',
      ],
      [wrongOrigin('http://'), 'origins.app: "http://" is not a URL; write one such as "https://app.internal:8443"'],
      [wrongOrigin('https://me:secret@host'), 'origins.app: must not contain a user name or password: URLs end up in logs'],
      [
        wrongOrigin('https://host/?a=b'),
        'origins.app: "https://host/?a=b" must end before its "?" or "#"; every request brings its own query',
      ],
      [wrongOrigin({}), 'origins.app.url: is missing; write the URL of the origin'],
      [wrongOrigin({ url: 'http://a', hots: 'b' }), 'origins.app.hots: there is no such option; did you mean "host"?'],
      [
        wrongOrigin({ url: 'http://a', host: 'http://b' }),
        'origins.app.host: "http://b" is not a host; write "client", or a name such as "app.internal" or "app.internal:8443"',
      ],
      [
        wrongOrigin({ url: 'http://a', headTimeout: '30 sec' }),
        'origins.app.headTimeout: "30 sec" is not a duration; write "30s"',
      ],
      [
        wrongOrigin({ url: 'http://a', connectTimeout: '500ms' }),
        'origins.app.connectTimeout: "500ms" is not a duration; write "0.5s"',
      ],
      [wrongOrigin({ url: 'http://a', bodyTimeout: 0 }), 'origins.app.bodyTimeout: is 0; write a duration from 0.001s to 1d'],
      [
        wrongOrigin({ url: 'http://a', connections: 1.5 }),
        'origins.app.connections: is 1.5; write a whole number from 1 to 65535',
      ],
      [wrongOrigin({ url: [] }), 'origins.app.url: is empty; write at least one URL'],
      [
        wrongOrigin({ url: ['http://a', 'b', { url: 'http://c', weight: 0 }, { weight: 1 }] }),
        [
          'origins.app.url[1]: "b" has no scheme; write "http://b" or "https://b"',
          'origins.app.url[2].weight: is 0; write a whole number from 1 to 1000',
          'origins.app.url[3].url: is missing; write the URL of the address',
        ],
      ],
      [wrongOrigin({ url: Array(257).fill('http://a') }), 'origins.app.url: has 257 addresses; write 256 at most'],
      [
        wrongOrigin({ url: 'http://a', choice: 'random' }),
        'origins.app.choice: is "random"; write one of "first", "round-robin", "hash"',
      ],
      [wrongOrigin({ url: 'http://a', retries: 6 }), 'origins.app.retries: is 6; write a whole number from 0 to 5'],
      [
        wrongOrigin({ url: 'http://a', health: {} }),
        'origins.app.health.path: is missing; write what to ask for, such as "/health"',
      ],
      [
        wrongOrigin({ url: 'http://a', health: { path: 'up', expect: '399-200' } }),
        [
          'origins.app.health.path: "up" is not a path; write one such as "/health"',
          'origins.app.health.expect: is "399-200"; write a status such as 200, or a range such as "200-399"',
        ],
      ],
      [
        wrongOrigin({ url: 'http://a', health: { path: '/', every: '5s', timeout: '6s', threshold: 6 } }),
        [
          'origins.app.health.timeout: is "6s"; a check ends before the next begins, after 5s',
          'origins.app.health.threshold: is 6, and the window has 5 checks only',
        ],
      ],
      [
        wrongOrigin({ url: 'http://a', breaker: { failures: 0 } }),
        'origins.app.breaker.failures: is 0; write a whole number from 1 to 1000',
      ],
      [wrongOrigin({ url: 'http://a', fallback: 'ap' }), 'origins.app.fallback: no origin is called "ap"; did you mean "app"?'],
      [wrongOrigin({ url: 'http://a', fallback: 'app' }), 'origins.app.fallback: leads back to "app"'],
      [
        wrong({ origins: { app: { url: 'http://a', fallback: 'b' }, b: { url: 'http://b', fallback: 'app' } } }),
        ['origins.app.fallback: leads back to "app"', 'origins.b.fallback: leads back to "b"'],
      ],
      [
        wrongOrigin({ url: ['https://a', 'http://b'], http2: true, tls: {} }),
        [
          'origins.app.tls: goes with https:, and the url is "http://b"',
          'origins.app.http2: goes with https:, and the url is "http://b"',
        ],
      ],
      [
        wrongOrigin({ url: 'https://a', tls: { cert: './client.pem' } }),
        'origins.app.tls.cert: is not PEM text; write what the file contains, such as readFileSync("client.pem", "utf8")',
      ],
      [wrongOrigin({ url: 'https://a', tls: { cert: certificate } }), 'origins.app.tls: has a cert without a key'],
      [
        wrongOrigin({ url: 'https://a', tls: { servername: 'a:1' } }),
        'origins.app.tls.servername: "a:1" is not the name of a host',
      ],
      [
        wrongOrigin({ url: 'https://a', s3: { region: 'EU', bucket: 'My Files', secretAccessKey: '' }, host: 'client' }),
        [
          'origins.app.s3.accessKeyId: is missing; write the id of the access key',
          'origins.app.s3.region: "EU" is not a region; write one such as "eu-central-1"',
          'origins.app.s3.bucket: "My Files" is not the name of a bucket',
          'origins.app.s3.secretAccessKey: is empty, or has characters that it cannot have',
          'origins.app.host: is part of the signature of s3, which takes that of the url; leave it out',
        ],
      ],
      [
        wrongOrigin({ url: 'https://a/%ff', s3: bucket }),
        'origins.app.url: "https://a/%ff" has a path that is not UTF-8, as the keys of s3 are',
      ],
      [
        wrongOrigin({ url: 'https://127.0.0.1', s3: { ...bucket, bucket: 'files', pathStyle: false } }),
        'origins.app.s3.pathStyle: puts the bucket before a host name, and "https://127.0.0.1" has none',
      ],
      [
        wrongOrigin({ url: 'https://files.a', s3: { ...bucket, pathStyle: false } }),
        'origins.app.s3.pathStyle: is about where the name of the bucket goes; write it in bucket, or leave this out',
      ],
      [wrongOrigin({ fetch() {} }), 'origins.app: has fetch() but no name; if this is an app, write app.fetch'],
      [wrongOrigin(null), 'origins.app: is null; write a URL, an app or an object with a url'],
    ],
    routes: [
      [wrongRoute('/*'), 'routes[0]: is "/*"; write an object'],
      [wrongRoute({ origin: 'app' }), 'routes[0].match: is missing; write a path such as "/assets/*"'],
      [wrongRoute({ match: '/*', origin: 'app', redirect: '/b' }), 'routes[0]: has origin and redirect; a route does one thing'],
      [wrongRoute({ match: '/*', redirect: '/b', cache: false }), 'routes[0].cache: goes with origin, not with redirect'],
      [wrongRoute({ match: '/*', origin: 'app', status: 301 }), 'routes[0].status: goes with redirect, not with origin'],
      [wrongRoute({ match: '/*', origin: 7 }), 'routes[0].origin: is 7; write text in quotes'],
      [wrongRoute({ match: '/*', origin: 'toString' }), 'routes[0].origin: no origin is called "toString"'],
      [wrongRoute({ match: '/*', origin: 'app', name: '' }), 'routes[0].name: is ""; write some text on one line'],
      [wrongRoute({ match: '/*/b/*', origin: 'app' }), 'routes[0].match: "/*/b/*" may contain one "*" in its path'],
      [
        wrongRoute({ match: '/a?b', origin: 'app' }),
        'routes[0].match: "/a?b" must not contain "?", "#" or white space: a match is about the path',
      ],
      [
        wrongRoute({ match: 'https://a_b/*', origin: 'app' }),
        'routes[0].match: "https://a_b/*" does not name a host; write one such as "https://www.example.com/*"',
      ],
      [
        wrongRoute({ match: '/café/*', origin: 'app' }),
        'routes[0].match: no request has the path "/café/*"; write "/caf%C3%A9/*"',
      ],
      [wrongRoute({ match: '/a/../b', origin: 'app' }), 'routes[0].match: no request has the path "/a/../b"; write "/b"'],
      [
        wrongRoute({ match: '/*', origin: 'app', methods: ['get'] }),
        'routes[0].methods[0]: "get" is another method than "GET"; write that',
      ],
      [
        wrongRoute({ match: '/*', origin: 'app', methods: [] }),
        'routes[0].methods: is empty; name a method, or leave it out for all',
      ],
      [wrongRoute({ match: '/*', origin: 'app', methods: 'GET' }), 'routes[0].methods: is "GET"; write a list of methods'],
      [wrongRoute({ match: '/*', origin: 'app', rewrite: 'b' }), 'routes[0].rewrite: "b" must begin with "/"'],
      [
        wrongRoute({ match: '/*', origin: 'app', rewrite: '/b?c' }),
        'routes[0].rewrite: "/b?c" must not contain "?" or "#": the query of the request is kept as it is',
      ],
      [wrongRoute({ match: '/*', origin: 'app', rewrite: '/*/*' }), 'routes[0].rewrite: "/*/*" may contain one "*"'],
      [
        wrongRoute({ match: '/a', origin: 'app', rewrite: '/*' }),
        'routes[0].rewrite: has a "*", but the path of match has none for it to stand for',
      ],
      [
        wrongRoute({ match: '//*.example.com/a', redirect: '/*' }),
        'routes[0].redirect: has a "*", but the path of match has none for it to stand for',
      ],
      [wrongRoute({ match: '/*', redirect: 'b' }), 'routes[0].redirect: "b" must begin with "/", "http://" or "https://"'],
      [
        wrongRoute({ match: '/*', redirect: '/a b' }),
        'routes[0].redirect: "/a b" contains characters that a URL cannot; write "/a%20b"',
      ],
      [
        wrongRoute({ match: '/a*', redirect: 'https://b.test*' }),
        'routes[0].redirect: "https://b.test*" has its "*" in the host, which whoever asks could choose then; put it behind a "/"',
      ],
      [wrongRoute({ match: '/*', redirect: 'https://a:99999/' }), 'routes[0].redirect: "https://a:99999/" is not a URL'],
      [
        wrongRoute({ match: '/*', redirect: '/b', status: 200 }),
        'routes[0].status: is 200; write one of 301, 302, 303, 307, 308',
      ],
      [wrongRoute({ match: '/*', respond: {} }), 'routes[0].respond.status: is missing; write a status such as 204'],
      [
        wrongRoute({ match: '/*', respond: { status: 100 } }),
        'routes[0].respond.status: is 100; write a whole number from 200 to 599',
      ],
      [
        wrongRoute({ match: '/*', respond: { status: 204, body: 'x' } }),
        'routes[0].respond.body: a 204 has no body; leave it out or use another status',
      ],
      [
        wrongRoute({ match: '/*', respond: { status: 200, headers: { 'A B': 'c' } } }),
        'routes[0].respond.headers["A B"]: "A B" is not a field name',
      ],
      [
        wrongRoute({ match: '/*', respond: { status: 200, headers: { 'X-A': 'b\r\nX-C: d' } } }),
        'routes[0].respond.headers["X-A"]: "b\\r\\nX-C: d" contains characters that a field cannot',
      ],
      [
        wrongRoute({ match: '/*', respond: { status: 200, headers: { 'Content-Length': '1' } } }),
        'routes[0].respond.headers["Content-Length"]: belongs to the connection, not to the response; leave it out',
      ],
    ],
    cache: [
      [wrongCache(true), 'routes[0].cache: is true; leave it out to obey the fields of the origin, or give options'],
      [wrongCache({ ttl: 60 }), 'routes[0].cache.ttl: there is no such option'],
      [wrongCache({ defaultTTL: 60 }), 'routes[0].cache.defaultTTL: there is no such option; did you mean "defaultTtl"?'],
      [wrongCache({ defaultTtl: '10 min' }), 'routes[0].cache.defaultTtl: "10 min" is not a duration; write "10m"'],
      [wrongCache({ defaultTtl: '60' }), 'routes[0].cache.defaultTtl: "60" is not a duration; write "60s", or 60 without quotes'],
      [wrongCache({ overrideTtl: '2 weeks' }), 'routes[0].cache.overrideTtl: "2 weeks" is not a duration; write "14d"'],
      [
        wrongCache({ overrideTtl: 'long' }),
        'routes[0].cache.overrideTtl: "long" is not a duration; write one such as "90s", "15m", "1h", "7d"',
      ],
      [
        wrongCache({ staleIfError: Number.NaN }),
        'routes[0].cache.staleIfError: NaN is not a duration; write one such as "90s", "15m", "1h", "7d"',
      ],
      [
        wrongCache({ staleWhileRevalidate: 1e12 }),
        'routes[0].cache.staleWhileRevalidate: is 1000000000000; write a duration from 0s to 2147483648s',
      ],
      [wrongCache({ maxBody: '64m' }), 'routes[0].cache.maxBody: "64m" is not a size; write "64mb"'],
      [wrongCache({ honorRequestDirectives: 'no' }), 'routes[0].cache.honorRequestDirectives: is "no"; write one of true, false'],
      [wrongCache({ bypassCookies: 'session' }), 'routes[0].cache.bypassCookies: is "session"; write a list of cookie names'],
      [wrongCache({ bypassCookies: ['a=b'] }), 'routes[0].cache.bypassCookies[0]: "a=b" is not the name of a cookie'],
      [
        wrongCache({ bypassCookies: ['wp_*'] }),
        'routes[0].cache.bypassCookies[0]: "wp_*": "*" stands for nothing here; name each cookie',
      ],
      [
        wrongCache({ targetedFields: ['Cache-Control'] }),
        'routes[0].cache.targetedFields[0]: Cache-Control is obeyed last in any case; leave it out',
      ],
      [wrongCache({ targetedFields: ['a b'] }), 'routes[0].cache.targetedFields[0]: "a b" is not a field name'],
      [wrongCache({ key: { query: 'some' } }), 'routes[0].cache.key.query: is "some"; write one of "all", "none", "no-tracking"'],
      [wrongCache({ key: { query: ['a=b'] } }), 'routes[0].cache.key.query[0]: "a=b" is not the name of a query parameter'],
      [
        wrongCache({ key: { query: ['utm_*'] } }),
        'routes[0].cache.key.query[0]: "utm_*": "*" stands for nothing here; name each query parameter',
      ],
      [
        wrongCache({ key: { headers: ['Cookie'] } }),
        'routes[0].cache.key.headers[0]: the whole Cookie field differs for everybody; name cookies in key.cookies',
      ],
      [wrongCache({ key: { cookies: [1] } }), 'routes[0].cache.key.cookies[0]: is 1; write text in quotes'],
    ],
  }
  for (const [part, rows] of Object.entries(tables)) {
    describe(part, () => {
      for (const [mistakes, expected] of rows)
        it([expected].flat().join(', and '), () => assert.deepEqual(mistakes, [expected].flat()))
    })
  }

  it('refuses `memory` beside a store, which it would have no effect on', () => {
    const store = Object.fromEntries(
      'lookup read has write writeSlice freshen remove discard stats close'.split(' ').map((name) => [name, () => undefined]),
    )
    assert.deepEqual(wrong({ store, memory: '1gb' }), [
      'memory: bounds the memory store, which `store` replaces; leave one of them out',
    ])
    assert.deepEqual(wrong({ store, disk: store }), [
      'disk: goes below the memory store, which `store` replaces; leave one of them out',
    ])
  })

  it('takes anything without throwing', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withSparseArray: true, withNullPrototype: true }), (anything) =>
        Array.isArray(checkConfig(anything)),
      ),
    )
  })

  it('takes anything in the place of any option without throwing, and tells where', () => {
    const place = fc.constantFrom('origins', 'routes', 'memory', 'store', 'log', 'name', 'semantics', 'maxRequestBody')
    const nested = fc.constantFrom('name', 'match', 'methods', 'origin', 'rewrite', 'cache', 'redirect', 'status', 'respond')
    const inCache = fc.constantFrom('defaultTtl', 'maxBody', 'bypassCookies', 'targetedFields', 'query', 'honorRequestDirectives')
    const anyValue = fc.anything({ withBigInt: true, withNullPrototype: true })
    fc.assert(
      fc.property(place, nested, inCache, anyValue, (option, inRoute, cacheOption, anything) => {
        checkConfig({ ...good, [option]: anything })
        wrongCache({ [cacheOption]: anything, key: { [cacheOption]: anything, headers: [anything], cookies: [anything] } })
        for (const { path } of checkConfig({ ...good, routes: [{ ...good.routes[0], [inRoute]: anything }] }))
          assert.match(path, /^routes\[0\]/)
      }),
    )
  })
})

describe('configWarnings', () => {
  const warnings = (routes: CdnConfig['routes'], origins: CdnConfig['origins'] = { app: 'http://a' }) =>
    configWarnings({ origins, routes }).map(mistakeLine)

  const rows: [routes: readonly string[], expected: readonly string[]][] = [
    [['/*', '/a'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['/a', '/*'], []],
    [['/a', '/a'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['/a/*', '/a/b/*'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['/a/*', '/a/*.png'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['/a/*.png', '/a/*'], []],
    [['https://a/*', '/*'], []],
    [['https://a/*', 'https://a/b'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['https://a/*', 'http://a/b'], []],
    [['//a/*', 'https://a/b'], ['routes[1]: no request gets here: routes[0] matches all of them first']],
    [['/ab*ba', '/aba'], []],
  ]
  for (const [matches, expected] of rows) {
    it(`${matches.join(' before ')}: ${expected.length === 0 ? 'both are reached' : 'only the first is reached'}`, () => {
      assert.deepEqual(warnings(matches.map((match) => ({ match, origin: 'app' }))), expected)
    })
  }

  it('tells of options that contradict each other', () => {
    const route = { match: '/*', origin: 'app' } as const
    const app = 'http://a.test'
    for (const [more, message] of [
      [
        { cache: { overrideTtl: 1, defaultTtl: 2 } },
        'routes[0].cache.defaultTtl: has no effect beside overrideTtl; leave one of them out',
      ],
      [
        { cors: true, responseHeaders: { 'access-control-allow-origin': '*' } },
        'routes[0].cors: responseHeaders set Access-Control-Allow-Origin, too; leave one of them out',
      ],
      [
        { hsts: true, responseHeaders: { 'Strict-Transport-Security': 'max-age=1' } },
        'routes[0].hsts: responseHeaders set Strict-Transport-Security, too; leave one of them out',
      ],
      [{ access: { allow: ['10.0.0.1'], deny: ['10.0.0.1'] } }, 'routes[0].access.deny: 10.0.0.1 is in allow, too; it gets 403'],
      [
        { cache: { bypassCookies: ['a'], key: { cookies: ['a'] } } },
        'routes[0].cache.key.cookies: requests with "a" go past the cache (bypassCookies); leave it out of one of them',
      ],
      [
        { keepQuery: false },
        "routes[0].keepQuery: the origin gets no query, but the key has it, so that one answer is stored many times; write key: { query: 'none' }",
      ],
      [{ keepQuery: false, cache: { key: { query: 'none' } } }, undefined],
    ] as const)
      assert.deepEqual(
        configWarnings({ origins: { app }, routes: [{ ...route, ...more }] }).map(mistakeLine),
        message ? [message] : [],
      )
  })

  it('warns of an origin that no route asks', () => {
    assert.deepEqual(warnings([{ match: '/*', respond: { status: 204 } }]), ['origins.app: no route asks it'])
  })

  it('does not warn of an origin that is a fallback', () => {
    const origins = { app: { url: 'http://a', fallback: 'spare' }, spare: 'http://b' }
    assert.deepEqual(warnings([{ match: '/*', origin: 'app' }], origins), [])
  })

  it('says why a certificate cannot be used', () => {
    const broken = certificate.replace('MIIB', 'AAAA')
    const [line = '', ...more] = wrongOrigin({ url: 'https://a', tls: { ca: certificate, cert: broken, key } })
    assert.match(line, /^origins\.app\.tls: cannot be used: ./)
    assert.deepEqual(more, [])
  })

  it('warns of a redirect that leads back to its own route, but not of one that another route takes up', () => {
    assert.deepEqual(warnings([{ match: '/old/*', redirect: '/old/new/*' }], {}), [
      'routes[0].redirect: leads back to this route, again and again',
    ])
    assert.deepEqual(
      warnings(
        [
          { match: '/home', respond: { status: 204 } },
          { match: '/*', redirect: '/home' },
        ],
        {},
      ),
      [],
    )
    assert.deepEqual(warnings([{ match: '/*', redirect: 'https://elsewhere.example/*' }], {}), [])
  })
})

describe('resolveConfig', () => {
  it('throws CDN_CONFIG_INVALID with every mistake on a line of its own', () => {
    assert.throws(
      () => resolveConfig({ origins: {}, routes: [{ match: '/*', origin: 'app' as never }], memory: '1 gb' as never }),
      (error: ConfigError) => {
        assert.equal(error.code, 'CDN_CONFIG_INVALID')
        assert.deepEqual(
          error.mistakes.map(({ path }) => path),
          ['memory', 'routes[0].origin'],
        )
        assert.equal(
          error.message,
          'the configuration has mistakes: \n  memory: "1 gb" is not a size; write "1gb"\n  routes[0].origin: no origin is called "app"',
        )
        return true
      },
    )
  })

  it('gives a route without options the default policy, and the one of the RFC when that is asked for', () => {
    const policyOf = (config: CdnConfig) => {
      const [route] = resolveConfig(config).routes
      return route?.kind === 'origin' ? route.policy : undefined
    }
    assert.deepEqual(policyOf(good), defaultPolicy)
    assert.deepEqual(policyOf({ ...good, semantics: 'rfc' }), rfcPolicy)
    assert.deepEqual(policyOf({ ...good, routes: [{ match: '/*', origin: 'app', cache: {} }] }), defaultPolicy)
    assert.deepEqual(policyOf({ ...good, routes: [{ match: '/*', origin: 'app', cache: false }] }), {
      ...defaultPolicy,
      cache: false,
    })
  })

  it('turns durations into seconds, sizes into bytes and field names into lower case', () => {
    const cache = {
      defaultTtl: '1m',
      overrideTtl: 0,
      staleWhileRevalidate: '1h',
      staleIfError: '7d',
      key: { query: ['page', 'q%5B%5D'], headers: ['Accept-Language'], cookies: ['Theme'] },
      bypassCookies: ['Session'],
      targetedFields: ['My-CDN-Cache-Control'],
      honorRequestDirectives: true,
      maxBody: '1mb',
    } as const
    const [route] = resolveConfig({ ...good, routes: [{ match: '/*', origin: 'app', cache }] }).routes
    assert.deepEqual(route?.kind === 'origin' && route.policy, {
      ...defaultPolicy,
      defaultTtl: 60,
      overrideTtl: 0,
      staleWhileRevalidate: 3600,
      staleIfError: 604_800,
      query: ['page', 'q[]'],
      selectOn: ['accept-language', 'cookie:Theme'],
      bypassCookies: ['Session'],
      targetedFields: ['my-cdn-cache-control'],
      honorRequestDirectives: true,
      maxBodyBytes: 1_048_576,
    })
  })

  it('makes routes that redirect and routes that answer themselves', () => {
    const routes = [
      { match: '/a/*', redirect: '/b/*' },
      { match: '/c', name: 'teapot', methods: ['GET'], respond: { status: 418, body: 'short and stout' } },
      { match: '/d', respond: { status: 200, headers: { 'content-type': 'text/html' }, body: '<p>' } },
    ]
    const resolved = resolveConfig({ origins: {}, routes }).routes
    assert.deepEqual(
      resolved.map(({ name, methods, kind, ...route }) => {
        const { location, status, fields, body } = route as Record<string, unknown>
        return { name, methods, kind, ...(kind === 'redirect' ? { location, status } : { status, fields, body }) }
      }),
      [
        { name: '/a/*', methods: undefined, kind: 'redirect', location: '/b/*', status: 301 },
        {
          name: 'teapot',
          methods: ['GET'],
          kind: 'respond',
          status: 418,
          fields: ['Content-Type', 'text/plain; charset=utf-8'],
          body: 'short and stout',
        },
        { name: '/d', methods: undefined, kind: 'respond', status: 200, fields: ['content-type', 'text/html'], body: '<p>' },
      ],
    )
  })

  it('uses one origin for all routes that name it, and an origin of your own as it is', () => {
    const own = { name: 'own', fetch: () => Promise.reject(new Error('not asked')) }
    const { routes, origins } = resolveConfig({
      origins: { own },
      routes: [
        { match: '/a', origin: 'own' },
        { match: '/b', origin: 'own' },
      ],
    })
    assert.deepEqual(origins, [own])
    for (const route of routes) assert.equal(route.kind === 'origin' && route.origin, own)
  })

  it('fills in the defaults that docs/config.md names', () => {
    const { name, store, log, maxRequestBodyBytes } = resolveConfig(good)
    assert.deepEqual(
      [name, store.name, store.stats().maxBytes, log, maxRequestBodyBytes],
      ['simple-cdn', 'memory', 268_435_456, undefined, 10_737_418_240],
    )
  })
})

describe('units', () => {
  // biome-ignore format: a table
  const durations: [written: unknown, seconds: number | undefined][] = [
    ['90s', 90], ['15m', 900], ['1h', 3600], ['7d', 604_800], ['1.5h', 5400], ['0s', 0], [0, 0], [2.5, 2.5],
    ['', undefined], ['s', undefined], ['1', undefined], ['1H', undefined], [' 1h', undefined], ['1h ', undefined], ['-1h', undefined], ['1e3s', undefined],
    ['1w', undefined], [-1, undefined], [Number.NaN, undefined], [Number.POSITIVE_INFINITY, undefined], [null, undefined], [['1h'], undefined], [1n, undefined],
  ]
  for (const [written, seconds] of durations) {
    it(`${typeof written} ${String(written)} is ${seconds ?? 'no'} duration`, () => assert.equal(parseDuration(written), seconds))
  }

  // biome-ignore format: a table
  const sizes: [written: unknown, bytes: number | undefined][] = [
    ['64kb', 65_536], ['512mb', 536_870_912], ['20gb', 21_474_836_480], ['1.5kb', 1536], ['0.0001kb', 0], [0, 0], [1234, 1234],
    ['', undefined], ['kb', undefined], ['1', undefined], ['1KB', undefined], ['1 kb', undefined], ['-1kb', undefined], ['1b', undefined],
    [1.5, undefined], [-1, undefined], [Number.NaN, undefined], [2 ** 53, undefined], ['999999999gb', undefined], [undefined, undefined], [{}, undefined],
  ]
  for (const [written, bytes] of sizes) {
    it(`${typeof written} ${String(written)} is ${bytes ?? 'no'} bytes`, () => assert.equal(parseSize(written), bytes))
  }
})
