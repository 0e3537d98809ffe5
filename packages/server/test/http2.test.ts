// HTTPS and HTTP/2: the same answers, the same limits, and a certificate that is exchanged while it runs.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { request } from 'node:https'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { anotherCertificate, anotherKey, certificate, key } from '../../core/test/support/certificate.ts'
import { inTwo, type Served, type ServeOptions, serve, temporaryFolder } from './support/served.ts'

const options = { concurrency: 4, timeout: 60_000 }
const ca = [certificate, anotherCertificate]

interface Secure extends Served {
  readonly files: { readonly cert: string; readonly key: string }
}

async function secure(t: TestContext, more: ServeOptions = {}): Promise<Secure> {
  const folder = temporaryFolder(t)
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  writeFileSync(files.cert, certificate)
  writeFileSync(files.key, key)
  const served = await serve(t, { tls: files, ...more })
  return { ...served, files }
}

async function session(t: TestContext, url: string): Promise<ClientHttp2Session> {
  const client = connect(url, { ca })
  client.on('error', () => undefined)
  t.after(() => client.destroy())
  await once(client, 'connect')
  return client
}

interface Got {
  readonly headers: Record<string, unknown>
  readonly text: string
  readonly rstCode: number
}

/** Reads to the end, or to where it breaks off. */
async function got(stream: ClientHttp2Stream): Promise<Got> {
  let headers: Record<string, unknown> = {}
  let text = ''
  stream.on('response', (each) => {
    headers = each
  })
  stream.on('error', () => undefined)
  stream.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  await new Promise((resolve) => stream.once('close', resolve))
  return { headers, text, rstCode: stream.rstCode }
}

