// A body above the slice size is kept in slices: a range fetches those it needs, and what has come stays.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CacheConfig, type Fields, memoryStore, type OriginRequest } from '@simple-cdn/core'
import { play, requestFor, type Scripted, scriptedOrigin, settled } from '@simple-cdn/testing'

const SLICE = 64 * 1024
const SLICES = 10
const LENGTH = SLICE * (SLICES - 1) + 1000

/** Different for each version and at every offset. */
function recording(version: string): Uint8Array {
  const seed = version.charCodeAt(0)
  return Uint8Array.from({ length: LENGTH }, (_, at) => (at * 31 + (at >> 8) * 17 + seed) & 255)
}

interface Bucket {
  version: string
  headers: Record<string, string>
  knowsRanges: boolean
  /** Bytes sent so far. */
  sent: number
  /** What every chunk waits for. */
  pace: () => Promise<unknown>
  /** Breaks off after so many bytes of a response. */
  breaksAfter: number
}

/** A bucket as S3 is one: strong entity tags, ranges, If-Range, If-None-Match. */
function site(cache: CacheConfig = {}, { maxBytes = 16 * 1024 * 1024, etag = true } = {}) {
  const bucket: Bucket = {
    version: 'a',
    headers: { 'Cache-Control': 'max-age=60' },
    knowsRanges: true,
    sent: 0,
    pace: async () => {},
    breaksAfter: Number.POSITIVE_INFINITY,
  }
  const origin = scriptedOrigin()
  origin.answer((request): Scripted => {
    const whole = recording(bucket.version)
    const tag = `"${bucket.version}"`
    const headers = { ...bucket.headers, ...(etag && { ETag: tag }) }
    if (field(request.fields, 'if-none-match') === tag) return { status: 304, headers }
    const condition = field(request.fields, 'if-range')
    const range = /^bytes=(\d+)-(\d*)$/.exec(field(request.fields, 'range') ?? '')
    const isPart = bucket.knowsRanges && range !== null && (condition === undefined || condition === tag)
    const first = isPart ? Number(range[1]) : 0
    const last = isPart && range[2] !== '' ? Math.min(Number(range[2]), LENGTH - 1) : LENGTH - 1
    const body = (async function* () {
      for (let at = first; at <= last; at += 16_384) {
        await bucket.pace()
        if (at - first >= bucket.breaksAfter) throw new Error('the bucket broke off')
        const chunk = whole.slice(at, Math.min(at + 16_384, last + 1))
        bucket.sent += chunk.byteLength
        yield chunk
      }
    })()
    const length = { 'Content-Length': String(last - first + 1) }
    if (!isPart) return { headers: { ...headers, ...length }, body }
    return { status: 206, headers: { ...headers, ...length, 'Content-Range': `bytes ${first}-${last}/${LENGTH}` }, body }
  })
  const store = memoryStore({ maxBytes })
  const played = play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin', cache }], slice: SLICE, store })
  return { origin, bucket, store, ...played }
}

function field(fields: Fields, name: string): string | undefined {
  const at = fields.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === name)
  return at < 0 ? undefined : fields[at + 1]
}

function ranges(requests: readonly OriginRequest[]): readonly (string | undefined)[] {
  return requests.map((request) => field(request.fields, 'range'))
}

const part = (first: number, last: number) => ({ headers: { Range: `bytes=${first}-${last}` } })
const bytesOf = (version: string, first = 0, last = LENGTH - 1) => recording(version).slice(first, last + 1)

