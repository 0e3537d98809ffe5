// A private bucket: what reaches it is signed and nothing but a question for an object, whatever a client sends.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type BucketOptions, createCdn, type HttpOriginOptions } from '@simple-cdn/core'
import { fakeClock, requestFor } from '@simple-cdn/testing'
import { failure, get, HELLO, pieces } from '../support/http-site.ts'
import { before, raws, saying } from '../support/sites.ts'
import { credentials, strictBucket } from '../support/strict-bucket.ts'

const OBJECTS = {
  'a.txt': 'hello',
  "a b+c%d(1)!*'~.txt": 'odd',
  'dir//x': 'empty segment',
  'sch\u00f6n/\u{1f600}.txt': 'unicode',
  'q?x=1#y': 'question',
  '+': 'plus',
}

async function bucket(t: TestContext, options: Partial<HttpOriginOptions> = {}, s3: Partial<BucketOptions> = {}) {
  const files = await strictBucket(t, OBJECTS, options.clock?.now)
  const origin = before(t, { url: files.url, s3: { ...credentials, bucket: 'files', ...s3 }, ...options })
  return { files, origin }
}

describe('a private bucket', () => {
  it('takes the signature of GET and HEAD', async (t) => {
    const { files, origin } = await bucket(t)
    assert.equal((await get(origin, { target: '/a.txt' })).text, 'hello')
    const { status, fields, text } = await get(origin, { method: 'HEAD', target: '/a.txt' })
    assert.deepEqual([status, text, fields.at(-1)], [200, '', '5'])
    assert.deepEqual(files.refusals, [])
  })

  it('takes it for keys of all characters, however they were escaped', async (t) => {
    const { files, origin } = await bucket(t)
    for (const [key, content] of Object.entries(OBJECTS)) {
      const spellings = [
        `/${key.split('/').map(encodeURIComponent).join('/')}`,
        `/${[...Buffer.from(key)].map((byte) => (byte === 47 ? '/' : `%${byte.toString(16).padStart(2, '0')}`)).join('')}`,
      ]
      for (const target of spellings) assert.equal((await get(origin, { target })).text, content, target)
    }
    assert.equal((await get(origin, { target: '/+' })).text, 'plus')
    assert.equal((await get(origin, { target: "/a%20b+c%25d(1)!*'~.txt" })).text, 'odd')
    assert.deepEqual(files.refusals, [])
  })

  it('takes it together with ranges and conditions, which are not part of it', async (t) => {
    const { files, origin } = await bucket(t)
    const part = await get(origin, { target: '/a.txt', fields: ['Range', 'bytes=1-3'] })
    assert.deepEqual([part.status, part.text], [206, 'ell'])
    const etag = part.fields[part.fields.indexOf('ETag') + 1] as string
    assert.equal((await get(origin, { target: '/a.txt', fields: ['If-None-Match', etag] })).status, 304)
    assert.deepEqual(files.refusals, [])
  })

  it('takes it at any time of day, one day after the other', async (t) => {
    const clock = fakeClock(Date.UTC(2014, 11, 30, 23, 59, 59))
    const { files, origin } = await bucket(t, { clock })
    for (let day = 0; day < 5; day++) {
      assert.equal((await get(origin, { target: '/a.txt' })).text, 'hello')
      await clock.advance(86_400_000)
    }
    assert.deepEqual(files.refusals, [])
  })

  it('is found by the name in the path of the url, too, and by the host', async (t) => {
    const { files } = await bucket(t)
    assert.equal((await get(before(t, { url: `${files.url}/files/`, s3: credentials }), { target: '/a.txt' })).text, 'hello')
    const resolve = async () => [{ address: '127.0.0.1', family: 4 }]
    const [plain] = await raws(t, HELLO)
    const s3 = { ...credentials, bucket: 'files', pathStyle: false }
    await get(before(t, { url: `http://s3.test:${plain?.port}`, s3, resolve }), { target: '/a.txt' })
    assert.match(plain?.heads[0] ?? '', new RegExp(`^GET /a.txt HTTP/1.1\r\nhost: files.s3.test:${plain?.port}\r\n`, 'i'))
  })

  it('has its health checked with a signature', async (t) => {
    const { files } = await bucket(t)
    const health = { path: '/a.txt', everyMs: 60_000, threshold: 1, window: 1 }
    const origin = before(t, { url: files.url, s3: { ...credentials, bucket: 'files' }, health })
    await files.until(() => files.keys.length === 1 && files.open() === 0)
    assert.equal(origin.isHealthy?.(), true)
    assert.deepEqual(files.refusals, [])
  })

  it('never sees what is not for it', async (t) => {
    const { files, origin } = await bucket(t)
    const fields = [
      'Authorization',
      'Bearer secret',
      'Cookie',
      'session=1',
      'X-Amz-Acl',
      'public-read',
      'x-amz-date',
      '1',
      'X-Own',
      '1',
      'Accept-Encoding',
      'gzip',
      'CDN-Loop',
      'a',
      'X-Forwarded-For',
      '192.0.2.1',
    ]
    assert.equal((await get(origin, { target: '/a.txt?acl&uploads', fields })).text, 'hello')
    assert.deepEqual(files.refusals, [])
    const [head = ''] = files.heads
    assert.match(head, /^GET \/files\/a\.txt HTTP\/1\.1\r\n/)
    assert.deepEqual(
      head
        .trimEnd()
        .split('\r\n')
        .slice(1)
        .map((line) => line.split(':', 1)[0]?.toLowerCase())
        .sort(),
      ['authorization', 'cdn-loop', 'connection', 'host', 'x-amz-content-sha256', 'x-amz-date'],
    )
  })

  it('is not asked to list or to change anything', async (t) => {
    const { files, origin } = await bucket(t)
    for (const target of ['/', '/?list-type=2', '/%ff', '/../other/x', '/%2e%2e/other/x', '/a%2f..%2f..%2fother/x'])
      assert.equal((await get(origin, { target })).status, 404, target)
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS', 'get']) {
      const { status, fields } = await get(origin, { method, target: '/a.txt', body: pieces('x') })
      assert.deepEqual([status, fields[1]], [405, 'GET, HEAD'], method)
    }
    assert.equal(files.accepted(), 0)
  })

  it('gives no names and no keys away', async (t) => {
    const { files, origin } = await bucket(t)
    const missing = await get(origin, { target: '/missing' })
    assert.deepEqual([missing.status, missing.text, missing.fields], [404, '', ['Content-Length', '0']])
    const wrong = before(t, { url: files.url, s3: { ...credentials, bucket: 'files', secretAccessKey: 'another' } })
    const refused = await get(wrong, { target: '/a.txt' })
    assert.deepEqual([refused.status, refused.text], [403, ''])
    assert.match(files.refusals[0] ?? '', /^SignatureDoesNotMatch/)
    const { fields } = await get(origin, { target: '/a.txt' })
    assert.deepEqual(
      fields.filter((name) => name.startsWith('x-amz-')),
      ['x-amz-meta-own'],
    )
    assert.equal(files.accepted(), 2, 'connections outlive errors')
  })

  it('that is elsewhere is a mistake and no redirect for clients', async (t) => {
    const [moved] = await raws(t, saying('<Endpoint>files.s3.us-west-2.amazonaws.com</Endpoint>', 301))
    const origin = before(t, { url: moved?.url ?? '', s3: { ...credentials, bucket: 'files' } })
    assert.equal(await failure(get(origin, { target: '/a.txt' })), 'CDN_ORIGIN_PROTOCOL')
  })

  it('is cached like any origin', async (t) => {
    const files = await strictBucket(t, OBJECTS)
    const cdn = createCdn({
      origins: { files: { url: files.url, s3: { ...credentials, bucket: 'files' } } },
      routes: [{ match: '/*', origin: 'files', cache: { defaultTtl: '1h' } }],
      log: [],
    })
    t.after(() => cdn.close({ graceMs: 0 }))
    const headers = { Range: 'bytes=1-3', Authorization: 'Bearer x' }
    for (const [asked, status, text] of [
      [{}, 200, 'hello'],
      [{ headers }, 206, 'ell'],
    ] as const) {
      const answer = await cdn.handle(requestFor('/a.txt', asked))
      const chunks: Uint8Array[] = []
      if (answer.body instanceof Uint8Array) chunks.push(answer.body)
      else for await (const chunk of answer.body ?? []) chunks.push(chunk)
      answer.finished(0, true)
      assert.deepEqual([answer.status, Buffer.concat(chunks).toString()], [status, text])
    }
    assert.deepEqual(files.keys, ['a.txt'])
  })
})
