// Heads of requests that are beyond doubt, and those that are left to a parser that knows more.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readRequestHead } from '../../src/http/request-head.ts'

const HOST = 'Host: site.test\r\n'
const get = (fields: string, line = 'GET /a HTTP/1.1'): string => `${line}\r\n${fields}\r\n`

describe('a head is read', () => {
  const read: Readonly<Record<string, string>> = {
    'as short as it can be': get(HOST),
    'for HEAD': get(HOST, 'HEAD /a HTTP/1.1'),
    'with a query and every character that a target may have': get(HOST, 'GET /!"$%&\'()*+,-.:;<=>?@[]^_`{|}~ HTTP/1.1'),
    'with a port': get('Host: 127.0.0.1:8080\r\n'),
    'without a space after the colon': get('Host:site.test\r\nAccept:*/*\r\n'),
    'with bytes beyond ASCII and tabs inside a value': get(`${HOST}X-Name: M\xfcller\tund\xa0S\xf6hne\r\n`),
    'with a value that is empty': get(`${HOST}X-Empty:\r\nX-Blank: \r\n`),
    'that says what is so anyway': get(`${HOST}Connection: Keep-Alive\r\n`),
  }
  for (const [name, text] of Object.entries(read))
    it(name, () => {
      const head = readRequestHead(text, 0)
      assert.equal(head?.end, text.length)
    })

  it('into its method, its target, its host and its fields as they are spelled, in order', () => {
    assert.deepEqual(readRequestHead(get('hOST: site.test\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n'), 0), {
      method: 'GET',
      target: '/a',
      host: 'site.test',
      fields: ['hOST', 'site.test', 'X-B', '1', 'x-a', '2', 'X-B', '3'],
      end: 60,
    })
  })

  it('wherever it begins, one after the other', () => {
    const text = get(HOST) + get(HOST, 'HEAD /b HTTP/1.1')
    const first = readRequestHead(text, 0)
    const second = readRequestHead(text, first?.end ?? 0)
    assert.deepEqual([first?.target, second?.target, second?.end], ['/a', '/b', text.length])
  })
})

describe('a head is left to others', () => {
  const left: Readonly<Record<string, string>> = {
    'not being there': '',
    'in the middle of its line': 'GET /a HT',
    'in the middle of a field': `GET /a HTTP/1.1\r\n${HOST}Acc`,
    'before its last line feed': `GET /a HTTP/1.1\r\n${HOST}\r`,
    'for another method': get(HOST, 'POST /a HTTP/1.1'),
    'for a method in lower case': get(HOST, 'get /a HTTP/1.1'),
    'for HTTP/1.0': get(HOST, 'GET /a HTTP/1.0'),
    'for HTTP/1.2': get(HOST, 'GET /a HTTP/1.2'),
    'after an empty line': `\r\n${get(HOST)}`,
    'with two spaces in its line': get(HOST, 'GET  /a HTTP/1.1'),
    'with a whole URL for a target': get(HOST, 'GET http://site.test/a HTTP/1.1'),
    'with an asterisk for a target': get(HOST, 'GET * HTTP/1.1'),
    'with a fragment': get(HOST, 'GET /a#b HTTP/1.1'),
    'with a backslash': get(HOST, 'GET /a\\b HTTP/1.1'),
    'with bytes beyond ASCII in its target': get(HOST, 'GET /\xfc HTTP/1.1'),
    'without a Host': get('Accept: */*\r\n'),
    'with two Hosts': get(`${HOST}${HOST}`),
    'with a Host that is none': get('Host: site.test/a\r\n'),
    'with a Host that has a user': get('Host: me@site.test\r\n'),
    'with an IPv6 address for a Host': get('Host: [::1]\r\n'),
    'with lines that end with a line feed alone': 'GET /a HTTP/1.1\nHost: site.test\n\n',
    'with a line feed alone in a value': get(`${HOST}A: b\nC: d\r\n`),
    'with a carriage return in a value': get(`${HOST}A: b\rc\r\n`),
    'with a NUL in a value': get(`${HOST}A: b\0c\r\n`),
    'with a value over two lines': get(`${HOST}A: b\r\n c\r\n`),
    'with a space before a colon': get(`${HOST}A : b\r\n`),
    'with a space before a name': get(`${HOST} A: b\r\n`),
    'with two spaces before a value': get(`${HOST}A:  b\r\n`),
    'with a space after a value': get(`${HOST}A: b \r\n`),
    'with no name': get(`${HOST}: b\r\n`),
    'with no colon': get(`${HOST}A\r\n`),
    'with a body': get(`${HOST}Content-Length: 1\r\n`),
    'with a body of no length': get(`${HOST}content-length: 0\r\n`),
    'with a body in chunks': get(`${HOST}Transfer-Encoding: chunked\r\n`),
    'that expects something': get(`${HOST}EXPECT: 100-continue\r\n`),
    'that asks for another protocol': get(`${HOST}Upgrade: websocket\r\n`),
    'that ends the connection': get(`${HOST}Connection: close\r\n`),
    'that names fields of the connection': get(`${HOST}Connection: keep-alive, x-mine\r\n`),
    'that speaks to a proxy of old': get(`${HOST}Proxy-Connection: close\r\n`),
    'with more fields than anybody needs': get(HOST + 'A: b\r\n'.repeat(100)),
  }
  for (const [name, text] of Object.entries(left))
    it(name, () => {
      assert.equal(readRequestHead(text, 0), undefined)
    })
})