describe('a large body', () => {
  it('is stored in slices as it comes, and served from them', async () => {
    const { origin, store, get } = site()
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
    const again = await get('/a')
    assert.match(again.header('cache-status'), /; hit/)
    assert.equal(again.header('content-length'), String(LENGTH))
    assert.deepEqual(again.bytes, bytesOf('a'))
    assert.equal(origin.requests.length, 1)
    assert.equal((await store.lookup('http://cdn.test/a' as never))[0]?.meta.sliceBytes, SLICE)
  })

  it('is not asked for as a whole when a client wants a part of it', async () => {
    const { origin, bucket, get } = site()
    const middle = await get('/a', part(5 * SLICE + 100, 5 * SLICE + 1123))
    assert.equal(middle.status, 206)
    assert.equal(middle.header('content-range'), `bytes ${5 * SLICE + 100}-${5 * SLICE + 1123}/${LENGTH}`)
    assert.deepEqual(middle.bytes, bytesOf('a', 5 * SLICE + 100, 5 * SLICE + 1123))
    assert.equal(bucket.sent, SLICE, 'one slice')
    assert.match((await get('/a', part(5 * SLICE, 6 * SLICE - 1))).header('cache-status'), /; hit/)
    assert.equal(origin.requests.length, 1)
  })

  it('of 256 MiB brings one slice, with the options as they are, when a client wants 1 KiB in the middle', async () => {
    const [length, middle] = [256 * 1024 ** 2, 128 * 1024 ** 2]
    const byteAt = (at: number) => (at * 31 + (at >> 8) * 17) & 255
    let sent = 0
    const origin = scriptedOrigin()
    origin.answer((request): Scripted => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(field(request.fields, 'range') ?? '') ?? []
      assert.ok(first !== undefined && last !== undefined, 'the whole is asked for')
      const bytes = Uint8Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => byteAt(Number(first) + at))
      sent += bytes.byteLength
      const headers = { 'Cache-Control': 'max-age=60', ETag: '"a"', 'Content-Length': String(bytes.byteLength) }
      return { status: 206, headers: { ...headers, 'Content-Range': `bytes ${first}-${last}/${length}` }, body: bytes }
    })
    const { get } = play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin' }] })
    for (const cache of [/; fwd=uri-miss/, /; hit/]) {
      const got = await get('/film', part(middle, middle + 1023))
      assert.deepEqual([got.status, got.header('content-range')], [206, `bytes ${middle}-${middle + 1023}/${length}`])
      assert.deepEqual(
        got.bytes,
        Uint8Array.from({ length: 1024 }, (_, at) => byteAt(middle + at)),
      )
      assert.match(got.header('cache-status') ?? '', cache)
    }
    assert.ok(sent <= 1024 ** 2, `${sent} bytes came`)
    assert.equal(origin.requests.length, 1)
  })

  it('that is asked for in several ranges, or from its first byte on, is fetched whole, and several ranges get the whole', async () => {
    for (const [range, status] of [
      ['bytes=0-', 206],
      ['bytes=0-9,20-29', 200],
      [`bytes=${Array.from({ length: 500 }, (_, at) => `${at * 2}-${LENGTH}`).join(',')}`, 200],
    ] as const) {
      const { origin, get } = site()
      const got = await get('/a', { headers: { Range: range } })
      assert.equal(got.status, status)
      assert.deepEqual(got.bytes, bytesOf('a'))
      assert.deepEqual(ranges(origin.requests), [undefined])
      assert.match((await get('/a')).header('cache-status'), /; hit/)
    }
  })

  it('is completed by the slices that are missing, each fetched once', async () => {
    const { origin, bucket, get } = site()
    await get('/a', part(3 * SLICE, 4 * SLICE - 1))
    await get('/a', part(6 * SLICE, 7 * SLICE - 1))
    const whole = await get('/a')
    assert.equal(whole.header('cache-status'), 'simple-cdn; fwd=partial; fwd-status=206; ttl=60; stored; detail=slice-miss')
    assert.deepEqual(whole.bytes, bytesOf('a'))
    assert.equal(bucket.sent, LENGTH)
    assert.deepEqual(ranges(origin.requests).slice(2), [
      `bytes=0-${3 * SLICE - 1}`,
      `bytes=${4 * SLICE}-${6 * SLICE - 1}`,
      `bytes=${7 * SLICE}-${LENGTH - 1}`,
    ])
    assert.equal(field(origin.requests[2]?.fields ?? [], 'if-range'), '"a"')
    assert.match((await get('/a')).header('cache-status'), /; hit/)
  })

  it('is fetched once for many clients that want different parts of it at the same time', async () => {
    const { bucket, get } = site()
    const all = Array.from({ length: 30 }, (_, at) => {
      const first = (at % 8) * SLICE + at
      return get('/a', part(first, first + 40_000)).then((got) =>
        assert.deepEqual(got.bytes, bytesOf('a', first, first + 40_000)),
      )
    })
    await Promise.all(all)
    assert.ok(bucket.sent <= LENGTH, `${bucket.sent} bytes were fetched of ${LENGTH}`)
  })

  it('keeps the slices that had come when the only client left, and stops fetching', async () => {
    const { origin, bucket, cdn, get } = site()
    const leaving = await cdn.handle(requestFor('/a'))
    const reading = (leaving.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    for (let got = 0; got < 2.5 * SLICE; ) got += (await reading.next()).value.byteLength
    await reading.return?.()
    leaving.finished(0, false)
    await settled()
    assert.ok(bucket.sent < 5 * SLICE, `${bucket.sent / SLICE} slices were fetched`)
    assert.match((await get('/a', part(0, 2 * SLICE - 1))).header('cache-status'), /; hit/)
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
    assert.equal(origin.requests.length, 2)
  })

  for (const [finishAbandoned, expected] of [
    [true, LENGTH],
    [false, 8 * SLICE],
    [0.5, LENGTH],
    [0.9, 8 * SLICE],
  ] as const) {
    it(`abandoned at 70 % of it is ${expected === LENGTH ? 'finished' : 'given up'} with finishAbandoned: ${finishAbandoned}`, async () => {
      const { bucket, cdn } = site({ finishAbandoned })
      const answer = await cdn.handle(requestFor('/a'))
      const reading = (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
      let allowed = Math.ceil((7 * SLICE) / 16_384)
      const more = Promise.withResolvers<void>()
      bucket.pace = async () => {
        if (allowed-- <= 0) await more.promise
      }
      for (let got = 0; got < 6.5 * SLICE; ) got += (await reading.next()).value.byteLength
      await reading.return?.()
      answer.finished(0, false)
      more.resolve()
      await settled()
      await settled()
      await settled()
      if (expected === LENGTH) assert.equal(bucket.sent, LENGTH)
      else assert.ok(bucket.sent <= expected, `${bucket.sent / SLICE} slices were fetched`)
    })
  }

  it('is never a mixture of two versions: who asks after the change gets the new one', async () => {
    const { bucket, get } = site()
    await get('/a', part(0, SLICE - 1))
    bucket.version = 'b'
    assert.deepEqual((await get('/a', part(2 * SLICE, 3 * SLICE - 1))).bytes, bytesOf('b', 2 * SLICE, 3 * SLICE - 1))
    assert.deepEqual((await get('/a')).bytes, bytesOf('b'))
  })

  it('that changes under a client breaks off, rather than going on with another version', async () => {
    const { bucket, cdn, get } = site()
    await get('/a', part(0, SLICE - 1))
    await get('/a', part(2 * SLICE, 3 * SLICE - 1))
    const answer = await cdn.handle(requestFor('/a'))
    const reading = (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    bucket.version = 'b'
    const got: Uint8Array[] = []
    await assert.rejects(async () => {
      for (;;) {
        const { done, value } = await reading.next()
        if (done === true) return
        got.push(new Uint8Array(value))
      }
    }, /another version/)
    const came = new Uint8Array(Buffer.concat(got))
    assert.deepEqual(came, bytesOf('a', 0, came.byteLength - 1))
    assert.ok(came.byteLength < LENGTH)
  })

  it('is fetched from the middle on for one who wants the rest, though another fetches it from the beginning, slowly', async () => {
    const { origin, bucket, cdn, get } = site()
    const { promise, resolve } = Promise.withResolvers<void>()
    let fromTheBeginning = true
    bucket.pace = () => (fromTheBeginning ? promise : Promise.resolve())
    const slow = await cdn.handle(requestFor('/a'))
    const reading = (slow.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    const begun = reading.next()
    await settled()
    fromTheBeginning = false
    assert.deepEqual((await get('/a', part(6 * SLICE + 5, LENGTH - 1))).bytes, bytesOf('a', 6 * SLICE + 5))
    assert.deepEqual(ranges(origin.requests), [undefined, `bytes=${6 * SLICE}-${LENGTH - 1}`])
    resolve()
    const got = [new Uint8Array((await begun).value)]
    for await (const chunk of { [Symbol.asyncIterator]: () => reading }) got.push(new Uint8Array(chunk))
    assert.deepEqual(new Uint8Array(Buffer.concat(got)), bytesOf('a'))
    assert.equal(origin.requests.length, 2)
    assert.equal(bucket.sent, LENGTH + 16_384, 'only what was on its way when the slice turned out to be there')
  })

  it('goes on where the origin broke off, without the client noticing', async () => {
    const { origin, bucket, get } = site()
    bucket.breaksAfter = 4 * SLICE
    const whole = await get('/a')
    assert.equal(whole.brokenOff, undefined)
    assert.deepEqual(whole.bytes, bytesOf('a'))
    assert.deepEqual(ranges(origin.requests), [undefined, `bytes=${4 * SLICE}-${LENGTH - 1}`, `bytes=${8 * SLICE}-${LENGTH - 1}`])
  })

  it('is validated as a whole, and its slices stay', async () => {
    const { origin, bucket, clock, get } = site()
    await get('/a')
    await clock.advance(61_000)
    const again = await get('/a', part(10, 19))
    assert.match(again.header('cache-status'), /fwd=stale; fwd-status=304/)
    assert.deepEqual(again.bytes, bytesOf('a', 10, 19))
    assert.equal(origin.requests.length, 2)
    assert.equal(bucket.sent, LENGTH)
  })

  it('that has changed when a part of it is validated brings that part of the new version only', async () => {
    const { bucket, clock, get } = site()
    await get('/a')
    await clock.advance(61_000)
    bucket.version = 'b'
    bucket.sent = 0
    const again = await get('/a', part(3 * SLICE, 3 * SLICE + 9))
    assert.equal(again.status, 206)
    assert.deepEqual(again.bytes, bytesOf('b', 3 * SLICE, 3 * SLICE + 9))
    assert.equal(bucket.sent, SLICE)
  })

  it('is streamed whole from an origin without ranges, and kept', async () => {
    const { origin, bucket, get } = site()
    bucket.knowsRanges = false
    const middle = await get('/a', part(5 * SLICE, 5 * SLICE + 9))
    assert.equal(middle.status, 206)
    assert.deepEqual(middle.bytes, bytesOf('a', 5 * SLICE, 5 * SLICE + 9))
    await settled()
    await settled()
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
    assert.ok(origin.requests.length <= 2)
  })

  it('without a validator is kept whole or not at all, and never in parts', async () => {
    const { origin, store, cdn, get } = site({}, { etag: false })
    const middle = await get('/a', part(5 * SLICE, 5 * SLICE + 9))
    assert.deepEqual(middle.bytes, bytesOf('a', 5 * SLICE, 5 * SLICE + 9))
    assert.equal(
      field(origin.requests.at(-1)?.fields ?? [], 'range'),
      `bytes=${5 * SLICE}-${5 * SLICE + 9}`,
      'as the client asked',
    )
    const leaving = await cdn.handle(requestFor('/b'))
    const reading = (leaving.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    await reading.next()
    await reading.return?.()
    leaving.finished(0, false)
    await settled()
    assert.deepEqual(await store.lookup('http://cdn.test/b' as never), [])
    assert.deepEqual((await get('/b')).bytes, bytesOf('a'))
    assert.match((await get('/b', part(7, 70_000))).header('cache-status'), /; hit/)
    assert.deepEqual((await get('/b', part(7, 70_000))).bytes, bytesOf('a', 7, 70_000))
  })

  it('larger than the store reaches clients whole, and parts of it stay', async () => {
    const { get } = site({}, { maxBytes: 5 * SLICE })
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
  })

  it('that is too large to be kept gives exactly the part that was asked for, the first time and later', async () => {
    for (const { get, origin } of [site({}, { maxBytes: 4 * SLICE }), site({ maxBody: '200kb' })]) {
      for (const [first, last] of [
        [5 * SLICE + 100, 5 * SLICE + 1123],
        [0, 1],
      ] as const) {
        const answer = await get('/a', part(first, last))
        assert.equal(answer.header('content-range'), `bytes ${first}-${last}/${LENGTH}`)
        assert.deepEqual(answer.bytes, bytesOf('a', first, last))
      }
      assert.deepEqual(
        ranges(origin.requests),
        [`bytes=${5 * SLICE}-${6 * SLICE - 1}`, `bytes=${5 * SLICE + 100}-${5 * SLICE + 1123}`, 'bytes=0-1'],
        'what it is worth is known from the first answer on',
      )
    }
  })

  it('of unknown length is stored when its end has come', async () => {
    const { origin, get } = site()
    const chunks = (async function* () {
      for (let at = 0; at < LENGTH; at += 10_000) yield recording('a').slice(at, Math.min(at + 10_000, LENGTH))
    })()
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: chunks })
    assert.deepEqual((await get('/a')).bytes, bytesOf('a'))
    assert.match((await get('/a', part(SLICE - 5, SLICE + 5))).header('cache-status'), /; hit/)
    assert.deepEqual((await get('/a', part(SLICE - 5, SLICE + 5))).bytes, bytesOf('a', SLICE - 5, SLICE + 5))
  })

  it('is not completed after it was invalidated', async () => {
    const { origin, bucket, get } = site()
    const { promise, resolve } = Promise.withResolvers<void>()
    let allowed = 20
    bucket.pace = async () => {
      if (allowed-- <= 0) await promise
    }
    const slow = get('/a')
    await settled()
    origin.answer({ status: 204 })
    await get('/a', { method: 'PUT' })
    resolve()
    assert.deepEqual((await slow).bytes, bytesOf('a'))
    origin.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'new' })
    assert.equal((await get('/a')).text, 'new')
  })
})