const ask = (client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Got> => {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return got(stream)
}

describe('over HTTPS', options, () => {
  test('HTTP/2 is for those who want it, HTTP/1.1 for the others', async (t) => {
    const { url, entries, origin } = await secure(t)
    assert.match(url, /^https:/)
    const client = await session(t, url)
    const two = await ask(client, { ':path': '/two', cookie: ['a=b', 'c=d'], te: 'trailers' })
    assert.deepEqual([two.headers[':status'], two.text], [200, 'GET /two'])
    const one = await new Promise<string>((resolve, reject) => {
      request(`${url}/one`, { ca }, async (response) => {
        let text = ''
        for await (const chunk of response) text += chunk
        resolve(text)
      })
        .on('error', reject)
        .end()
    })
    assert.equal(one, 'GET /one')
    assert.deepEqual(
      entries.map(({ httpVersion, url, clientAddress }) => [httpVersion, url.replace(/:\d+\//, '/'), clientAddress]),
      [
        ['2.0', 'https://127.0.0.1/two', '127.0.0.1'],
        ['1.1', 'https://127.0.0.1/one', '127.0.0.1'],
      ],
    )
    const { fields } = origin.requests[0] as (typeof origin.requests)[0]
    const value = (name: string) => fields[fields.findIndex((each) => each.toLowerCase() === name) + 1]
    assert.deepEqual([value('cookie'), value('x-forwarded-proto'), value('via')], ['a=b; c=d', 'https', '2.0 simple-cdn'])
    assert.ok(!fields.some((each) => each.startsWith(':') || each === 'te'))
  })

  test('a request may have a body, and an answer all that it has over HTTP/1.1', async (t) => {
    const { url, entries } = await secure(t, {
      origin: {
        name: 'origin',
        async fetch({ method, body }) {
          let bytes = 0
          for await (const chunk of body ?? []) bytes += chunk.byteLength
          const fields = [
            'Set-Cookie',
            'a=1',
            'Set-Cookie',
            'b=2',
            'ETag',
            '"x"',
            'Connection',
            'X-Gone',
            'X-Gone',
            'y',
            'Link',
            '<a>',
            'Link',
            '<b>',
          ]
          return { status: 201, fields, body: inTwo(Promise.resolve(`${method} ${bytes}`)) }
        },
      },
    })
    const client = await session(t, url)
    const { headers, text, rstCode } = await ask(client, { ':method': 'POST', ':path': '/' }, 'x'.repeat(700_000))
    assert.deepEqual(
      [headers[':status'], headers['set-cookie'], headers.etag, headers.link, headers['x-gone'], text, rstCode],
      [201, ['a=1', 'b=2'], '"x"', '<a>, <b>', undefined, 'firstsecond', 0],
    )
    assert.deepEqual([entries[0]?.bytes, entries[0]?.complete], ['firstsecond'.length, true])
  })

  test('HEAD, a hit, a 304 and a range are as ever', async (t) => {
    const { url, origin } = await secure(t, {
      answer: { headers: { 'Cache-Control': 'max-age=60', ETag: '"v"' }, body: '0123456789' },
    })
    const client = await session(t, url)
    const status = async (headers: OutgoingHttpHeaders) => {
      const { headers: answer, text } = await ask(client, { ':path': '/', ...headers })
      return [answer[':status'], answer['content-length'], text]
    }
    assert.deepEqual(await status({}), [200, '10', '0123456789'])
    assert.deepEqual(await status({ ':method': 'HEAD' }), [200, '10', ''])
    assert.deepEqual(await status({ 'if-none-match': '"v"' }), [304, undefined, ''])
    assert.deepEqual(await status({ range: 'bytes=2-4' }), [206, '3', '234'])
    assert.equal(origin.requests.length, 1)
  })

  test('interim responses come before the answer', async (t) => {
    const { url } = await secure(t, {
      answer: { interim: [{ status: 103, headers: { Link: '</style.css>; rel=preload' } }], body: 'page' },
    })
    const client = await session(t, url)
    const stream = client.request({ ':path': '/' })
    const [[interim], answer] = await Promise.all([once(stream, 'headers'), got(stream)])
    assert.deepEqual([interim[':status'], interim.link, answer.text], [103, '</style.css>; rel=preload', 'page'])
  })

  test('an answer that breaks off looks broken, and the connection goes on', async (t) => {
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first')
      throw new Error('gone')
    }
    const { url, entries, until } = await secure(t, {
      answer: ({ target }) => ({
        body: target === '/breaks' ? breaking() : 'whole',
        headers: { 'Cache-Control': 'no-store' },
      }),
    })
    const client = await session(t, url)
    const broken = await ask(client, { ':path': '/breaks' })
    assert.deepEqual([broken.text, broken.rstCode], ['first', constants.NGHTTP2_INTERNAL_ERROR])
    assert.equal((await ask(client, { ':path': '/whole' })).text, 'whole')
    await until(() => entries.length === 2)
    assert.equal(entries[0]?.complete, false)
  })

  test('a client that gives a stream up is gone for the origin', async (t) => {
    const aborted = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const { url, entries, until } = await secure(t, {
      origin: {
        name: 'origin',
        fetch: (_, signal) => {
          asked.resolve()
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              aborted.resolve()
              reject(new Error('aborted'))
            })
          })
        },
      },
    })
    const client = await session(t, url)
    const stream = client.request({ ':path': '/' })
    await asked.promise
    stream.close(constants.NGHTTP2_CANCEL)
    await aborted.promise
    await until(() => entries.length === 1)
    assert.equal(entries[0]?.complete, false)
  })

  test('a new certificate is for the next handshake, and one that is none changes nothing', async (t) => {
    const { url, files, until, said } = await secure(t)
    const serial = async (): Promise<string> => {
      const socket = connectTls({ port: Number(new URL(url).port), host: '127.0.0.1', ca })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const client = await session(t, url)
    const first = await serial()
    writeFileSync(files.cert, anotherCertificate)
    await until(() => said.some(({ message }) => message === 'the certificate stays as it was'))
    assert.equal(await serial(), first)
    writeFileSync(files.key, anotherKey)
    await until(() => said.some(({ message }) => message === 'the next handshake has the new certificate'))
    assert.notEqual(await serial(), first)
    assert.equal((await ask(client, { ':path': '/' })).headers[':status'], 200)
  })

  test('a certificate that cannot be had is a mistake of the configuration', async (t) => {
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, 'cert.pem'), certificate)
    writeFileSync(join(folder, 'key.pem'), anotherKey)
    await assert.rejects(serve(t, { tls: { cert: join(folder, 'cert.pem'), key: join(folder, 'none.pem') } }), {
      code: 'CDN_CONFIG_INVALID',
      message: /server\.tls\.key: cannot be read: ENOENT/,
    })
    await assert.rejects(serve(t, { tls: { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') } }), {
      code: 'CDN_CONFIG_INVALID',
      message: /server\.tls: is no certificate with its key/,
    })
  })

  test('what is no handshake is counted, and the connection ends', async (t) => {
    const { url, figures } = await secure(t)
    const response = await fetch(url.replace('https', 'http')).catch(() => undefined)
    assert.equal(response, undefined)
    const { failedHandshakes, connections } = await figures()
    assert.deepEqual([failedHandshakes, connections], [1, 0])
  })
})

