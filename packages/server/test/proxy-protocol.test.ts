// The PROXY protocol: who has made a connection, told by a proxy that is trusted; and proxies that tell it in fields.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { certificate, key } from '../../core/test/support/certificate.ts'
import { parseProxyHeader } from '../src/proxy-protocol.ts'
import { project } from './support/project.ts'
import { rawClient, statuses } from './support/raw-client.ts'
import { serve, temporaryFolder } from './support/served.ts'

const GET = 'GET / HTTP/1.1\r\nHost: cdn.test\r\n\r\n'

function version2(command: number, family: number, rest: readonly number[]): Buffer {
  const head = Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
    Buffer.from([0x20 | command, family, rest.length >> 8, rest.length & 255]),
  ])
  return Buffer.concat([head, Buffer.from(rest)])
}

const V4 = version2(1, 0x11, [198, 51, 100, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80])
const V6 = version2(1, 0x21, [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(0), 0x12, 0x34, 0, 80, 3, 0, 1, 9])
const LOCAL = version2(0, 0, [])

describe('a header of the PROXY protocol', () => {
  const rows: readonly [what: string, bytes: string | Buffer, read: ReturnType<typeof parseProxyHeader>][] = [
    [
      'version 1, IPv4',
      'PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\nGET',
      { length: 43, source: { address: '198.51.100.7', port: 4660 } },
    ],
    ['version 1, IPv6', 'PROXY TCP6 2001:db8::7 ::1 4660 80\r\n', { length: 36, source: { address: '2001:db8::7', port: 4660 } }],
    ['version 1, of nobody', 'PROXY UNKNOWN and more\r\n', { length: 24, source: undefined }],
    ['version 1, not all there', 'PROXY TCP4 198.51', 'more'],
    ['nothing yet', '', 'more'],
    ['version 1, another family', 'PROXY TCP4 ::1 ::1 1 2\r\n', 'invalid'],
    ['version 1, no port', 'PROXY TCP4 1.2.3.4 1.2.3.4 x 2\r\n', 'invalid'],
    ['version 1, too long', `PROXY TCP4 ${'1'.repeat(120)}`, 'invalid'],
    ['no header', GET, 'invalid'],
    ['version 2, IPv4', V4, { length: 28, source: { address: '198.51.100.7', port: 4660 } }],
    ['version 2, IPv6, with an extension', V6, { length: 56, source: { address: '2001:db8::7', port: 4660 } }],
    ['version 2, of the proxy itself', LOCAL, { length: 16, source: undefined }],
    ['version 2, another family', version2(1, 0x31, [1, 2]), { length: 18, source: undefined }],
    ['version 2, too short for its family', version2(1, 0x11, [1, 2]), 'invalid'],
    ['version 2, not all there', V4.subarray(0, 20), 'more'],
    ['version 2, its beginning', V4.subarray(0, 3), 'more'],
    ['version 3', Buffer.from([...V4.subarray(0, 12), 0x31, 0x11, 0, 0]), 'invalid'],
    ['version 2, far too long', Buffer.from([...V4.subarray(0, 12), 0x21, 0x11, 0xff, 0xff]), 'invalid'],
  ]
  for (const [what, bytes, read] of rows) {
    test(`${what} is ${typeof read === 'string' ? read : 'read'}`, () => {
      assert.deepEqual(parseProxyHeader(Buffer.from(bytes as string, 'latin1')), read)
    })
  }
})

