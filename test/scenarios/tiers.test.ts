// A simple-cdn before another: an edge, a shield and an origin, over HTTP, as three processes would be.
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Cdn, createCdn } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import { type FakeClock, fakeClock } from '@simple-cdn/testing'

async function listening(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A cache of that name before a URL. */
async function tier(t: TestContext, name: string, url: string, clock: FakeClock): Promise<{ cdn: Cdn; url: string }> {
  const cdn = createCdn({ name, origins: { next: url }, routes: [{ match: '/*', origin: 'next' }], log: [] }, { clock })
  t.after(() => cdn.close({ graceMs: 0 }))
  return { cdn, url: await listening(t, toNodeHandler(cdn)) }
}

async function tiers(t: TestContext, listener: RequestListener) {
  const clock = fakeClock(Date.now())
  const origin: RequestListener = (request, response) => {
    response.setHeader('Date', new Date(clock.now()).toUTCString())
    listener(request, response)
  }
  const shield = await tier(t, 'shield', await listening(t, origin), clock)
  const edges = [await tier(t, 'edge', shield.url, clock), await tier(t, 'edge', shield.url, clock)] as const
  return { clock, shield, edges }
}

test('a shield answers for many edges, and each cache says what it did, the origin side first', async (t) => {
  let asked = 0
  const heads: (string | undefined)[] = []
  const { clock, shield, edges } = await tiers(t, ({ headers }, response) => {
    asked++
    heads.push(headers.via, String(headers['cdn-loop']).replace(/id=\w+/g, 'id'))
    response.writeHead(200, { 'Cache-Control': 'max-age=100' }).end('hello')
  })
  const first = await fetch(edges[0].url)
  assert.equal(await first.text(), 'hello')
  assert.match(first.headers.get('cache-status') ?? '', /^shield; fwd=uri-miss; .*stored.*, edge; fwd=uri-miss; .*stored/)
  assert.equal(first.headers.get('via'), '1.1 shield, 1.1 edge')
  assert.deepEqual(heads, ['1.1 edge, 1.1 shield', 'edge; id, shield; id'])

  await clock.advance(30_000)
  const second = await fetch(edges[1].url)
  assert.match(second.headers.get('cache-status') ?? '', /^shield; hit; ttl=\d+, edge; fwd=uri-miss/)
  assert.equal(second.headers.get('age'), '30', 'the time in the shield')

  await clock.advance(20_000)
  const third = await fetch(edges[1].url)
  // The shield was not asked: what it did is part of what was stored.
  assert.match(third.headers.get('cache-status') ?? '', /, edge; hit; ttl=50$/)
  assert.equal(third.headers.get('age'), '50', 'the time in both')
  await Promise.all([second.text(), third.text()])
  assert.equal(asked, 1)
  assert.equal(shield.cdn.stats().hits, 1)
})

test('what is stale at the edge has to be validated by the shield only, as long as it is fresh there', async (t) => {
  let asked = 0
  const { clock, edges } = await tiers(t, ({ headers }, response) => {
    asked++
    const isSame = headers['if-none-match'] === '"v1"'
    response.writeHead(isSame ? 304 : 200, { 'Cache-Control': 'max-age=100', ETag: '"v1"' }).end(isSame ? undefined : 'hello')
  })
  await (await fetch(edges[0].url)).text()
  await clock.advance(101_000)
  await (await fetch(edges[1].url)).text()
  assert.equal(asked, 2)
  const again = await fetch(edges[0].url)
  assert.equal(await again.text(), 'hello')
  assert.match(again.headers.get('cache-status') ?? '', /edge; fwd=stale; fwd-status=304/)
  assert.equal(asked, 2)
})

test('a loop of tiers is refused', async (t) => {
  const clock = fakeClock(Date.now())
  let edgeUrl = ''
  // The origin of the shield hands everything on to the edge, as a wrong name in DNS would.
  const back = await listening(t, async ({ url, headers }, response) => {
    const answer = await fetch(edgeUrl + url, { headers: { 'CDN-Loop': String(headers['cdn-loop']) } })
    response.writeHead(answer.status, { 'Cache-Control': 'no-store' }).end(await answer.text())
  })
  const shield = await tier(t, 'shield', back, clock)
  const edge = await tier(t, 'edge', shield.url, clock)
  edgeUrl = edge.url
  const answer = await fetch(`${edge.url}/`)
  assert.equal(answer.status, 508)
  assert.match(await answer.text(), /CDN_LOOP/)
  assert.deepEqual([edge.cdn.stats().requests, shield.cdn.stats().requests], [2, 1])
})
