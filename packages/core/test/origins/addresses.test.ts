// Several addresses of one origin: who is asked, who is left out, and how it shows.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import type { Resolve } from '@simple-cdn/core'
import { fakeClock } from '@simple-cdn/testing'
import { failure, get, HELLO, plain } from '../support/http-site.ts'
import type { RawOrigin } from '../support/raw-origin.ts'
import { before, nowhere, raws, saying } from '../support/sites.ts'
import { watched } from '../support/watched.ts'

const urls = (all: readonly RawOrigin[]) => all.map(({ url }) => url)

describe('several addresses', () => {
  it('are asked in turn, by weight', async (t) => {
    const [a, b] = await raws(t, saying('a'), saying('b'))
    const origin = before(t, { url: [{ url: a?.url ?? '', weight: 2 }, b?.url ?? ''] })
    let asked = ''
    for (let turn = 0; turn < 6; turn++) asked += (await get(origin)).text
    assert.equal(asked, 'abaaba')
  })

  it('are asked by the key of what is asked for, when chosen by hash', async (t) => {
    const all = await raws(t, saying('a'), saying('b'), saying('c'))
    const origin = before(t, { url: urls(all), choice: 'hash' })
    const of = async (key: string, target: string) => (await get(origin, { key, target })).text
    const answers = new Set<string>()
    for (let at = 0; at < 30; at++) {
      const answer = await of(`k${at}`, '/a')
      assert.equal(await of(`k${at}`, '/b'), answer)
      answers.add(answer)
    }
    assert.equal(answers.size, 3)
  })

  it('have a path and a host each', async (t) => {
    const [a, b] = await raws(t, HELLO, HELLO)
    const origin = before(t, { url: [`${a?.url}/x/`, `${b?.url}/y`] })
    for (let turn = 0; turn < 2; turn++) await get(origin, { target: '/z' })
    assert.match(a?.heads[0] ?? '', new RegExp(`^GET /x/z HTTP/1.1\r\nhost: 127.0.0.1:${a?.port}\r\n`))
    assert.match(b?.heads[0] ?? '', new RegExp(`^GET /y/z HTTP/1.1\r\nhost: 127.0.0.1:${b?.port}\r\n`))
  })

  it('have a queue each: one that is full is passed over', async (t) => {
    const [slow, good] = await raws(t, '', saying('good'))
    const origin = before(t, { url: urls([slow, good] as RawOrigin[]), choice: 'first', connections: 1 })
    const asked = Array.from({ length: 5 }, () => failure(get(origin)))
    await slow?.until(() => slow.heads.length === 1)
    assert.equal((await get(origin)).text, 'good')
    await origin.close?.()
    await Promise.all(asked)
  })
})

