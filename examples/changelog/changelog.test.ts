// The whole site without a network: every rule that the company had in its old CDN, and what nobody tested there.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { type Asked, type Got, type Player, playConfig, type ScriptedOrigin, scriptedOrigin } from '@simple-cdn/testing'

const SECRET = 'a-secret-of-the-members'

interface Site extends Player {
  readonly app: ScriptedOrigin
  readonly assets: ScriptedOrigin
  readonly feeds: ScriptedOrigin
  readonly nightly: ScriptedOrigin
}

let config: typeof import('./cdn.config.ts').default

before(async () => {
  process.env.PLUSPLUS_TOKEN = SECRET
  process.env.FLY_APP_NAME = 'cdn'
  config = (await import('./cdn.config.ts')).default
})

/** Each origin answers with its name. */
async function site(): Promise<Site> {
  const names = ['app', 'assets', 'feeds', 'nightly'] as const
  const origins = Object.fromEntries(names.map((name) => [name, scriptedOrigin(name)])) as Record<
    (typeof names)[number],
    ScriptedOrigin
  >
  for (const name of names) origins[name].answer({ headers: { ETag: '"1"' }, body: name })
  return { ...(await playConfig(config, origins)), ...origins }
}

const targets = (origin: ScriptedOrigin): string[] => origin.requests.map(({ target }) => target)
const asked = (origin: ScriptedOrigin, name: string): string[] => {
  const fields = origin.requests.at(-1)?.fields ?? []
  return fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name)
}
const detail = (got: Got): string => /(; hit|detail=[a-z-]+)/.exec(got.header('cache-status'))?.[1] ?? ''

/** What Fly Proxy says of a request, and where it comes from. */
const FLY = { 'Fly-Client-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.9, 66.241.0.1', 'X-Forwarded-Proto': 'https' }
const PROXY = '172.16.3.2'

const HOME = 'https://changelog.com'
const CDN = 'https://cdn.changelog.com'

describe('health', () => {
  it('of the CDN itself is answered by it, also over http, as the platform asks', async () => {
    const { get, app } = await site()
    assert.equal((await get('http://10.0.0.1/health')).status, 204)
    assert.equal(app.requests.length, 0)
  })

  for (const name of ['app', 'assets', 'feeds', 'nightly'] as const)
    it(`of ${name} is asked for each time`, async () => {
      const played = await site()
      for (const _ of [1, 2]) assert.equal((await played.get(`http://10.0.0.1/${name}_health`)).text, name)
      assert.deepEqual(targets(played[name]), ['/health', '/health'])
    })
})

describe('the way in', () => {
  it('over http leads to https, with path and query', async () => {
    const { get } = await site()
    for (const [from, to] of [
      ['http://changelog.com/', 'https://changelog.com/'],
      ['http://cdn.changelog.com/a.png?b=c', 'https://cdn.changelog.com/a.png?b=c'],
    ] as const) {
      const got = await get(from)
      assert.deepEqual([got.status, got.header('location')], [301, to])
    }
  })

  it('over www leads to the bare name', async () => {
    const got = await (await site()).get('https://www.changelog.com/news?a')
    assert.deepEqual([got.status, got.header('location')], [301, 'https://changelog.com/news?a'])
  })
})

describe('the app', () => {
  it('gets what nobody else takes, with the host that was asked', async () => {
    const { get, app } = await site()
    assert.equal((await get(`${HOME}/podcast/1`)).text, 'app')
    assert.deepEqual(asked(app, 'x-forwarded-host'), ['changelog.com'])
  })

  it('is not asked again within a minute, nor waited for within a day', async () => {
    const { get, app, clock } = await site()
    // Pages that browsers must not keep, and the CDN may.
    app.answer({
      headers: { 'Cache-Control': 'no-store, must-revalidate', 'Surrogate-Control': 'max-age=60, stale-while-revalidate=60' },
      body: 'page',
    })
    await get(`${HOME}/`)
    assert.equal(detail(await get(`${HOME}/?utm_source=news`)), '; hit')
    await clock.advance(23 * 3_600_000)
    assert.equal((await get(`${HOME}/`)).text, 'page')
    assert.equal(app.requests.length, 2, 'it was asked in the background')
  })

  it('stands still for a week without anybody noticing', async () => {
    const { get, app, clock } = await site()
    await get(`${HOME}/`)
    app.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    await clock.advance(6 * 86_400_000)
    assert.deepEqual([(await get(`${HOME}/`)).text], ['app'])
    app.answer({ status: 503 })
    assert.equal((await get(`${HOME}/`)).text, 'app')
  })

  it('that fails while it is asked in the background spoils nothing', async () => {
    const { get, app, clock } = await site()
    await get(`${HOME}/`)
    await clock.advance(61_000)
    app.answer({ status: 500, body: 'oops' })
    for (const _ of [1, 2]) assert.equal((await get(`${HOME}/`)).text, 'app')
  })

  it('is asked once for many who come at the same time', async () => {
    const { get, app } = await site()
    await Promise.all(Array.from({ length: 50 }, () => get(`${HOME}/`)))
    assert.equal(app.requests.length, 1)
  })

  it('answers members itself, and visitors with whatever other cookies are answered from the store', async () => {
    const { get, app } = await site()
    await get(`${HOME}/`)
    assert.equal(detail(await get(`${HOME}/`, { headers: { Cookie: 'theme=dark' } })), '; hit')
    assert.equal(detail(await get(`${HOME}/`, { headers: { Cookie: '_changelog_user=1' } })), 'detail=cookie')
    assert.equal(app.requests.length, 2)
  })

  it('keeps apart what it says varies', async () => {
    const { get, app } = await site()
    app.answer(({ fields }) => ({ headers: { Vary: 'Accept' }, body: fields.includes('text/html') ? 'page' : 'data' }))
    for (const [accept, body] of [
      ['text/html', 'page'],
      ['application/json', 'data'],
      ['text/html', 'page'],
    ] as const)
      assert.equal((await get(`${HOME}/`, { headers: { Accept: accept } })).text, body)
    assert.equal(app.requests.length, 2)
  })

  it('has its errors passed on and not kept', async () => {
    const { get, app } = await site()
    app.answer({ status: 500 })
    await get(`${HOME}/x`)
    app.answer({ body: 'well again' })
    assert.equal((await get(`${HOME}/x`)).text, 'well again')
  })

  it('and the client are told one id for a request, that of the platform first', async () => {
    const { get, app } = await site()
    const got = await get('http://changelog.com/', {
      headers: { ...FLY, 'Fly-Request-Id': '01H', 'X-Request-Id': 'mine' },
      clientAddress: PROXY,
    })
    assert.deepEqual([got.header('x-request-id'), asked(app, 'x-request-id')], ['01H', ['01H']])
  })
})

