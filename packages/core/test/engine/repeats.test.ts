// What is asked for again within the same second is answered with what was made for the first; everything else is made anew.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { play, scriptedOrigin } from '@simple-cdn/testing'

function site(route: object = {}) {
  const origin = scriptedOrigin()
  origin.answer({ headers: { 'Cache-Control': 'max-age=60, stale-while-revalidate=60', ETag: '"1"' }, body: 'a page' })
  const played = play({ origins: { origin }, routes: [{ match: '/*', origin: 'origin', ...route }] })
  const now = (fields: readonly string[] = [], method = 'GET') =>
    played.cdn.handleNow({
      ...{ method, scheme: 'https', authority: 'cdn.test', target: '/', httpVersion: '1.1', fields },
      signal: new AbortController().signal,
    })
  return { origin, ...played, now }
}

it('is the same for everybody until the age is another', async () => {
  const { get, clock, now } = site()
  await get('https://cdn.test/')
  now()
  const [second, third] = [now(), now(['User-Agent', 'another'])]
  assert.notEqual(second?.kept, undefined)
  assert.equal(third?.kept, second?.kept)
  assert.equal(third?.fields, second?.fields)
  await clock.advance(1_000)
  const later = now()
  assert.notEqual(later?.fields, second?.fields)
  assert.equal(later?.fields[(later?.fields.indexOf('Age') ?? 0) + 1], '1')
})

it('is made anew for a part, a condition, another method, and where the route changes fields', async () => {
  const { get, now } = site()
  await get('https://cdn.test/')
  now()
  assert.equal(now()?.status, 200)
  assert.equal(now(['Range', 'bytes=0-1'])?.status, 206)
  assert.equal(now(['If-None-Match', '"1"'])?.status, 304)
  assert.equal(now([], 'HEAD')?.body, undefined)
  assert.equal(now([], 'HEAD')?.kept, undefined)
  const ruled = site({ responseHeaders: { 'X-Request-Id': '{id}' } })
  await ruled.get('https://cdn.test/')
  for (const agent of ['one', 'two']) ruled.now(['User-Agent', agent])
  assert.equal(ruled.now(['User-Agent', 'three'])?.kept, undefined)
})

it('says what is so now when the response is stale, and after it has been validated', async () => {
  const { get, clock, now, origin } = site()
  await get('https://cdn.test/')
  now()
  await clock.advance(61_000)
  const said = (answer: ReturnType<typeof now>): string => answer?.fields[(answer?.fields.indexOf('Cache-Status') ?? 0) + 1] ?? ''
  assert.match(said(now()), /detail=stale-while-revalidate/)
  origin.answer({ status: 304, headers: { ETag: '"1"', 'Cache-Control': 'max-age=60' } })
  await clock.advance(0)
  await get('https://cdn.test/')
  assert.doesNotMatch(said(now()), /detail=/)
})
