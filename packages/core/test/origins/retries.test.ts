// When a request that found no answer is sent again, and when not.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { failure, get, HELLO, pieces, site } from '../support/http-site.ts'
import { before, nowhere, raws, saying } from '../support/sites.ts'

describe('a request that found no answer', () => {
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    it(`is sent again when its connection was closed before a byte came (${leave})`, async (t) => {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        let asked = 0
        const { raw, origin } = await site(t, ({ socket }) => (asked++ === 0 ? socket[leave]() : socket.write(HELLO)))
        assert.equal((await get(origin, { method })).status, 200, method)
        assert.equal(raw.heads.length, 2, method)
      }
    })
  }

  it('is sent as often as the option says, and then fails', async (t) => {
    for (const retries of [0, 1, 5]) {
      const { raw, origin } = await site(t, ({ socket }) => socket.end(), { retries })
      assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')
      assert.equal(raw.heads.length, 1 + retries)
    }
  })

  it('is sent once by default when it is not safe, or has a body', async (t) => {
    const upload = { fields: ['Content-Length', '5'], body: { [Symbol.asyncIterator]: () => pieces('hello') } }
    for (const request of [{ method: 'POST' }, { method: 'PUT' }, { method: 'DELETE' }, { method: 'OPTIONS', ...upload }]) {
      const { raw, origin } = await site(t, ({ socket }) => socket.end(), { retries: 5 })
      assert.equal(await failure(get(origin, request)), 'CDN_ORIGIN_UNREACHABLE', request.method)
      assert.equal(raw.heads.length, 1, request.method)
    }
  })

  it('is not sent again after a byte of an answer', async (t) => {
    const rows = [
      ['H', 'CDN_ORIGIN_PROTOCOL'],
      ['HTTP/1.1 200 OK\r\nContent-Le', 'CDN_ORIGIN_PROTOCOL'],
      ['HTTP/1.1 103 Early Hints\r\n\r\n', 'CDN_ORIGIN_PROTOCOL'],
    ] as const
    for (const [begun, code] of rows) {
      const { raw, origin } = await site(t, ({ socket }) => socket.end(begun), { retries: 5 })
      assert.equal(await failure(get(origin)), code, begun)
      assert.equal(raw.heads.length, 1, begun)
    }
  })

  it('is not sent again in the middle of a body', async (t) => {
    const { raw, origin } = await site(t, ({ socket }) => socket.end(HELLO.slice(0, -1)), { retries: 5 })
    assert.equal((await get(origin)).broke, 'CDN_ORIGIN_BROKE_OFF')
    assert.equal(raw.heads.length, 1)
  })

  it('is not sent again to an origin that was too slow', async (t) => {
    const { raw, origin } = await site(t, '', { retries: 5, headTimeoutMs: 100 })
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_TIMEOUT')
    assert.equal(raw.heads.length, 1)
  })

  it('is not sent again when its client has gone', async (t) => {
    const client = new AbortController()
    const { raw, origin } = await site(
      t,
      ({ socket }) => {
        client.abort()
        socket.end()
      },
      { retries: 5 },
    )
    assert.equal(await failure(get(origin, {}, client.signal)), 'CDN_CLIENT_GONE')
    assert.equal(raw.heads.length, 1)
  })

  it('has one time for all of it', async (t) => {
    const { raw, origin } = await site(t, ({ socket }) => setTimeout(() => socket.end(), 150), { retries: 5, headTimeoutMs: 400 })
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_TIMEOUT')
    assert.equal(raw.heads.length, 3)
  })

  it('is sent to another address, if there is one', async (t) => {
    const [closing, good] = await raws(t, ({ socket }) => socket.end(), saying('good'))
    const url = [await nowhere(), closing?.url ?? '', good?.url ?? '']
    const origin = before(t, { url, choice: 'first', retries: 2 })
    assert.equal((await get(origin)).text, 'good')
    assert.equal(closing?.heads.length, 1)
  })

  it('finds no connection again when nobody listens', async (t) => {
    const origin = before(t, { url: await nowhere() })
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')
    assert.deepEqual(
      origin.stats?.().addresses.map(({ failures }) => failures),
      [2],
    )
  })
})