describe('a connection that begins with it', { concurrency: true, timeout: 30_000 }, () => {
  const behind = { trustedProxies: ['127.0.0.1'] } as const

  test('is its client’s, for all requests on it, however the header arrives', async (t) => {
    const served = await serve(t, { cache: behind, proxyProtocol: true })
    for (const [bytes, address] of [
      [V4, '198.51.100.7'],
      [V6, '2001:db8::7'],
      [Buffer.from('PROXY TCP4 198.51.100.9 127.0.0.1 4660 80\r\n'), '198.51.100.9'],
      [LOCAL, '127.0.0.1'],
    ] as const) {
      const before = served.entries.length
      const client = await rawClient(t, served.url)
      // Its word about others does not count: it is no trusted one.
      const first = GET.replace('\r\n\r\n', '\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n')
      if (address === '2001:db8::7') {
        for (const byte of bytes) {
          client.socket.write(Buffer.from([byte]))
          await served.turns()
        }
        client.send(first)
      } else client.socket.write(Buffer.concat([bytes, Buffer.from(first)]))
      await client.until('GET /')
      client.send(GET)
      await client.until((received) => statuses(received).length === 2)
      await served.until(() => served.entries.length === before + 2)
      const addresses = served.entries.slice(before).map(({ clientAddress }) => clientAddress)
      assert.deepEqual(addresses, address === '127.0.0.1' ? ['6.6.6.6', address] : [address, address])
    }
  })

  test('may be for TLS, over HTTP/1.1 and HTTP/2', async (t) => {
    const folder = temporaryFolder(t)
    const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    writeFileSync(tls.cert, certificate)
    writeFileSync(tls.key, key)
    const served = await serve(t, { cache: behind, proxyProtocol: true, tls })
    const announced = (): Socket => {
      const socket = connect({ port: Number(new URL(served.url).port), host: '127.0.0.1' })
      t.after(() => socket.destroy())
      socket.write(V4)
      return socket
    }
    const one = connectTls({ socket: announced(), host: '127.0.0.1', ca: certificate })
    one
      .on('error', () => undefined)
      .resume()
      .write(GET)
    await served.until(() => served.origin.requests.length === 1)
    const two = connectHttp2(served.url, {
      createConnection: () => connectTls({ socket: announced(), host: '127.0.0.1', ca: certificate, ALPNProtocols: ['h2'] }),
    })
    two.on('error', () => undefined)
    t.after(() => two.destroy())
    two.request({ ':path': '/' }).resume()
    await served.until(() => served.entries.length === 2)
    assert.deepEqual(
      served.entries.map(({ httpVersion, clientAddress }) => [httpVersion, clientAddress]),
      [
        ['1.1', '198.51.100.7'],
        ['2.0', '198.51.100.7'],
      ],
    )
    one.destroy()
  })

  test('ends when there is no header, or none in time, and that is counted', async (t) => {
    const served = await serve(t, { cache: behind, proxyProtocol: true, headTimeout: 0.3 })
    const without = await rawClient(t, served.url, GET)
    assert.equal(await without.end(), '')
    const late = await rawClient(t, served.url, 'PROXY TCP4')
    assert.equal(await late.end(), '')
    assert.equal((await served.figures()).failedHandshakes, 2)
    assert.deepEqual(served.origin.requests, [])
  })

  test('is malformed when whoever made it is not trusted', async (t) => {
    const served = await serve(t, { cache: { trustedProxies: ['10.0.0.1'] }, proxyProtocol: true })
    const stranger = await rawClient(t, served.url, `PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\n${GET}`)
    assert.deepEqual(statuses(await stranger.end()), [400])
    const plain = await rawClient(t, served.url, GET)
    assert.deepEqual(statuses(await plain.until('GET /')), [200])
    await served.until(() => served.entries.length === 1)
    assert.equal(served.entries[0]?.clientAddress, '127.0.0.1')
  })

  test('keeps the limits of HTTP/1.1', async (t) => {
    const served = await serve(t, { cache: behind, proxyProtocol: true, headTimeout: 0.3, maxHead: '1kb' })
    const slow = await rawClient(t, served.url, `PROXY UNKNOWN\r\n${GET.slice(0, 20)}`)
    assert.deepEqual(statuses(await slow.end()), [408])
    const large = await rawClient(
      t,
      served.url,
      `PROXY UNKNOWN\r\n${GET.replace('\r\n\r\n', `\r\nX: ${'x'.repeat(2_000)}\r\n\r\n`)}`,
    )
    assert.deepEqual(statuses(await large.end()), [431])
  })

  test('needs somebody to trust', async (t) => {
    const { run } = project(t, {
      'cdn.config.json': JSON.stringify({
        origins: {},
        routes: [{ match: '/*', respond: { status: 204 } }],
        server: { proxyProtocol: true },
      }),
    })
    const { code, stderr } = await run(['check']).ended
    assert.deepEqual(
      [code, stderr],
      [
        1,
        'simple-cdn: cdn.config.json has a mistake:\n  line 1: server.proxyProtocol: is for connections of trustedProxies, and there are none; name them\n',
      ],
    )
  })
})
