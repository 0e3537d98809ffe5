// An origin over HTTP/2: the same requests and answers as over HTTP/1.1, many at a time on a connection.
import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import { describe, it, type TestContext } from 'node:test'
import type { HttpOriginOptions } from '@simple-cdn/core'
import { certificate, key } from '../support/certificate.ts'
import { failure, get, pieces, plain } from '../support/http-site.ts'
import { listening } from '../support/raw-origin.ts'
import { secureSite } from '../support/secure-site.ts'
import { before } from '../support/sites.ts'

type Answer = Parameters<typeof secureSite>[1]

async function site(t: TestContext, answer: Answer, options: Partial<HttpOriginOptions> = {}) {
  const secure = await secureSite(t, answer, { allowHTTP1: false })
  return { ...secure, origin: before(t, { url: secure.url, http2: true, tls: { ca: certificate }, ...options }) }
}

describe('an origin over HTTP/2', () => {
  it('gets what an origin over HTTP/1.1 would', async (t) => {
    const { origin, port } = await site(t, ({ method, url, headers, httpVersion }, response) => {
      response.end(JSON.stringify([httpVersion, method, url, headers[':authority'], headers['x-own'], headers.cookie]))
    })
    const fields = [
      'X-Own',
      '1',
      'x-own',
      '2',
      'Cookie',
      'a=1',
      'cookie',
      'b=2',
      'User-Agent',
      'x',
      'Via',
      '1.1 a',
      'via',
      '1.1 b',
    ]
    const { text } = await get(origin, { target: '/a?b=c', fields })
    assert.deepEqual(JSON.parse(text), ['2.0', 'GET', '/a?b=c', `127.0.0.1:${port}`, '1, 2', 'a=1; b=2'])
  })

  it('answers with lines as they came where they may not be combined', async (t) => {
    const { origin } = await site(t, (_, response) => {
      response.writeHead(299, { 'set-cookie': ['a=1', 'b="\xe9, c"'], 'x-own': 'caf\xe9', 'content-length': '5' }).end('hello')
    })
    const { status, fields, text } = await get(origin)
    assert.deepEqual([status, text], [299, 'hello'])
    assert.deepEqual(fields.toSpliced(fields.indexOf('date'), 2), [
      ...['set-cookie', 'a=1', 'set-cookie', 'b="\xe9, c"'],
      ...['x-own', 'caf\xe9', 'content-length', '5'],
    ])
  })

  it('is asked on one connection for many at a time, and not for more than that', async (t) => {
    let now = 0
    let most = 0
    const { origin, accepted } = await site(
      t,
      (_, response) => {
        most = Math.max(most, ++now)
        setTimeout(() => {
          now--
          response.end('hello')
        }, 20)
      },
      { connections: 8 },
    )
    const all = await Promise.all(Array.from({ length: 30 }, () => get(origin)))
    assert.ok(all.every(({ text }) => text === 'hello'))
    assert.equal(accepted(), 1)
    assert.equal(most, 8)
  })

  it('takes uploads, and gives interim responses', async (t) => {
    const { origin } = await site(t, async (request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      let text = ''
      for await (const chunk of request) text += chunk
      response.end(text)
    })
    const interims: unknown[] = []
    const upload = { method: 'POST', body: pieces('he', 'llo'), onInterim: (...each: unknown[]) => void interims.push(each) }
    assert.equal((await get(origin, upload)).text, 'hello')
    assert.deepEqual(interims, [[103, ['link', '</a.css>; rel=preload']]])
    assert.equal((await get(origin, { method: 'PUT', fields: ['Content-Length', '5'], body: pieces('hello') })).text, 'hello')
  })

  it('may answer HEAD, 204 and 304 as ever', async (t) => {
    const { origin } = await site(t, ({ url }, response) => {
      response.writeHead(Number(url.slice(1)), url === '/200' ? { 'content-length': '5' } : {}).end()
    })
    assert.deepEqual(
      await Promise.all(['/204', '/304'].map(async (target) => (await get(origin, { target })).status)),
      [204, 304],
    )
    const head = await get(origin, { target: '/200', method: 'HEAD' })
    assert.deepEqual([head.status, head.text, head.broke], [200, '', undefined])
  })

  it('waits for a slow reader', async (t) => {
    const total = 8 * 1024 * 1024
    let sent = 0
    const { origin } = await site(t, (_, response) => {
      const piece = Buffer.alloc(64 * 1024)
      const send = (): void => {
        sent += piece.byteLength
        if (sent < total) response.write(piece, send)
        else response.end(piece)
      }
      send()
    })
    const { body } = await origin.fetch(plain, new AbortController().signal)
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.ok(sent < total / 2, `${sent} bytes have left`)
    let seen = 0
    for await (const chunk of body) seen += chunk.byteLength
    assert.equal(seen, total)
  })

  it('that breaks off in the middle of a body has broken off', async (t) => {
    for (const fields of [{ 'content-length': '10' }, {}]) {
      const { origin } = await site(t, (_, response) => {
        response.writeHead(200, fields)
        response.write('hello', () => response.stream.close(2))
      })
      assert.equal((await get(origin)).broke, 'CDN_ORIGIN_BROKE_OFF')
    }
  })

  it('that takes too long is given up, and so is who has left, while others go on', async (t) => {
    let slow: (() => void) | undefined
    const { origin, accepted } = await site(
      t,
      ({ url }, response) => {
        if (url === '/slow') slow = () => response.end('slow')
        if (url === '/good') response.end('good')
      },
      { headTimeoutMs: 400 },
    )
    const client = new AbortController()
    const left = failure(get(origin, { target: '/left' }, client.signal))
    const late = failure(get(origin, { target: '/late' }))
    assert.equal((await get(origin, { target: '/good' })).text, 'good')
    client.abort()
    assert.equal(await left, 'CDN_CLIENT_GONE')
    const asked = get(origin, { target: '/slow' })
    while (slow === undefined) await new Promise(setImmediate)
    slow()
    assert.equal((await asked).text, 'slow')
    assert.equal(await late, 'CDN_ORIGIN_TIMEOUT')
    assert.equal(accepted(), 1)
  })

  it('is asked again when its connection was closed before it answered', async (t) => {
    let asked = 0
    const { origin } = await site(t, ({ stream }, response) => {
      if (asked++ === 0) stream.session?.socket.destroy()
      else response.end('hello')
    })
    assert.equal((await get(origin)).text, 'hello')
    assert.equal(asked, 2)
  })

  it('is asked over HTTP/1.1 when it does not speak HTTP/2', async (t) => {
    const server = createServer({ key, cert: certificate }, ({ httpVersion }, response) => response.end(httpVersion))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://127.0.0.1:${await listening(server)}`
    const origin = before(t, { url, http2: true, tls: { ca: certificate } })
    assert.equal((await get(origin)).text, '1.1')
    assert.deepEqual(
      (await Promise.all(Array.from({ length: 5 }, () => get(origin)))).map(({ text }) => text),
      Array(5).fill('1.1'),
    )
  })
})