describe('the limits of HTTP/2', options, () => {
  test('a head that is too large is refused', async (t) => {
    const { url, origin, figures } = await secure(t, { maxHead: '4kb' })
    const client = await session(t, url)
    assert.equal((await ask(client, { ':path': '/', 'x-large': 'x'.repeat(8_000) })).headers[':status'], 431)
    assert.equal((await ask(client, { ':path': '/', 'x-large': 'x'.repeat(2_000) })).headers[':status'], 200)
    assert.equal(origin.requests.length, 1)
    assert.equal((await figures()).malformed, 1)
  })

  test('methods that are for tunnels and mirrors are refused', async (t) => {
    const { url } = await secure(t)
    const client = await session(t, url)
    assert.equal((await ask(client, { ':method': 'TRACE', ':path': '/' })).headers[':status'], 501)
    assert.equal((await ask(client, { ':method': 'CONNECT', ':authority': 'cdn.test:443' })).headers[':status'], 501)
  })

  test('a hundred and twenty-eight streams are answered side by side', async (t) => {
    const { url } = await secure(t)
    const client = await session(t, url)
    await new Promise((resolve) => client.settings({}, resolve))
    assert.equal(client.remoteSettings.maxConcurrentStreams, 128)
    const answers = await Promise.all(Array.from({ length: 400 }, (_, at) => ask(client, { ':path': `/${at}` })))
    assert.deepEqual(new Set(answers.map(({ headers }) => headers[':status'])), new Set([200]))
  })

  test('a client that only gives streams up is sent away', async (t) => {
    const { url, figures } = await secure(t, { origin: { name: 'origin', fetch: () => new Promise(() => undefined) } })
    const client = await session(t, url)
    let begun = 0
    // A client of Node 22 does not always notice that its connection has ended.
    while ((await figures()).connections > 0 && begun < 5_000) {
      for (let at = 0; at < 50 && !client.destroyed && !client.closed; at++, begun++) {
        const stream = client.request({ ':path': '/' })
        stream.on('error', () => undefined)
        setImmediate(() => stream.close(constants.NGHTTP2_CANCEL))
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const { connections, malformed } = await figures()
    assert.deepEqual([connections, malformed], [0, 1], `after ${begun} streams`)
  })

  test('a body that stops coming gets 408, and an answer that is not taken ends', async (t) => {
    const { url, entries, until, figures } = await secure(t, {
      bodyTimeout: 0.3,
      origin: {
        name: 'origin',
        async fetch({ method, body }) {
          for await (const _ of body ?? []);
          return {
            status: 200,
            fields: ['Cache-Control', 'no-store'],
            body: method === 'GET' ? endless() : inTwo(Promise.resolve()),
          }
        },
      },
    })
    const client = await session(t, url)
    const upload = client.request({ ':method': 'POST', ':path': '/' }, { endStream: false })
    upload.write('begun')
    assert.equal((await got(upload)).headers[':status'], 408)
    const download = client.request({ ':path': '/' })
    download.on('error', () => undefined)
    download.pause()
    await until(() => entries.some(({ method, complete }) => method === 'GET' && !complete))
    assert.equal((await figures()).stalled, 2)
  })

  test('a connection on which nothing is asked is closed', async (t) => {
    const { url } = await secure(t, { idleTimeout: 0.2 })
    const client = await session(t, url)
    assert.equal((await ask(client, { ':path': '/' })).headers[':status'], 200)
    await once(client, 'close')
  })

  test('a connection that never speaks HTTP is closed', async (t) => {
    const { url, figures } = await secure(t, { headTimeout: 0.3, idleTimeout: 30 })
    for (const protocols of [['h2'], ['http/1.1']]) {
      const socket: TLSSocket = connectTls({ port: Number(new URL(url).port), host: '127.0.0.1', ca, ALPNProtocols: protocols })
      socket.on('error', () => undefined).resume()
      await once(socket, 'close')
    }
    assert.equal((await figures()).connections, 0)
  })
})

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(64 * 1024)
}

describe('a server that is closed', options, () => {
  test('finishes streams that have begun, and takes no others', async (t) => {
    const second = Promise.withResolvers<void>()
    const { url, server, until, origin } = await secure(t, { answer: () => ({ body: inTwo(second.promise) }) })
    const client = await session(t, url)
    const answer = ask(client, { ':path': '/' })
    await until(() => origin.requests.length === 1)
    const closing = server.close({ graceMs: 20_000 })
    await once(client, 'goaway')
    second.resolve()
    assert.equal((await answer).text, 'firstsecond')
    await closing
  })

  test('ends those that take longer than its grace', async (t) => {
    const { url, server, until, origin } = await secure(t, {
      answer: () => ({ body: 'late', after: new Promise(() => undefined) }),
    })
    const client = await session(t, url)
    const answer = ask(client, { ':path': '/' })
    await until(() => origin.requests.length === 1)
    await server.close({ graceMs: 200 })
    assert.notEqual((await answer).text, 'late')
  })
})
