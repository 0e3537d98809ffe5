// What an HTTP origin makes of answers: those that are odd, those that are none, and those that do not come.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { httpOrigin } from '@simple-cdn/core'
import { failure, get, HELLO, pieces, site } from '../support/http-site.ts'
import { rawOrigin } from '../support/raw-origin.ts'

describe('an answer that is HTTP, however odd', () => {
  const rows: readonly (readonly [what: string, answer: string, status: number, text: string])[] = [
    ['a length', HELLO, 200, 'hello'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 200, 'hello'],
    ['chunks, with white space after the coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\n\r\n0\r\n\r\n', 200, ''],
    [
      'extensions and trailers',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nX: 1\r\n\r\n',
      200,
      'hello',
    ],
    ['white space after the length', 'HTTP/1.1 200 OK\r\nContent-Length:  5  \r\n\r\nhello', 200, 'hello'],
    ['no reason phrase', 'HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello', 200, 'hello'],
    ['not even the space before the reason phrase', 'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello', 200, 'hello'],
    ['an empty line before the status line', `\r\n${HELLO}`, 200, 'hello'],
    ['an unknown status', 'HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\nhello', 299, 'hello'],
    ['an unknown error', 'HTTP/1.1 599 Odd\r\nContent-Length: 5\r\n\r\nhello', 599, 'hello'],
    ['a status that is none', 'HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello', 999, 'hello'],
    ['204 without length', 'HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
    ['204 that announces content', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello', 204, ''],
    ['304 with the length of what it stands for', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 304, ''],
    ['an unasked interim response', `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${HELLO}`, 200, 'hello'],
  ]
  for (const [what, answer, status, text] of rows) {
    it(`is taken: ${what}`, async (t) => {
      const { origin } = await site(t, answer)
      const got = await get(origin)
      assert.deepEqual([got.status, got.text, got.broke], [status, text, undefined])
    })
  }

  it('is taken in HTTP/1.0, where the end of the connection is the end of the body', async (t) => {
    const { origin } = await site(t, ({ socket }) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'))
    assert.deepEqual(await get(origin), { status: 200, fields: [], text: 'hello', broke: undefined })
  })

  it('has its fields as they came, repeated ones too, without the white space around values', async (t) => {
    const { origin } = await site(
      t,
      'HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nSET-COOKIE:  b="\xe9, c" \t\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n',
    )
    const { fields } = await get(origin)
    assert.deepEqual(fields, ['set-cookie', 'a=1', 'SET-COOKIE', 'b="\xe9, c"', 'X-Empty', '', 'Content-Length', '0'])
  })

  it('to HEAD has a length and no body', async (t) => {
    const { origin } = await site(t, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
    assert.deepEqual(await get(origin, { method: 'HEAD' }), {
      status: 200,
      fields: ['Content-Length', '5'],
      text: '',
      broke: undefined,
    })
  })

  it('hands on interim responses before it', async (t) => {
    const { origin } = await site(t, `HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 \r\nLink: </a>\r\nlink: </b>\r\n\r\n${HELLO}`)
    const interims: unknown[] = []
    await get(origin, { onInterim: (status, fields) => void interims.push([status, ...fields]) })
    assert.deepEqual(interims, [[102], [103, 'Link', '</a>', 'link', '</b>']])
  })
})

describe('an answer that is not HTTP', () => {
  const rows: readonly (readonly [what: string, answer: string])[] = [
    ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
    ['a page without a head', '<html>hello</html>'],
    ['a status of two digits', 'HTTP/1.1 42 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['the status 000', 'HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['two different lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nhello'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 3\r\n\r\nhello'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello'],
    ['a hexadecimal length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello'],
    ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello'],
    ['a length beyond all numbers', `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(30)}\r\n\r\nhello`],
    ['length and chunks', `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
    ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello'],
    ['an unknown coding below the chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['chunks twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a field that goes on in the next line', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n'],
    ['a field without name', 'HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n'],
    ['lines that end in LF only', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['a bare CR in a value', 'HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 0\r\n\r\n'],
    ['a control character in a value', 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n'],
    ['NUL in a value', 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['a head of more than 64 KiB', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(65_536)}\r\nContent-Length: 0\r\n\r\n`],
    ['more fields than 64 KiB', `HTTP/1.1 200 OK\r\n${'X-Field: and its value\r\n'.repeat(4_000)}\r\n`],
    ['an unasked change of protocol', `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n`],
    ['101 that says not to what', `HTTP/1.1 101 Switching Protocols\r\n\r\n${HELLO}`],
    // undici takes no 100 that it has not asked for, and it never asks.
    ['100 without having been asked for it', `HTTP/1.1 100 Continue\r\n\r\n${HELLO}`],
    ['a flood of interim responses', `${'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'.repeat(33)}${HELLO}`],
  ]
  for (const [what, answer] of rows) {
    it(`is refused, with its connection: ${what}`, async (t) => {
      const { raw, origin } = await site(t, answer)
      const interims: number[] = []
      assert.equal(await failure(get(origin, { onInterim: (status) => void interims.push(status) })), 'CDN_ORIGIN_PROTOCOL')
      assert.ok(interims.length <= 32 && interims.every((status) => status === 103), String(interims))
      await raw.until(() => raw.open() === 0)
    })
  }

  it('is refused when it ends within the head', async (t) => {
    const { origin } = await site(t, ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'))
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_PROTOCOL')
  })

  it('may use transfer codings nobody understands when that is allowed', async (t) => {
    const { origin } = await site(t, ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello'), {
      lenientTransferCodings: true,
    })
    assert.equal((await get(origin)).text, 'hello')
  })
})

describe('an origin that does not answer', () => {
  it('is unreachable when it refuses connections', async () => {
    const gone = await rawOrigin(HELLO)
    await gone.close()
    const origin = httpOrigin({ name: 'app', url: gone.url })
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')
    await origin.close?.()
  })

  it('is unreachable when it closes a new connection without a word', async (t) => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const { raw, origin } = await site(t, ({ socket }) => socket[leave]())
      assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE', leave)
      assert.ok(raw.heads.length >= 1)
    }
  })

  it('took too long when there is no head in time, and the connection is given up', async (t) => {
    const { raw, origin } = await site(t, '', { headTimeoutMs: 100 })
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_TIMEOUT')
    await raw.until(() => raw.open() === 0)
  })

  it('took too long however many interim responses it sends', async (t) => {
    const { origin } = await site(
      t,
      ({ socket }) => {
        const again = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 20)
        socket.once('close', () => clearInterval(again))
      },
      { headTimeoutMs: 200 },
    )
    assert.equal(await failure(get(origin)), 'CDN_ORIGIN_TIMEOUT')
  })

  it('took too long when a whole upload is followed by nothing', async (t) => {
    const { origin } = await site(t, '', { headTimeoutMs: 100 })
    const upload = { method: 'POST', fields: ['Content-Length', '5'], body: pieces('hello') }
    assert.equal(await failure(get(origin, upload)), 'CDN_ORIGIN_TIMEOUT')
  })

  it('may be given any timeout, whole milliseconds or not', async (t) => {
    const { origin } = await site(t, HELLO, { headTimeoutMs: 2009.9999999999998, bodyTimeoutMs: 0.5, connectTimeoutMs: 1000.5 })
    assert.equal((await get(origin)).text, 'hello')
  })
})

describe('an origin that stops in the middle of a body', () => {
  const length = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'
  const rows: readonly (readonly [what: string, answer: string, leave: 'end' | 'resetAndDestroy'])[] = [
    ['a length, and the connection ends', length, 'end'],
    ['a length, and the connection is reset', length, 'resetAndDestroy'],
    ['chunks, and the connection ends', chunked, 'end'],
    ['chunks, and the connection is reset', chunked, 'resetAndDestroy'],
    ['half a chunk, and the connection ends', chunked.slice(0, -4), 'end'],
    ['a length, and the connection was to end anyway', length.replace('OK', 'OK\r\nConnection: close'), 'end'],
    ['chunks, and the connection was to end anyway', chunked.replace('OK', 'OK\r\nConnection: close'), 'end'],
    ['a chunk that is none', chunked.replace(/hello\r\n$/, 'hello\r\nzz\r\n'), 'end'],
  ]
  for (const [what, answer, leave] of rows) {
    it(`has broken off: ${what}`, async (t) => {
      const { raw, origin } = await site(t, ({ socket }) => socket.write(answer, () => setImmediate(() => socket[leave]())))
      const { text, broke } = await get(origin)
      assert.equal(broke, 'CDN_ORIGIN_BROKE_OFF')
      assert.ok('hello'.startsWith(text), text)
      assert.equal(raw.heads.length, 1)
    })
  }

  it('took too long when it is silent for too long', async (t) => {
    const { raw, origin } = await site(t, length, { bodyTimeoutMs: 100 })
    assert.deepEqual(await get(origin), {
      status: 200,
      fields: ['Content-Length', '10'],
      text: 'hello',
      broke: 'CDN_ORIGIN_TIMEOUT',
    })
    await raw.until(() => raw.open() === 0)
  })
})