describe('the client', () => {
  it('is who the platform says, and came as the platform says', async () => {
    const { get, app, entries } = await site()
    assert.equal((await get('http://changelog.com/', { headers: FLY, clientAddress: PROXY })).text, 'app')
    assert.equal(entries[0]?.clientAddress, '203.0.113.9')
    assert.deepEqual(asked(app, 'x-forwarded-for'), ['203.0.113.9'])
  })

  it('cannot say so itself', async () => {
    const { get, entries } = await site()
    assert.equal((await get('http://changelog.com/', { headers: FLY })).status, 301)
    assert.equal(entries[0]?.clientAddress, '192.0.2.1')
  })
})

describe('feeds', () => {
  const shows =
    'podcast gotime master jsparty shipit news brainscience founderstalk interviews friends rfc spotlight afk posts'.split(' ')
  const ways: (readonly [string, string])[] = [
    ...shows.flatMap(
      (show) =>
        [
          [`/${show}/feed`, show],
          [`/${show}.xml`, show],
        ] as const,
    ),
    ['/feed', 'feed'],
    ['/rss', 'feed'],
    ['/feed.xml', 'feed'],
    ['/feeds/0123abc', '0123abc'],
  ]
  for (const [path, name] of ways)
    it(`${path} is ${name}.xml in the bucket, whatever comes behind it`, async () => {
      const { get, feeds } = await site()
      const slash = path.endsWith('.xml') || path.startsWith('/feeds/') ? path : `${path}/`
      for (const url of [path, slash, `${path}?arg=first&arg=second`]) assert.equal((await get(HOME + url)).text, 'feeds')
      assert.deepEqual([...new Set(targets(feeds))], [`/${name}.xml`])
    })

  it('are one in the store, whatever query comes with them', async () => {
    const { get, feeds } = await site()
    await get(`${HOME}/feed?a`)
    assert.equal(detail(await get(`${HOME}/feed?b`, { headers: { Cookie: 'a=b' } })), '; hit')
    assert.equal(feeds.requests.length, 1)
  })

  it('are not to be had on the host of the files', async () => {
    const { get, feeds } = await site()
    await get(`${CDN}/feed`)
    assert.equal(feeds.requests.length, 0)
  })

  it('cannot be written', async () => {
    const got = await (await site()).get(`${HOME}/feed`, { method: 'POST', body: 'x' })
    assert.deepEqual([got.status, got.header('allow')], [405, 'GET, HEAD'])
  })

  it('of members are to be had with the secret, and in no other way, before or after', async () => {
    const { get, feeds } = await site()
    const wrong = [
      '/plusplus/wrong/feed',
      '/plusplus.xml',
      '/plusplus/feed',
      '/feeds/plusplus',
      '/feeds/%70lusplus',
      '/x/../feeds/plusplus?a',
    ]
    const leaks = async () => {
      for (const path of wrong) {
        const got = await get(HOME + path)
        assert.notEqual(got.text, 'feeds', path)
      }
    }
    await leaks()
    assert.equal((await get(`${HOME}/plusplus/${SECRET}/feed`)).text, 'feeds')
    assert.deepEqual(targets(feeds), ['/plusplus.xml'])
    await leaks()
    assert.equal(feeds.requests.length, 1)
  })
})