describe('an address that keeps failing', () => {
  it('is left out, tried after a while, and back when it answers', async (t) => {
    const clock = fakeClock()
    let isUp = false
    const [a, b] = await raws(t, ({ socket }) => (isUp ? socket.write(saying('a')) : socket.end()), saying('b'))
    const url = urls([a, b] as RawOrigin[])
    const origin = before(t, { url, choice: 'first', clock, breaker: { failures: 3, pauseMs: 1_000 } })
    for (let turn = 0; turn < 5; turn++) assert.equal((await get(origin)).text, 'b')
    assert.equal(a?.heads.length, 3)
    assert.deepEqual(origin.stats?.().addresses, [
      { url: `${a?.url}/`, healthy: false, failures: 3 },
      { url: `${b?.url}/`, healthy: true, failures: 0 },
    ])
    await clock.advance(1_000)
    assert.equal((await get(origin)).text, 'b')
    assert.equal(a?.heads.length, 4)
    isUp = true
    await clock.advance(1_999)
    assert.equal((await get(origin)).text, 'b')
    await clock.advance(1)
    assert.equal((await get(origin)).text, 'a')
    assert.equal(origin.stats?.().addresses[0]?.healthy, true)
  })

  it('is asked all the same when the others are no better', async (t) => {
    let isUp = false
    const [a] = await raws(t, ({ socket }) => (isUp ? socket.write(saying('a')) : socket.end()))
    const origin = before(t, { url: [a?.url ?? '', await nowhere()], clock: fakeClock(), breaker: { failures: 1 }, retries: 1 })
    for (let turn = 0; turn < 3; turn++) assert.equal(await failure(get(origin)), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(origin.isHealthy?.(), false)
    isUp = true
    assert.equal((await get(origin)).text, 'a')
    assert.equal(origin.isHealthy?.(), true)
  })

  it('has not failed when it answers 503, when its client left, or when an upload broke off', async (t) => {
    const [a] = await raws(t, ({ head, socket }) => (head.startsWith('GET /503') ? socket.write(saying('', 503)) : undefined))
    const origin = before(t, { url: a?.url ?? '', breaker: { failures: 1 } })
    assert.equal((await get(origin, { target: '/503' })).status, 503)
    const client = new AbortController()
    const asked = failure(get(origin, {}, client.signal))
    await a?.until(() => a.heads.length === 2)
    client.abort()
    assert.equal(await asked, 'CDN_CLIENT_GONE')
    const body = (async function* () {
      yield Buffer.from('he')
      throw new Error('gone')
    })()
    assert.equal(await failure(get(origin, { method: 'POST', body })), 'CDN_ORIGIN_UNREACHABLE')
    assert.deepEqual(origin.stats?.().addresses, [{ url: `${a?.url}/`, healthy: true, failures: 0 }])
  })
})

describe('a health check', () => {
  const options = { path: '/health', everyMs: 10_000, timeoutMs: 9_000, threshold: 2, window: 3 }

  it('is made at once and then as often as it should be, with the host of the address', async (t) => {
    const clock = fakeClock()
    const [a] = await raws(t, HELLO)
    before(t, { url: `${a?.url}/base`, clock, health: options })
    for (let checks = 1; checks <= 3; checks++) {
      await a?.until(() => a.heads.length === checks && a.open() === 0)
      for (let turn = 0; turn < 5; turn++) await clock.advance(0)
      await clock.advance(9_999)
      assert.equal(a?.heads.length, checks)
      await clock.advance(1)
    }
    assert.match(a?.heads[0] ?? '', new RegExp(`^GET /base/health HTTP/1.1\r\nhost: 127.0.0.1:${a?.port}\r\n`))
  })

  /** Puts two addresses before a clock; the first answers checks as the test says. */
  async function checked(t: TestContext, good: string, bad: string) {
    const clock = fakeClock()
    let isUp = true
    const { happened, until } = watched()
    const [a, b] = await raws(
      t,
      ({ head, socket }) => {
        if (!head.startsWith('GET /health')) return socket.write(saying('a'))
        socket.once('close', happened)
        return socket.write(isUp ? good : bad)
      },
      ({ head, socket }) => socket.write(head.startsWith('GET /health') ? good : saying('b')),
    )
    const origin = before(t, {
      url: urls([a, b] as RawOrigin[]),
      choice: 'first',
      clock,
      health: { ...options, expect: [200, 299] },
    })
    const checks = (raw: RawOrigin | undefined) => raw?.heads.filter((head) => head.startsWith('GET /health')).length ?? 0
    let expected = 0
    const settled = async () => {
      expected++
      await until(() => checks(a) === expected)
      await a?.until(() => a.open() <= 1)
      for (let turn = 0; turn < 5; turn++) await clock.advance(0)
    }
    await settled()
    return {
      origin,
      async check(up: boolean) {
        isUp = up
        await clock.advance(10_000)
        await settled()
        return (await get(origin)).text
      },
    }
  }

  it('takes an address out when too few of the last ones were good, and back when enough were', async (t) => {
    const { origin, check } = await checked(t, saying('', 204), saying('', 500))
    assert.deepEqual([await check(false), await check(false)], ['a', 'b'])
    assert.deepEqual(
      origin.stats?.().addresses.map(({ healthy, failures }) => [healthy, failures]),
      [
        [false, 2],
        [true, 0],
      ],
    )
    assert.deepEqual([await check(true), await check(true), await check(false), await check(false)], ['b', 'a', 'a', 'b'])
  })

  it('fails when there is no answer in time', async (t) => {
    const clock = fakeClock()
    const [a] = await raws(t, '')
    const origin = before(t, { url: a?.url ?? '', clock, health: { ...options, threshold: 3 } })
    await a?.until(() => a.heads.length === 1)
    await clock.advance(8_999)
    assert.equal(origin.isHealthy?.(), true)
    await clock.advance(1)
    while (origin.stats?.().addresses[0]?.failures === 0) await clock.advance(0)
    assert.deepEqual(origin.stats?.().addresses, [{ url: `${a?.url}/`, healthy: false, failures: 1 }])
  })

  it('ends with the origin', async (t) => {
    const clock = fakeClock()
    const [a] = await raws(t, '')
    const origin = before(t, { url: a?.url ?? '', clock, health: options })
    await a?.until(() => a.heads.length === 1)
    await origin.close?.()
    await a?.until(() => a.open() === 0)
    await clock.advance(100_000)
    assert.equal(a?.accepted(), 1)
  })
})

describe('the name of a host', () => {
  function names(...answers: (readonly string[] | Error)[]) {
    const asked: string[] = []
    const resolve: Resolve = async (host) => {
      asked.push(host)
      const answer = (answers.length > 1 ? answers.shift() : answers[0]) as readonly string[] | Error
      if (answer instanceof Error) throw answer
      return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    }
    return { asked, resolve }
  }

  it('is looked up once for as long as the answer counts, whatever the number of connections', async (t) => {
    const clock = fakeClock()
    const { asked, resolve } = names(['127.0.0.1'])
    const [a] = await raws(t, HELLO.replace('OK', 'OK\r\nConnection: close'))
    const origin = before(t, { url: `http://app.test:${a?.port}`, resolve, clock })
    await Promise.all([get(origin), get(origin), get(origin)])
    await clock.advance(9_999)
    await get(origin)
    assert.deepEqual(asked, ['app.test'])
    await clock.advance(1)
    await get(origin)
    assert.equal(asked.length, 2)
  })

  it('is looked up again while a connection stays open, and when the host has moved, what is next goes there', async (t) => {
    const clock = fakeClock()
    const { resolve } = names(['127.0.0.1'], ['127.0.0.2'])
    const [a] = await raws(t, ({ socket }) => socket.write(saying(socket.localAddress ?? '')))
    const there = createServer((socket) => socket.on('data', () => socket.write(saying('there'))).on('error', () => undefined))
    await new Promise<void>((done) => there.listen(a?.port, '127.0.0.2', done))
    t.after(() => there.close())
    const origin = before(t, { url: `http://app.test:${a?.port}`, resolve, clock })
    const first = await origin.fetch(plain, new AbortController().signal)
    await clock.advance(10_000)
    assert.equal((await get(origin)).status, 200)
    await clock.advance(0)
    assert.equal((await get(origin)).text, 'there')
    let text = ''
    for await (const chunk of first.body) text += Buffer.from(chunk)
    assert.equal(text, '127.0.0.1', 'what was under way ends in peace')
    await a?.until(() => a.open() === 0)
    await origin.close?.()
  })

  it('counts as it was when the resolver fails, and is asked for again', async (t) => {
    const clock = fakeClock()
    const { asked, resolve } = names(['127.0.0.1'], new Error('no resolver'))
    const [a] = await raws(t, HELLO)
    const origin = before(t, { url: `http://app.test:${a?.port}`, resolve, clock })
    for (let turn = 0; turn < 3; turn++) {
      assert.equal((await get(origin)).text, 'hello')
      await clock.advance(10_000)
    }
    assert.equal(asked.length, 3)
  })

  it('that nobody knows makes the origin unreachable', async (t) => {
    const { resolve } = names(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }))
    assert.equal(await failure(get(before(t, { url: 'http://app.test', resolve }))), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(await failure(get(before(t, { url: 'http://app.test', resolve: async () => [] }))), 'CDN_ORIGIN_UNREACHABLE')
  })

  it('may have several IP addresses: the next is tried when one does not answer', async (t) => {
    const { resolve } = names(['::1', '127.0.0.1'])
    const [a] = await raws(t, HELLO)
    assert.equal((await get(before(t, { url: `http://app.test:${a?.port}`, resolve, retries: 0 }))).text, 'hello')
  })
})
