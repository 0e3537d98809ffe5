// What is no HTTP: refused, with the connection ended, and nothing after it believed (RFC 9112 §2.2, §3, §5, §6, §7, §9.6, §11.2).
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type RawClient, rawClient, statuses } from './support/raw-client.ts'
import { type Served, type ServeOptions, serve } from './support/served.ts'

const HOST = 'Host: cdn.test\r\n'
const options = { timeout: 20_000 }
/** Comes right behind what is malformed, in the same packet: whoever answers it has been talked into a second request. */
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`
const CHUNKED = `POST /upload HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`

const get = (field: string) => `GET / HTTP/1.1\r\n${HOST}${field}\r\n`
const line = (requestLine: string) => `${requestLine}\r\n${HOST}\r\n`
const host = (value: string) => `GET / HTTP/1.1\r\nHost:${value}\r\n\r\n`
const post = (fields: string, body = 'hello') => `POST /upload HTTP/1.1\r\n${HOST}${fields}\r\n${body}`
const chunks = (body: string) => `${CHUNKED}${body}`

/** Malformed before any body: no origin hears of it. */
const heads: readonly [what: string, text: string, status: number][] = [
  ['a folded field', get('X: a\r\n b\r\n'), 400],
  ['a field folded with a tab', get('X: a\r\n\tb\r\n'), 400],
  ['white space before the first field', `GET / HTTP/1.1\r\n X: a\r\n${HOST}\r\n`, 400],
  ['a bare CR in a field', get('X: a\rb\r\n'), 400],
  ['a bare CR at the end of the request line', `GET / HTTP/1.1\r${HOST}\r\n`, 400],
  ['a bare LF at the end of the request line', `GET / HTTP/1.1\n${HOST}\r\n`, 400],
  ['a bare LF at the end of a field', get('X: a\n'), 400],
  ['a bare LF as the empty line', `GET / HTTP/1.1\r\n${HOST}\n`, 400],
  ['NUL in a field value', get('X: a\0b\r\n'), 400],
  ['NUL in a field name', get('X\0: a\r\n'), 400],
  ['NUL in the target', line('GET /\0 HTTP/1.1'), 400],
  ['a control character in a field value', get('X: a\x01b\r\n'), 400],
  ['DEL in a field value', get('X: a\x7fb\r\n'), 400],
  ['a space before the colon', get('X : a\r\n'), 400],
  ['a tab before the colon', get('X\t: a\r\n'), 400],
  ['a space before the colon of Host', 'GET / HTTP/1.1\r\nHost : cdn.test\r\n\r\n', 400],
  ['a field without a name', get(': a\r\n'), 400],
  ['a field without a colon', get('Xa\r\n'), 400],
  ['a field name that is no token', get('X(a): a\r\n'), 400],

  ['Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'), 400],
  ['two different lengths', post('Content-Length: 5\r\nContent-Length: 6\r\n'), 400],
  ['the same length twice', post('Content-Length: 5\r\nContent-Length: 5\r\n'), 400],
  ['a list of lengths', post('Content-Length: 5, 5\r\n'), 400],
  ['a negative length', post('Content-Length: -5\r\n'), 400],
  ['a length with a plus', post('Content-Length: +5\r\n'), 400],
  ['a hexadecimal length', post('Content-Length: 0x5\r\n'), 400],
  ['a length in two parts', post('Content-Length: 5 5\r\n'), 400],
  ['an empty length', post('Content-Length:\r\n'), 400],
  ['a length beyond 64 bits', post('Content-Length: 18446744073709551621\r\n'), 400],

  ['HTTP/1.0 with a transfer coding', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a transfer coding that nobody knows', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 501],
  ['a transfer coding in quotes', post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'), 501],
  ['the identity coding', post('Transfer-Encoding: identity\r\n'), 501],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'), 501],
  ['a coding after chunked', post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'), 400],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'), 400],
  ['chunked on two lines', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['chunked and identity', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'), 400],
  ['a folded transfer coding', post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n'), 400],
  ['a transfer coding behind a control character', post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'), 400],
  ['an empty transfer coding', post('Transfer-Encoding:\r\n', '0\r\n\r\n'), 400],
  ['a space before the colon of Transfer-Encoding', post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'), 400],

  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', get('Host: other.test\r\n'), 400],
  ['the same Host twice', get(HOST), 400],
  ['an empty Host', host(''), 400],
  ['a list of Hosts', host(' a.test, b.test'), 400],
  ['a Host with a path', host(' cdn.test/'), 400],
  ['a Host with a user', host(' user@cdn.test'), 400],
  ['a Host with a scheme', host(' http://cdn.test'), 400],
  ['a Host with a port that is no number', host(' cdn.test:http'), 400],
  ['a Host with a port that no machine has', host(' cdn.test:999999'), 400],
  ['a Host outside of ASCII', host(' \xe9.test'), 400],
  ['a Host with half a bracket', host(' [::1'), 400],
  ['a Host whose brackets hold no address', host(' [::1::2]'), 400],

  ['a method in lower case', line('get / HTTP/1.1'), 400],
  ['a method that is no token', line('G(T / HTTP/1.1'), 400],
  ['a method that Node does not know', line('BREW / HTTP/1.1'), 400],
  ['TRACE', line('TRACE / HTTP/1.1'), 501],
  ['CONNECT', line('CONNECT origin.test:443 HTTP/1.1'), 501],
  ['CONNECT with a body', `CONNECT origin.test:443 HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`, 501],

  ['no target', line('GET HTTP/1.1'), 400],
  ['a target that is no path', line('GET index.html HTTP/1.1'), 400],
  ['a target with a space', line('GET /a b HTTP/1.1'), 400],
  ['a target with a fragment', line('GET /a#b HTTP/1.1'), 400],
  ['a target with a backslash', line('GET /a\\b HTTP/1.1'), 400],
  ['a target outside of ASCII', line('GET /\xe9 HTTP/1.1'), 400],
  ['a target with a control character', line('GET /\x01 HTTP/1.1'), 400],
  ['a target with DEL', line('GET /\x7f HTTP/1.1'), 400],
  ['a target of another scheme', line('GET ftp://cdn.test/ HTTP/1.1'), 400],
  ['a target without a host', line('GET http:///a HTTP/1.1'), 400],
  ['a target with a user', line('GET http://user@cdn.test/ HTTP/1.1'), 400],
  ['a target with a port that no machine has', line('GET http://cdn.test:999999/ HTTP/1.1'), 400],
  ['the target of CONNECT', line('GET cdn.test:80 HTTP/1.1'), 400],
  ['the asterisk for something else than OPTIONS', line('GET * HTTP/1.1'), 400],
  ['a tab in the request line', line('GET\t/ HTTP/1.1'), 400],

  ['HTTP/2.0', line('GET / HTTP/2.0'), 505],
  ['HTTP/1.2', line('GET / HTTP/1.2'), 505],
  ['HTTP/0.9', line('GET / HTTP/0.9'), 505],
  ['a version of too many digits', line('GET / HTTP/1.10'), 400],
  ['half a version', line('GET / HTTP/1'), 400],
  ['a version in lower case', line('GET / http/1.1'), 400],
  ['a space after the version', line('GET / HTTP/1.1 '), 400],
  ['another protocol', line('GET / HTTX/1.1'), 400],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],

  ['an expectation that nobody meets', post('Expect: 200-ok\r\nContent-Length: 5\r\n'), 417],
  ['a large field', get(`X: ${'a'.repeat(3000)}\r\n`), 431],
  ['many fields, too large together', get(`X-Some-Field: some value\r\n`.repeat(100)), 431],
  ['a large target', line(`GET /${'a'.repeat(3000)} HTTP/1.1`), 431],
  ['more fields than anyone needs', get('a:\r\n'.repeat(256)), 431],
]

/** Malformed within the body: an origin may have been asked already, but never gets the request as a whole. */
const bodies: readonly [what: string, text: string, status: number][] = [
  ['a chunk size that is no number', chunks('xyz\r\nhello\r\n0\r\n\r\n'), 400],
  ['a negative chunk size', chunks('-5\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk size with a prefix', chunks('0x5\r\nhello\r\n0\r\n\r\n'), 400],
  ['a space after a chunk size', chunks('5 \r\nhello\r\n0\r\n\r\n'), 400],
  ['a space before a chunk size', chunks(' 5\r\nhello\r\n0\r\n\r\n'), 400],
  ['no chunk size', chunks('\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk size beyond 64 bits', chunks('10000000000000005\r\nhello\r\n0\r\n\r\n'), 400],
  ['a bare LF after a chunk size', chunks('5\nhello\r\n0\r\n\r\n'), 400],
  ['a bare CR after a chunk size', chunks('5\rhello\r\n0\r\n\r\n'), 400],
  ['a bare LF after a chunk', chunks('5\r\nhello\n0\r\n\r\n'), 400],
  ['nothing after a chunk', chunks('5\r\nhello0\r\n\r\n'), 400],
  ['a chunk longer than its size', chunks('5\r\nhello world\r\n0\r\n\r\n'), 400],
  ['a bare LF in a chunk extension', chunks('5;a\nb\r\nhello\r\n0\r\n\r\n'), 400],
  ['a bare CR in a chunk extension', chunks('5;a\rb\r\nhello\r\n0\r\n\r\n'), 400],
  ['an endless chunk extension', chunks(`5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`), 413],
  ['a folded trailer', chunks('5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n'), 400],
  ['a trailer that names a length', chunks('5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n'), 400],
  ['endless trailers', chunks(`5\r\nhello\r\n0\r\n${'X-Some-Field: some value\r\n'.repeat(200)}\r\n`), 431],
]

interface Sent {
  readonly client: RawClient
  readonly served: Served
  /** What the origin got to the end of. */
  readonly whole: readonly string[]
}

async function send(t: TestContext, text: string, options: ServeOptions = {}): Promise<Sent> {
  const whole: string[] = []
  const served = await serve(t, {
    maxHead: '2kb',
    answer: ({ method, target }) => {
      whole.push(`${method} ${target}`)
      return { headers: { 'Cache-Control': 'no-store' }, body: `${method} ${target}` }
    },
    ...options,
  })
  return { client: await rawClient(t, served.url, text), served, whole }
}

/** One answer, the last on its connection. */
function assertRefused(received: string, status: number): void {
  assert.deepEqual(statuses(received), [status], received)
  assert.match(received, /\r\nConnection: close\r\n/)
  assert.match(received, /\r\nCache-Control: no-store\r\n/)
}

describe('refuses, and ends the connection after', () => {
  for (const [what, text, status] of heads) {
    test(what, options, async (t) => {
      const { client, served } = await send(t, text + SMUGGLED)
      assertRefused(await client.end(), status)
      assert.deepEqual(served.origin.requests, [])
      assert.equal((await served.figures()).malformed, 1)
    })
  }

  for (const [what, text, status] of bodies) {
    test(what, options, async (t) => {
      const { client, served, whole } = await send(t, text + SMUGGLED)
      assertRefused(await client.end(), status)
      assert.deepEqual(whole, [])
      assert.ok(served.origin.requests.every(({ target }) => target === '/upload'))
      assert.equal((await served.figures()).malformed, 1)
    })
  }
})

describe('takes, as the standard wants it', () => {
  const requests: readonly [what: string, text: string, asked: string][] = [
    ['empty lines before a request', `\r\n\r\n${line('GET /a HTTP/1.1')}`, 'GET /a'],
    ['a target with its host, which outweighs Host', line('GET http://other.test/a HTTP/1.1'), 'GET /a'],
    ['a target with its host and nothing else', line('GET http://other.test HTTP/1.1'), 'GET /'],
    ['a Host with a port', 'GET /a HTTP/1.1\r\nHost: cdn.test:8080\r\n\r\n', 'GET /a'],
    ['an IPv6 address as Host', 'GET /a HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n', 'GET /a'],
    ['HTTP/1.0 without Host', 'GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'GET /a'],
    ['field values outside of ASCII', 'GET /a HTTP/1.1\r\nHost: cdn.test\r\nX: \xe9\r\n\r\n', 'GET /a'],
    ['a GET with a body', `GET /a HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`, 'GET /a'],
    ['chunk extensions', chunks('5;a=b;c="d"\r\nhello\r\n0\r\n\r\n'), 'POST /upload'],
    ['trailers', chunks('5\r\nhello\r\n0\r\nX: a\r\n\r\n'), 'POST /upload'],
    [
      'chunk sizes of either case, with zeros before them',
      chunks('00a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n'),
      'POST /upload',
    ],
  ]
  for (const [what, text, asked] of requests) {
    test(what, options, async (t) => {
      const { client, whole } = await send(t, text + SMUGGLED.replace('smuggled', 'next'))
      assert.deepEqual(statuses(await client.until('GET /next')), [200, 200])
      assert.deepEqual(whole.toSorted(), [asked, 'GET /next'].toSorted())
    })
  }

  test('an upgrade, as if it had not been asked for', async (t) => {
    const { client } = await send(t, get('Connection: upgrade\r\nUpgrade: websocket\r\n'))
    assert.deepEqual(statuses(await client.until('GET /')), [200])
  })

  test('OPTIONS of the server as a whole, which no origin is asked for', async (t) => {
    const { client, whole } = await send(t, line('OPTIONS * HTTP/1.1') + SMUGGLED.replace('smuggled', 'next'))
    assert.deepEqual(statuses(await client.until('GET /next')), [204, 200])
    assert.deepEqual(whole, ['GET /next'])
  })
})

describe('a body that is too large', options, () => {
  const small = { cache: { maxRequestBody: 100 } }

  test('is refused by its length alone', async (t) => {
    const { client, whole } = await send(t, post('Content-Length: 101\r\n', ''), small)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 413 /)
    assert.deepEqual(whole, [])
  })

  test('is refused by its length before the client sends it', async (t) => {
    const { client } = await send(t, post('Content-Length: 101\r\nExpect: 100-continue\r\n', ''), small)
    assert.deepEqual(statuses(await client.end()), [413])
  })

  test('does not come between the requests around it', async (t) => {
    const text = post('Content-Length: 101\r\n', 'a'.repeat(101)) + SMUGGLED.replace('smuggled', 'next')
    const { client, whole } = await send(t, text, small)
    assert.deepEqual(statuses(await client.until('GET /next')), [413, 200])
    assert.deepEqual(whole, ['GET /next'])
  })

  test('is refused in the middle when it comes in chunks', async (t) => {
    const { client, whole } = await send(t, chunks(`32\r\n${'a'.repeat(50)}\r\n`.repeat(3)), small)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 413 /)
    assert.deepEqual(whole, [])
  })

  test('is not waited for for ever', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { client } = await send(t, post('Content-Length: 101\r\n', 'a'), small)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 413 /)
    t.mock.timers.tick(5_000)
    t.mock.timers.reset()
    await client.end()
  })

  test('is one byte larger than the largest that is taken', async (t) => {
    const { client, whole } = await send(t, post('Content-Length: 100\r\n', 'a'.repeat(100)), small)
    assert.match(await client.until('POST /upload'), /^HTTP\/1\.1 200 /)
    assert.deepEqual(whole, ['POST /upload'])
  })
})