describe('files', () => {
  it('are open to all sites, for GET, HEAD and OPTIONS alone', async () => {
    const { get, assets } = await site()
    for (const path of ['/a.png', '/a.css', '/a.mp3']) {
      const got = await get(CDN + path)
      assert.deepEqual([got.text, got.header('access-control-allow-origin')], ['assets', '*'])
    }
    const refused = await get(`${CDN}/a.png`, { method: 'POST', body: 'x' })
    assert.deepEqual(
      [refused.status, refused.header('allow'), refused.header('access-control-allow-origin')],
      [405, 'GET, HEAD, OPTIONS', '*'],
    )
    assert.equal((await get(`${CDN}/new.png`, { method: 'HEAD' })).status, 200)
    assert.equal(assets.requests.at(-1)?.method, 'GET', 'a HEAD fetches what the next GET will want')
    await get(`${CDN}/a.png`, { method: 'OPTIONS' })
    assert.equal(assets.requests.at(-1)?.method, 'OPTIONS')
  })

  it('have no cookies, in neither direction, and are hits with them', async () => {
    const { get, assets } = await site()
    assets.answer({ headers: { 'Set-Cookie': 'a=b' }, body: 'file' })
    const first = await get(`${CDN}/a.png`, { headers: { Cookie: '_changelog_user=1' } })
    assert.equal(first.header('set-cookie'), '')
    assert.deepEqual(asked(assets, 'cookie'), [])
    assert.equal(detail(await get(`${CDN}/a.png`, { headers: { Cookie: 'other=2' } })), '; hit')
  })

  it('tell their query to the bucket, but for what tracks people', async () => {
    const { get, assets } = await site()
    await get(`${CDN}/uploads/news/140/changelog-news-140.mp3?arg=test&utm_source=x`)
    assert.deepEqual(targets(assets), ['/uploads/news/140/changelog-news-140.mp3?arg=test'])
  })

  it('are sent in parts', async () => {
    const { get, assets } = await site()
    assets.answer({ headers: { ETag: '"1"' }, body: '0123456789' })
    await get(`${CDN}/a.mp3`)
    for (const [range, text] of [
      ['bytes=0-3', '0123'],
      ['bytes=4-7', '4567'],
      ['bytes=-4', '6789'],
    ] as const) {
      const got = await get(`${CDN}/a.mp3`, { headers: { Range: range } })
      assert.deepEqual([got.status, got.text], [206, text])
    }
    assert.equal(assets.requests.length, 1)
  })

  it('a client cannot choose how they are kept: fields of its own do nothing', async () => {
    const { get, clock, app } = await site()
    const spoofed: Asked = { headers: { 'X-Backend-Assets': 'true', 'X-Backend-Feeds': 'true', 'X-Redirect': 'evil.test' } }
    const got = await get(`${HOME}/`, spoofed)
    assert.deepEqual([got.text, got.header('access-control-allow-origin')], ['app', ''])
    await clock.advance(61_000)
    await get(`${HOME}/`)
    assert.equal(app.requests.length, 2, 'fresh for a minute, not for a day')
  })
})

describe('recordings of the news that have moved', () => {
  it('are found, 41 of them, with the query', async () => {
    const { get } = await site()
    const { news } = await import('./news.ts')
    const all = Object.entries(news)
    assert.equal(all.length, 41)
    for (const [from, to] of all) {
      for (const query of ['', '?this=is&a=query&string']) {
        const got = await get(CDN + from + query, { headers: { 'X-Redirect': 'kaizen.com' } })
        assert.deepEqual([got.status, got.header('location')], [308, to + query])
      }
    }
  })

  it('that never were are asked for as they are', async () => {
    const { get, assets } = await site()
    assets.answer({ status: 404 })
    assert.equal((await get(`${CDN}/uploads/podcast/news-2022-06-28/the-changelog-news-2022-06-28.mp3`)).status, 404)
  })
})

describe('a show that has moved to another company', () => {
  it('leads there', async () => {
    const { get } = await site()
    for (const [from, to] of [
      ['/practicalai', 'https://practicalai.fm'],
      ['/practicalai/feed', 'https://feeds.transistor.fm/practical-ai-machine-learning-data-science-llm'],
    ] as const) {
      const got = await get(HOME + from)
      assert.deepEqual([got.status, got.header('location')], [301, to])
    }
  })
})

describe('the nightly', () => {
  const NIGHTLY = 'https://nightly.changelog.com'

  it('is read and not written, by all sites, from the store', async () => {
    const { get, nightly } = await site()
    await get(`${NIGHTLY}/2025/01/01`)
    const got = await get(`${NIGHTLY}/2025/01/01`)
    assert.deepEqual([got.text, got.header('access-control-allow-origin'), detail(got)], ['nightly', '*', '; hit'])
    for (const method of ['POST', 'OPTIONS'] as const) {
      const refused = await get(`${NIGHTLY}/`, { method })
      assert.deepEqual([refused.status, refused.header('allow')], [405, 'GET, HEAD'])
    }
    assert.equal(nightly.requests.length, 1)
  })
})
