// What is no page: uploads, events, answers that wait, fields after a body, gRPC-Web. They pass as they are, and when they come.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { certificate, key } from '../../core/test/support/certificate.ts'
import { listening } from '../../core/test/support/raw-origin.ts'
import { watched } from '../../core/test/support/watched.ts'
import { project } from './support/project.ts'
import { rawClient } from './support/raw-client.ts'
import { temporaryFolder } from './support/served.ts'

const options = { concurrency: 2, timeout: 120_000 }
const MB = 1024 * 1024

/** `simple-cdn start` before an origin that a test answers for. */
async function before(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void, server: object = {}) {
  const origin = createServer(answer)
  const port = await listening(origin)
  t.after(() => origin.close().closeAllConnections())
  const { start, folder } = project(t, {
    'cdn.config.json': JSON.stringify({
      origins: { app: `http://127.0.0.1:${port}` },
      routes: [{ match: '/*', origin: 'app', cache: { defaultTtl: '1m' } }],
      memory: '256mb',
      disk: false,
      server: { host: '127.0.0.1', port: 0, ...server },
    }),
  })
  return { ...(await start()), folder }
}

describe('simple-cdn start passes on', options, () => {
  test('an upload of any size, in little memory', async (t) => {
    const SIZE = 384 * MB
    let received = 0
    const { url, child } = await before(t, (asked, response) => {
      asked.on('data', (chunk: Buffer) => {
        received += chunk.byteLength
      })
      asked.on('end', () => response.writeHead(201).end('taken'))
    })
    const rss = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1]) * 1024
    const piece = Buffer.alloc(MB, 'x')
    const atFirst = rss()
    let most = atFirst
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const upload = request(url, { method: 'PUT', headers: { 'Content-Length': SIZE } }, (response) =>
        resolve(response.resume().statusCode),
      )
      upload.on('error', reject)
      let sent = 0
      const more = (): void => {
        while (sent < SIZE) {
          sent += piece.byteLength
          most = Math.max(most, rss())
          if (!upload.write(piece)) return void upload.once('drain', more)
        }
        upload.end()
      }
      more()
    })
    assert.deepEqual([status, received], [201, SIZE])
    assert.ok(most - atFirst < 128 * MB, `${((most - atFirst) / MB).toFixed(0)} MB more while ${SIZE / MB} MB went by`)
  })

  test('each event when it comes, and not with the next', async (t) => {
    const events: ServerResponse[] = []
    const { happened, until } = watched()
    const { url } = await before(t, (asked, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache', Vary: 'Accept-Encoding' })
      response.flushHeaders()
      events.push(response)
      asked.on('close', happened)
      happened()
    })
    const client = await rawClient(
      t,
      url,
      'GET /events HTTP/1.1\r\nHost: cdn.test\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n',
    )
    // The head comes before there is any event, and each event before the origin has another.
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 .*Content-Type: text\/event-stream/s)
    await until(() => events.length === 1)
    for (let event = 0; event < 5; event++) {
      events[0]?.write(`data: ${event}\n\n`)
      await client.until(`data: ${event}\n\n`)
    }
    assert.ok(!/Content-Encoding|Content-Length/i.test(client.received()))
    // A client that leaves is gone for the origin, too.
    client.reset()
    await until(() => events[0]?.destroyed === true)
  })

  test('an answer that waits until there is something to say', async (t) => {
    const waiting = new Map<string, ServerResponse>()
    const { happened, until } = watched()
    const { url } = await before(t, (asked, response) => {
      waiting.set(`${asked.url}`, response)
      happened()
    })
    const poll = (who: string) => fetch(`${url}/poll?who=${who}`, { headers: { Accept: 'application/json' } })
    const polls = [poll('a'), poll('b')]
    await until(() => waiting.size === 2)
    waiting.get('/poll?who=b')?.writeHead(200, { 'Cache-Control': 'no-store' }).end('for b')
    assert.equal(await (await polls[1])?.text(), 'for b')
    waiting.get('/poll?who=a')?.writeHead(204, { 'Cache-Control': 'no-store' }).end()
    assert.equal((await polls[0])?.status, 204)
  })

  test('gRPC-Web as it is: both bodies byte by byte, and while they come', async (t) => {
    const frame = (flags: number, data: Buffer): Buffer => {
      const head = Buffer.alloc(5)
      head.writeUInt8(flags)
      head.writeUInt32BE(data.length, 1)
      return Buffer.concat([head, data])
    }
    const message = frame(0, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
    const trailer = frame(0x80, Buffer.from('grpc-status:0\r\ngrpc-message:\r\n'))
    const responses: ServerResponse[] = []
    const asked: { body: Buffer; headers: IncomingMessage['headers'] }[] = []
    const { happened, until } = watched()
    const { url } = await before(t, async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      asked.push({ body: Buffer.concat(chunks), headers: request.headers })
      response.writeHead(200, { 'Content-Type': 'application/grpc-web+proto', 'Access-Control-Expose-Headers': 'grpc-status' })
      responses.push(response)
      response.write(message)
      happened()
    })
    const answer = await fetch(`${url}/pkg.Service/Method`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/grpc-web+proto', 'X-Grpc-Web': '1', 'Grpc-Timeout': '10S' },
      body: message,
    })
    await until(() => responses.length === 1)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    const parts: Uint8Array[] = []
    // The first message is here before the origin has the last.
    while (Buffer.concat(parts).length < message.length) parts.push((await reader.read()).value as Uint8Array)
    assert.deepEqual(Buffer.concat(parts), message)
    responses[0]?.end(trailer)
    for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value)
    assert.deepEqual(Buffer.concat(parts), Buffer.concat([message, trailer]))
    assert.deepEqual(asked[0]?.body, message)
    const { 'content-type': type, 'x-grpc-web': web, 'grpc-timeout': timeout } = asked[0]?.headers ?? {}
    assert.deepEqual([type, web, timeout], ['application/grpc-web+proto', '1', '10S'])
    assert.deepEqual(
      [answer.headers.get('content-type'), answer.headers.get('content-encoding')],
      ['application/grpc-web+proto', null],
    )
  })

  const trailing = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'Cache-Control': 'no-store', Trailer: 'Digest, Server-Timing' })
    response.write('body')
    response.addTrailers({ Digest: 'sha-256=x', 'Server-Timing': 'total;dur=1', 'Set-Cookie': 'a=b', Vary: '*' })
    response.end()
  }

  test('fields after a body to those who want them, and none that belong before it', async (t) => {
    const { url } = await before(t, trailing)
    const wanting = await rawClient(t, url, 'GET / HTTP/1.1\r\nHost: cdn.test\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n')
    assert.match(await wanting.end(), /\r\n4\r\nbody\r\n0\r\nDigest: sha-256=x\r\nServer-Timing: total;dur=1\r\n\r\n$/)
    const other = await rawClient(t, url, 'GET / HTTP/1.1\r\nHost: cdn.test\r\nConnection: close\r\n\r\n')
    assert.match(await other.end(), /\r\n4\r\nbody\r\n0\r\n\r\n$/)
  })

  test('fields after a body over HTTP/2', async (t) => {
    const folder = temporaryFolder(t)
    const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    writeFileSync(tls.cert, certificate)
    writeFileSync(tls.key, key)
    const { url } = await before(t, trailing, { tls })
    const client = connect(url, { ca: certificate })
    t.after(() => client.destroy())
    const stream = client.request({ ':path': '/', te: 'trailers' })
    let trailers: Record<string, unknown> = {}
    let text = ''
    stream.on('trailers', (fields) => {
      trailers = fields
    })
    for await (const chunk of stream) text += chunk
    assert.equal(text, 'body')
    assert.deepEqual(Object.fromEntries(Object.entries(trailers)), { digest: 'sha-256=x', 'server-timing': 'total;dur=1' })
  })
})
