// WebSockets through the program: the handshake, bytes both ways, and every way in which such a connection ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { Fields, LogEntry } from '@simple-cdn/core'
import { type ServerConfig, startServer } from 'simple-cdn'
import { WebSocket, WebSocketServer } from 'ws'
import { certificate, key } from '../../core/test/support/certificate.ts'
import { listening, rawOrigin } from '../../core/test/support/raw-origin.ts'
import { watched } from '../../core/test/support/watched.ts'
import { project } from './support/project.ts'
import { rawClient, statuses } from './support/raw-client.ts'
import { logger, temporaryFolder } from './support/served.ts'

const options = { concurrency: true, timeout: 60_000 }
const ACCEPTED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: yes\r\nX-Own: a\r\nX-Own: b\r\n\r\n'
const ask = (target = '/chat', fields = '') =>
  `GET ${target} HTTP/1.1\r\nHost: cdn.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${fields}\r\n`

/** The program's server before an origin, and what it logs. */
async function before(t: TestContext, url: string, server: ServerConfig = {}) {
  const entries: LogEntry[] = []
  const { happened, until } = watched()
  const running = await startServer({
    config: {
      origins: { app: { url, headTimeout: 5 } },
      routes: [
        { match: '/answered', respond: { status: 200, body: 'no tunnel' } },
        { match: '/old/*', origin: 'app', rewrite: '/new/*' },
        { match: '/*', origin: 'app' },
      ],
      log: [
        {
          name: 'test',
          write(entry) {
            entries.push(entry)
            happened()
          },
          flush: async () => undefined,
          close: async () => undefined,
        },
      ],
      disk: false,
    },
    folder: temporaryFolder(t),
    log: logger(() => happened()),
    host: '127.0.0.1',
    port: 0,
    ...server,
  })
  t.after(() => running.close({ graceMs: 0 }))
  const stats = async (): Promise<{ tunnels: { open: number; total: number }; listener: { connections: number } }> => {
    const response = await fetch(`${running.adminUrl}/stats`, { headers: { Authorization: `Bearer ${running.adminToken}` } })
    return (await response.json()) as never
  }
  const logged = async (count: number): Promise<LogEntry> => {
    await until(() => entries.length >= count)
    return entries[count - 1] as LogEntry
  }
  return { url: running.url, running, entries, logged, stats }
}

/** An origin that agrees, and then does what it is told with the connection. */
async function agreeing(t: TestContext, then: (socket: Socket, head: string) => void) {
  const origin = await rawOrigin(({ head, socket }) => {
    socket.write(ACCEPTED)
    socket.removeAllListeners('data')
    socket.removeAllListeners('end')
    then(socket, head)
  })
  t.after(() => origin.close())
  return origin
}

const echo = (socket: Socket): void => void socket.pipe(socket)

describe('simple-cdn start', options, () => {
  for (const scheme of ['http', 'https'] as const) {
    test(`passes WebSockets on to an origin over ${scheme}`, async (t) => {
      const server = scheme === 'http' ? createServer() : createSecureServer({ cert: certificate, key })
      const sockets = new WebSocketServer({ server, handleProtocols: () => 'chat' })
      const handshakes: { url: string | undefined; rawHeaders: Fields }[] = []
      sockets.on('connection', (socket, { url, rawHeaders }) => {
        handshakes.push({ url, rawHeaders })
        socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
      })
      const port = await listening(server)
      t.after(() => {
        sockets.close()
        server.close()
        server.closeAllConnections()
      })
      const { write, start } = project(t)
      write('origin.pem', certificate)
      write(
        'cdn.config.ts',
        `export default {
          origins: { app: '${scheme}://127.0.0.1:${port}' },
          routes: [{ match: '/chat/*', origin: 'app', rewrite: '/sockets/*' }],
          disk: false, server: { host: '127.0.0.1', port: 0 },
        }`,
      )
      const { url, stdout } = await start([], scheme === 'https' ? { NODE_EXTRA_CA_CERTS: 'origin.pem' } : {})
      const client = new WebSocket(`${url.replace('http', 'ws')}/chat/room?a=1`, ['chat', 'other'], {
        headers: { Cookie: 'who=me' },
      })
      await once(client, 'open')
      assert.equal(client.protocol, 'chat')
      for (const message of ['hello', Buffer.alloc(3_000_000, 7)]) {
        client.send(message)
        const [data, isBinary] = await once(client, 'message')
        assert.equal(isBinary, typeof message !== 'string')
        assert.ok((data as Buffer).equals(Buffer.from(message)))
      }
      client.close(1000, 'enough')
      const [code, reason] = await once(client, 'close')
      assert.deepEqual([code, String(reason)], [1000, 'enough'])

      const [handshake] = handshakes
      assert.equal(handshake?.url, '/sockets/room?a=1')
      const field = (name: string): string | undefined => {
        const at = handshake?.rawHeaders.findIndex((each) => each.toLowerCase() === name) ?? -1
        return at < 0 ? undefined : handshake?.rawHeaders[at + 1]
      }
      assert.equal(field('host'), `127.0.0.1:${port}`)
      assert.equal(field('cookie'), 'who=me')
      assert.equal(field('x-forwarded-host'), new URL(url).host)
      assert.equal(field('via'), '1.1 simple-cdn')
      assert.match(`${field('sec-websocket-protocol')}`, /^chat,\s*other$/)
      while (!stdout().includes('\n')) await once(client, 'close', { signal: AbortSignal.timeout(50) }).catch(() => undefined)
      const entry: LogEntry = JSON.parse(stdout().split('\n')[0] as string)
      assert.deepEqual([entry.status, entry.complete, entry.cache.reason, entry.error], [101, true, 'upgrade', undefined])
      assert.ok(entry.bytes > 3_000_000)
    })
  }
})

