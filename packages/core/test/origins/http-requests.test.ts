// What of a request goes to an HTTP origin, and how its body gets there.
import assert from 'node:assert/strict'
import { createSecureServer } from 'node:http2'
import { describe, it } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { httpOrigin } from '@simple-cdn/core'
import { certificate, key } from '../support/certificate.ts'
import { failure, get, HELLO, pieces, site } from '../support/http-site.ts'
import { listening, type RawRequest } from '../support/raw-origin.ts'
import { watched } from '../support/watched.ts'

describe('a request', () => {
  it('goes to the path of the origin, under the name it is to have', async (t) => {
    const rows: readonly (readonly [host: string | undefined, line: RegExp])[] = [
      [undefined, /^host: 127\.0\.0\.1:\d+\r$/im],
      ['app.internal', /^host: app\.internal\r$/im],
      ['client', /^host: site\.test\r$/im],
    ]
    for (const [host, line] of rows) {
      const { raw } = await site(t, HELLO)
      const origin = httpOrigin({ name: 'app', url: `${raw.url}/base/`, host })
      await get(origin, { target: '/a?b=c', fields: ['host', 'evil.test', 'X-Own', '1', 'x-own', '2'] })
      await origin.close?.()
      assert.match(raw.heads[0] ?? '', /^GET \/base\/a\?b=c HTTP\/1\.1\r\n/)
      assert.match(raw.heads[0] ?? '', line)
      assert.equal(raw.heads[0]?.match(/^host:/gim)?.length, 1)
      assert.match(raw.heads[0] ?? '', /\r\nX-Own: 1\r\nx-own: 2\r\n/)
    }
  })

  it('may have any method', async (t) => {
    const { raw, origin } = await site(t, HELLO)
    for (const method of ['M-SEARCH', 'PROPFIND', 'PURGE', 'QUERY', 'BREW', 'get']) await get(origin, { method })
    assert.deepEqual(
      raw.heads.map((head) => head.split(' ', 1)[0]),
      ['M-SEARCH', 'PROPFIND', 'PURGE', 'QUERY', 'BREW', 'get'],
    )
  })

  it('goes over HTTP/1.1 to an origin that would rather speak HTTP/2', async (t) => {
    setDefaultCACertificates([certificate])
    const server = createSecureServer({ key, cert: certificate, allowHTTP1: true }, (request, response) => {
      response.end(request.httpVersion)
    })
    const origin = httpOrigin({ name: 'app', url: `https://127.0.0.1:${await listening(server)}` })
    t.after(async () => {
      await origin.close?.()
      server.close()
    })
    assert.equal((await get(origin)).text, '1.1')
  })
})

describe('an upload', () => {
  const answerWhen = (isWhole: (body: string) => boolean) => (request: RawRequest) =>
    request.until(() => isWhole(request.body())).then(() => request.socket.write(HELLO))

  it('of known length goes as it comes, under that length', async (t) => {
    const { raw, origin } = await site(
      t,
      answerWhen((body) => body === 'hello'),
    )
    const upload = { method: 'POST', fields: ['content-length', '5'], body: pieces('he', 'llo') }
    assert.equal((await get(origin, upload)).status, 200)
    assert.match(raw.heads[0] ?? '', /^content-length: 5\r$/im)
    assert.doesNotMatch(raw.heads[0] ?? '', /^transfer-encoding:/im)
  })

  it('of unknown length goes in chunks', async (t) => {
    const { raw, origin } = await site(
      t,
      answerWhen((body) => /2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n$/.test(body)),
    )
    assert.equal((await get(origin, { method: 'POST', body: pieces('he', '', 'llo') })).status, 200)
    assert.match(raw.heads[0] ?? '', /^transfer-encoding: chunked\r$/im)
    assert.doesNotMatch(raw.heads[0] ?? '', /^content-length:/im)
  })

  it('streams: the origin has the beginning while the end is not there yet', async (t) => {
    let sent: RawRequest | undefined
    const { raw, origin } = await site(t, (request) => {
      sent = request
      return answerWhen((body) => body.endsWith('0\r\n\r\n'))(request)
    })
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first')
      await raw.until(() => sent?.body().includes('first') === true)
      yield Buffer.from('second')
    }
    assert.equal((await get(origin, { method: 'PUT', body: body() })).text, 'hello')
  })

  it('may take longer than the head of a response', async (t) => {
    const { origin } = await site(
      t,
      answerWhen((body) => body.endsWith('0\r\n\r\n')),
      { headTimeoutMs: 100 },
    )
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first')
      await new Promise((resolve) => setTimeout(resolve, 250))
      yield Buffer.from('second')
    }
    assert.equal((await get(origin, { method: 'POST', body: slow() })).text, 'hello')
  })

  it('that breaks off never reaches the origin as whole', async (t) => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('he')
      throw new Error('gone')
    }
    for (const fields of [[], ['Content-Length', '5']]) {
      let body = (): string => ''
      const { raw, origin } = await site(t, (request) => {
        body = request.body
      })
      assert.equal(await failure(get(origin, { method: 'POST', fields, body: broken() })), 'CDN_ORIGIN_UNREACHABLE')
      await raw.until(() => raw.accepted() === 1 && raw.open() === 0)
      assert.ok(!body().includes('0\r\n\r\n') && body().length < 10, body())
    }
  })

  it('that is longer or shorter than it said fails, and not a byte too much is sent', async (t) => {
    for (const text of ['hell', 'hello GET /evil HTTP/1.1\r\n\r\n']) {
      let body = (): string => ''
      const { raw, origin } = await site(t, (request) => {
        body = request.body
      })
      const upload = { method: 'POST', fields: ['Content-Length', '5'], body: pieces(text) }
      assert.equal(await failure(get(origin, upload)), 'CDN_ORIGIN_UNREACHABLE')
      await raw.until(() => raw.open() === 0)
      assert.ok(body().length <= 5, body())
    }
  })

  it('ends when the origin has answered before it was through', async (t) => {
    const refusal = 'HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!'
    const { raw, origin } = await site(t, ({ socket }) => socket.write(refusal))
    const released = watched()
    let left = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.alloc(16 * 1024)
          await new Promise(setImmediate)
        }
      } finally {
        left = true
        released.happened()
      }
    }
    const got = await get(origin, { method: 'POST', body: endless() })
    assert.deepEqual([got.status, got.text, got.broke], [413, 'no!', undefined])
    await released.until(() => left)
    await raw.until(() => raw.open() === 0)
  })

  it('that the origin does not take runs into the timeout', async (t) => {
    const { origin } = await site(t, ({ socket }) => socket.pause(), { headTimeoutMs: 100 })
    async function* large(): AsyncGenerator<Uint8Array> {
      for (let times = 0; times < 256; times++) yield Buffer.alloc(64 * 1024)
    }
    assert.equal(await failure(get(origin, { method: 'POST', body: large() })), 'CDN_ORIGIN_TIMEOUT')
  })
})