describe('a handshake', options, () => {
  test('reaches the origin, and its 101 the client, with all their fields', async (t) => {
    const origin = await agreeing(t, (socket) => socket.write('at once'))
    const { url } = await before(t, origin.url)
    const client = await rawClient(
      t,
      url,
      `${ask('/old/x', 'Sec-WebSocket-Extensions: permessage-deflate\r\nX-Forwarded-For: 9.9.9.9\r\n')}early`,
    )
    const received = await client.until('at once')
    assert.match(received, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
    for (const line of ['Sec-WebSocket-Accept: yes', 'X-Own: a', 'X-Own: b', 'Connection: Upgrade', 'Upgrade: websocket'])
      assert.equal(received.split(`\r\n${line}\r\n`).length, 2, line)
    const [head = ''] = origin.heads
    assert.match(head, /^GET \/new\/x HTTP\/1\.1\r\n/)
    for (const line of [
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Extensions: permessage-deflate',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'X-Forwarded-For: 127.0.0.1',
    ])
      assert.ok(head.includes(`\r\n${line}\r\n`), line)
    assert.ok(!head.includes('9.9.9.9'))
  })

  test('may come over TLS', async (t) => {
    const origin = await agreeing(t, echo)
    const folder = temporaryFolder(t)
    const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    writeFileSync(tls.cert, certificate)
    writeFileSync(tls.key, key)
    const { url, logged } = await before(t, origin.url, { tls })
    const client = connectTls({ port: Number(new URL(url).port), host: '127.0.0.1', ca: certificate })
    t.after(() => client.destroy())
    let received = ''
    client.on('data', (chunk) => {
      received += chunk
    })
    client.write(`${ask()}there and back`)
    while (!received.endsWith('there and back')) await once(client, 'data')
    client.end()
    const entry = await logged(1)
    assert.deepEqual([entry.status, entry.url], [101, 'https://cdn.test/chat'])
  })

  test('may be followed by bytes before it is answered', async (t) => {
    const origin = await agreeing(t, echo)
    const { url } = await before(t, origin.url)
    const client = await rawClient(t, url, `${ask()}early`)
    assert.match(await client.until('early'), /\r\n\r\nearly$/)
  })

  const refusals: readonly [what: string, answer: string, status: number][] = [
    ['another answer', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno', 403],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n', 502],
    ['what is not HTTP', 'what?\r\n\r\n', 502],
  ]
  for (const [what, answer, status] of refusals) {
    test(`that is answered with ${what} gets ${status}, and the connection ends`, async (t) => {
      const origin = await rawOrigin(answer)
      t.after(() => origin.close())
      const { url, logged, stats } = await before(t, origin.url)
      const client = await rawClient(t, url, ask())
      const received = await client.end()
      assert.deepEqual(statuses(received), [status])
      if (status === 403) assert.match(received, /\r\nConnection: close\r\n.*\r\nno$/s)
      const entry = await logged(1)
      assert.deepEqual([entry.status, entry.complete, entry.cache.reason], [status, true, 'upgrade'])
      assert.deepEqual((await stats()).tunnels, { open: 0, total: 0 })
    })
  }

  test('on a route that answers itself gets that answer', async (t) => {
    const { url } = await before(t, 'http://127.0.0.1:1')
    const client = await rawClient(t, url, ask('/answered'))
    assert.match(await client.end(), /^HTTP\/1\.1 200 .*no tunnel$/s)
  })

  test('whose origin is not there gets 502', async (t) => {
    const { url } = await before(t, 'http://127.0.0.1:1')
    const client = await rawClient(t, url, ask())
    assert.match(await client.end(), /^HTTP\/1\.1 502 .*CDN_ORIGIN_UNREACHABLE/s)
  })

  test('for any other protocol is no handshake', async (t) => {
    const origin = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
    t.after(() => origin.close())
    const { url } = await before(t, origin.url)
    const h2c =
      'GET / HTTP/1.1\r\nHost: cdn.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'
    const client = await rawClient(t, url, h2c)
    const received = await client.until((all) => /plain$|501 this/.test(all))
    if (received.startsWith('HTTP/1.1 501')) return
    assert.match(received, /^HTTP\/1\.1 200 /)
    assert.ok(!/upgrade|http2-settings/i.test(origin.heads[0] ?? ''))
  })
})

describe('a tunnel', options, () => {
  test('passes an end on, and is over when both sides have ended', async (t) => {
    const origin = await agreeing(t, (socket) => {
      let received = ''
      socket.on('data', (chunk) => {
        received += chunk
      })
      socket.on('end', () => socket.end(`all of it: ${received}`))
    })
    const { url, logged, stats } = await before(t, origin.url)
    const client = await rawClient(t, url, ask(), { halfOpen: true })
    await client.until('X-Own: b')
    assert.deepEqual((await stats()).tunnels, { open: 1, total: 1 })
    client.send('some')
    client.socket.end('thing')
    assert.match(await client.end(), /all of it: something$/)
    const entry = await logged(1)
    assert.deepEqual([entry.status, entry.complete, entry.error], [101, true, undefined])
    assert.equal(entry.bytes, 'all of it: something'.length)
    assert.deepEqual((await stats()).tunnels, { open: 0, total: 1 })
  })

  test('ends when the client has gone', async (t) => {
    const origin = await agreeing(t, echo)
    const { url, logged } = await before(t, origin.url)
    const client = await rawClient(t, url, ask())
    await client.until('X-Own: b')
    client.reset()
    assert.equal((await logged(1)).error?.code, 'CDN_CLIENT_GONE')
    await origin.until(() => origin.open() === 0)
  })

  test('ends when the origin has gone, after what it has said', async (t) => {
    const origin = await agreeing(t, (socket) => {
      socket.write('last words')
      socket.on('data', () => socket.resetAndDestroy())
    })
    const { url, logged } = await before(t, origin.url)
    const client = await rawClient(t, url, ask())
    await client.until('last words')
    client.send('go')
    await client.end()
    assert.equal((await logged(1)).error?.code, 'CDN_ORIGIN_BROKE_OFF')
  })

  test('ends when neither side says anything for too long, and not before', async (t) => {
    const origin = await agreeing(t, echo)
    const { url, logged } = await before(t, origin.url, { tunnelTimeout: 0.5 })
    const client = await rawClient(t, url, ask())
    await client.until('X-Own: b')
    for (let ping = 0; ping < 5; ping++) {
      client.send(`ping ${ping}`)
      await client.until(`ping ${ping}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    assert.equal(client.ended(), false)
    await client.end()
    assert.equal((await logged(1)).error?.code, 'CDN_TUNNEL_SILENT')
  })

  test('is as slow as the slower side, and holds little on the way', async (t) => {
    let sent = 0
    const origin = await agreeing(t, (socket) => {
      const more = (): void => {
        while (!socket.destroyed && sent < 512 * 1024 * 1024) {
          sent += 1024 * 1024
          if (!socket.write(Buffer.alloc(1024 * 1024))) return void socket.once('drain', more)
        }
      }
      more()
    })
    const { url } = await before(t, origin.url)
    const client = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
    t.after(() => client.destroy())
    client.write(ask())
    await once(client, 'data')
    client.pause()
    for (let before = -1; before !== sent; ) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken for nobody`)
  })

  test('has until the end of the grace when the server stops', async (t) => {
    const origin = await agreeing(t, echo)
    const { url, running, logged } = await before(t, origin.url)
    const client = await rawClient(t, url, ask())
    await client.until('X-Own: b')
    const closing = running.close({ graceMs: 700 })
    client.send('still there')
    await client.until('still there')
    await closing
    assert.equal((await logged(1)).error?.code, 'CDN_CLIENT_GONE')
  })
})
