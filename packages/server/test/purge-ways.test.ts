// The ways by which a purge comes in: who may, what it names, how often, and what is told of it.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { Purge } from '@simple-cdn/core'
import { fakeClock } from '@simple-cdn/testing'
import { certificate, key } from '../../core/test/support/certificate.ts'
import { watched } from '../../core/test/support/watched.ts'
import { checkProgramConfig, type PurgeAccessConfig } from '../src/config.ts'
import { purgeHook } from '../src/purge-hooks.ts'
import { rateLimit } from '../src/rate-limit.ts'
import { startServer } from '../src/start-server.ts'
import { project } from './support/project.ts'
import { logger, type Said, temporaryFolder } from './support/served.ts'

const ADMIN = 'the-token-of-the-admin-listener'
const TOKEN = 'a-token-for-purges-alone'

interface Site {
  version: number
  etag: boolean
  fails?: boolean
}

async function running(t: TestContext, purge: PurgeAccessConfig = {}, tls = false) {
  const said: Said[] = []
  const site: Site = { version: 1, etag: true }
  const folder = temporaryFolder(t)
  if (tls) {
    writeFileSync(join(folder, 'cert.pem'), certificate)
    writeFileSync(join(folder, 'key.pem'), key)
  }
  const app = ({ url }: Request) => {
    const { pathname } = new URL(url)
    if (site.fails === true) return new Response('', { status: 503 })
    return new Response(`${pathname} ${site.version}`, {
      headers: {
        'Cache-Control': `max-age=600${pathname === '/swr' ? ', stale-while-revalidate=60' : ''}`,
        'Surrogate-Key': `all ${pathname.split('/')[1]}`,
        ...(site.etag && { ETag: `"${site.version}"` }),
      },
    })
  }
  const server = await startServer({
    config: {
      origins: { app },
      routes: [
        { name: 'blog', match: '/blog/*', origin: 'app' },
        { match: '/*', origin: 'app' },
      ],
      memory: '128mb',
      disk: false,
      log: [],
      purge,
    },
    folder,
    host: '127.0.0.1',
    port: 0,
    admin: { token: ADMIN },
    ...(tls && { tls: { cert: 'cert.pem', key: 'key.pem' } }),
    log: logger((line) => said.push(line)),
  })
  t.after(() => server.close({ graceMs: 0 }))
  const send = (url: string, method: string, headers: Record<string, string>, body?: string) =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: Record<string, unknown> }>((resolve, reject) => {
      const sent = request(url, { method, headers }, async (response) => {
        let text = ''
        for await (const chunk of response.setEncoding('utf8')) text += chunk
        const body = text.startsWith('{') ? JSON.parse(text) : {}
        resolve({ status: response.statusCode as number, headers: response.headers, body })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  return {
    server,
    said,
    site,
    send,
    url: server.url,
    adminUrl: server.adminUrl as string,
    async isHit(path: string, host?: string) {
      const { headers } = await send(server.url + path, 'GET', host === undefined ? {} : { Host: host })
      return /; hit/.test(String(headers['cache-status']))
    },
    order: (body: object, token = ADMIN) =>
      send(`${server.adminUrl}/purge`, 'POST', { Authorization: `Bearer ${token}` }, JSON.stringify(body)),
    told: (pattern: RegExp) => said.filter(({ message }) => pattern.test(message)),
  }
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

describe('the method PURGE', { timeout: 30_000 }, () => {
  test('purges the URL that it is sent to, for whoever brings the token, and says by which id', async (t) => {
    const { send, url, isHit, told } = await running(t, { token: TOKEN })
    for (const headers of [bearer(TOKEN), { 'Fastly-Key': TOKEN }]) {
      await isHit('/a?x=1')
      await isHit('/b')
      const { status, body } = await send(`${url}/a?x=1`, 'PURGE', headers as Record<string, string>)
      assert.deepEqual([status, body.status, typeof body.id], [200, 'ok', 'string'])
      assert.deepEqual([await isHit('/a?x=1'), await isHit('/b')], [false, true])
    }
    const [line] = told(/^purged url/)
    assert.equal(line?.facts.via, 'PURGE')
    assert.equal(line?.facts.from, '127.0.0.1')
  })

  test('without the token or with a wrong one is 401, purges nothing, and is told', async (t) => {
    const { send, url, isHit, told } = await running(t, { token: TOKEN })
    await isHit('/a')
    for (const headers of [{}, bearer('wrong'), bearer(ADMIN), bearer(TOKEN.slice(1)), { 'Fastly-Key': '' }] as const) {
      const { status, headers: fields } = await send(`${url}/a`, 'PURGE', headers as Record<string, string>)
      assert.deepEqual([status, fields['www-authenticate']], [401, 'Bearer'])
    }
    assert.equal(await isHit('/a'), true)
    assert.equal(told(/a purge was refused: without the token/).length, 5)
  })

  test('does not let whoever tries tokens fill the log: what is not told is counted', async (t) => {
    const { send, url, adminUrl, told } = await running(t, { token: TOKEN })
    for (let tries = 0; tries < 100; tries++) await send(`${url}/a`, 'PURGE', bearer(`wrong ${tries}`))
    const lines = told(/a purge was refused/)
    assert.ok(lines.length >= 60 && lines.length < 70, `${lines.length}`)
    const { body } = await send(`${adminUrl}/stats`, 'GET', bearer(ADMIN))
    assert.equal((body.purgeApi as { refused: number }).refused, 100)
  })

  test('is refused where no token is configured, and says what to write', async (t) => {
    const { send, url, isHit, told } = await running(t)
    await isHit('/a')
    const { status, body } = await send(`${url}/a`, 'PURGE', bearer(ADMIN))
    assert.deepEqual([status, body.error], [403, 'there is no PURGE here: the configuration names no `purge.token`'])
    assert.equal(await isHit('/a'), true)
    assert.equal(told(/refused/).length, 1)
  })

  test('does the same over HTTP/2', async (t) => {
    const { url } = await running(t, { token: TOKEN }, true)
    const client = connect(url, { ca: [certificate] })
    t.after(() => client.destroy())
    const ask = async (method: string, headers = {}) => {
      const stream = client.request({ ':path': '/a', ':method': method, ...headers }, { endStream: true })
      let fields: Record<string, unknown> = {}
      stream.on('response', (each) => {
        fields = each
      })
      for await (const _ of stream);
      return [fields[':status'], /; hit/.test(String(fields['cache-status']))]
    }
    await ask('GET')
    assert.deepEqual(await ask('PURGE'), [401, false])
    assert.deepEqual(await ask('GET'), [200, true])
    assert.deepEqual(await ask('PURGE', bearer(TOKEN)), [200, false])
    assert.deepEqual(await ask('GET'), [200, false])
  })
})

describe("Fastly's API on the admin listener", { timeout: 30_000 }, () => {
  const ways: readonly [path: string, headers: Record<string, string>, gone: string[], stays: string[]][] = [
    ['/purge/cdn.test/a', {}, ['/a'], ['/b', '/blog/1']],
    ['/purge/https://cdn.test/a', {}, ['/a'], ['/b', '/blog/1']],
    ['/service/x/purge/blog', {}, ['/blog/1'], ['/a', '/b']],
    ['/service/x/purge', { 'Surrogate-Key': 'a blog' }, ['/a', '/blog/1'], ['/b']],
    ['/service/x/purge_all', {}, ['/a', '/b', '/blog/1'], []],
  ]
  for (const [path, headers, gone, stays] of ways)
    test(`POST ${path} purges what it names`, async (t) => {
      const { send, adminUrl, isHit } = await running(t, { token: TOKEN })
      for (const each of [...gone, ...stays]) await isHit(each, 'cdn.test')
      const refused = await send(adminUrl + path, 'POST', { ...headers, 'Fastly-Key': 'wrong' })
      assert.equal(refused.status, 401)
      for (const each of gone) assert.equal(await isHit(each, 'cdn.test'), true)
      const { status } = await send(adminUrl + path, 'POST', { ...headers, 'Fastly-Key': TOKEN })
      assert.equal(status, 200)
      for (const each of gone) assert.equal(await isHit(each, 'cdn.test'), false, each)
      for (const each of stays) assert.equal(await isHit(each, 'cdn.test'), true, each)
    })

  test('purges softly when it is asked to, and says by which ids', async (t) => {
    const { send, adminUrl, told } = await running(t, { token: TOKEN })
    const headers = { 'Fastly-Key': TOKEN, 'Fastly-Soft-Purge': '1', 'Surrogate-Key': 'a b' }
    const { body } = await send(`${adminUrl}/service/x/purge`, 'POST', headers)
    assert.deepEqual(Object.keys(body), ['a', 'b'])
    assert.equal((told(/purged surrogate-key a/)[0]?.facts.purge as Purge | undefined)?.soft, true)
  })

  test('names nothing: 404, and nothing is purged', async (t) => {
    const { send, adminUrl, told } = await running(t, { token: TOKEN })
    for (const path of ['/purge/', '/service/x/purge', '/service/x/other', '/service/x/purge/%'])
      assert.equal((await send(adminUrl + path, 'POST', { 'Fastly-Key': TOKEN })).status, 404, path)
    assert.equal(told(/^purged/).length, 0)
  })
})

describe('a purge on the admin listener', { timeout: 30_000 }, () => {
  test('takes a token that opens nothing else', async (t) => {
    const { send, adminUrl, order } = await running(t, { token: TOKEN })
    assert.equal((await order({ purge: [{ everything: true }] }, TOKEN)).status, 200)
    assert.equal((await send(`${adminUrl}/stats`, 'GET', bearer(TOKEN))).status, 401)
  })

  for (const [what, gone, stays] of [
    [{ host: 'cdn.test' }, [['/a', 'cdn.test']], [['/a', 'other.test']]],
    [{ route: 'blog' }, [['/blog/1', 'cdn.test']], [['/a', 'cdn.test']]],
    [{ pattern: 'http://*.test/*/1' }, [['/blog/1', 'cdn.test']], [['/blog/2', 'cdn.test']]],
  ] as const)
    test(`by ${JSON.stringify(what)} takes what it names, and a dry run says so and takes nothing`, async (t) => {
      const { order, isHit, told } = await running(t)
      for (const [path, host] of [...gone, ...stays]) await isHit(path, host)
      const dry = await order({ purge: [what], dryRun: true })
      assert.deepEqual(dry.body, {
        found: gone.length,
        looked: gone.length + stays.length,
        complete: true,
        sample: gone.map(([path, host]) => `http://${host}${path}`),
      })
      assert.equal(told(/^purged/).length, 0)
      for (const [path, host] of gone) assert.equal(await isHit(path, host), true)
      assert.equal((await order({ purge: [what] })).status, 200)
      for (const [path, host] of gone) assert.equal(await isHit(path, host), false)
      for (const [path, host] of stays) assert.equal(await isHit(path, host), true)
    })

  test('of which one names nothing purges nothing, and says what is wrong', async (t) => {
    const { order, isHit } = await running(t)
    await isHit('/a')
    for (const [wrong, said] of [
      [{ route: 'blag' }, /no route is called "blag"; there are blog, \/\*/],
      [{ pattern: 'no url *' }, /not a URL with "\*" in it/],
      [{ host: 'a/b' }, /not a host/],
    ] as const) {
      const { status, body } = await order({ purge: [{ everything: true }, wrong] })
      assert.equal(status, 400)
      assert.match(String(body.error), said)
    }
    assert.equal(await isHit('/a'), true)
  })

  test('that comes too often is 429, says when to come again, and purges nothing', async (t) => {
    const { order, isHit } = await running(t, { perMinute: 3 })
    assert.equal((await order({ purge: [{ surrogateKey: 'x' }, { surrogateKey: 'y' }] })).status, 200)
    await isHit('/a')
    const { status, headers } = await order({ purge: [{ everything: true }, { surrogateKey: 'x' }] })
    assert.deepEqual([status, Number(headers['retry-after']) > 0], [429, true])
    assert.equal(await isHit('/a'), true)
  })

  test('of more than a thousand at once is 413', async (t) => {
    const { order } = await running(t, { perMinute: 10_000 })
    assert.equal((await order({ purge: Array.from({ length: 1_001 }, (_, id) => ({ surrogateKey: `${id}` })) })).status, 413)
    assert.equal((await order({ purge: Array.from({ length: 1_000 }, (_, id) => ({ surrogateKey: `${id}` })) })).status, 200)
  })

  test('of more at once than there may be in a minute is 413, too: waiting would not help', async (t) => {
    const { order } = await running(t, { perMinute: 3 })
    const { status, body } = await order({ purge: Array.from({ length: 4 }, (_, id) => ({ surrogateKey: `${id}` })) })
    assert.deepEqual([status, body.error], [413, 'more than 3 at once; ask several times'])
  })

  test('refreshes what it took, and says whether the origin still has the version that was purged', async (t) => {
    const { order, isHit, site, url } = await running(t)
    for (const path of ['/blog/1', '/blog/2', '/a']) await isHit(path)
    site.version = 2
    const changed = (await order({ purge: [{ surrogateKey: 'blog' }], refresh: true })).body as { refreshed: object[] }
    assert.deepEqual(changed.refreshed, [
      { url: `${url}/blog/1`, status: 200, version: 'new' },
      { url: `${url}/blog/2`, status: 200, version: 'new' },
    ])
    assert.equal(await isHit('/blog/1'), true)
    const same = (await order({ purge: [{ url: `${url}/blog/1` }, { url: `${url}/never` }], refresh: true })).body as object
    assert.deepEqual((same as { refreshed: object[] }).refreshed, [
      { url: `${url}/blog/1`, status: 200, version: 'old' },
      { url: `${url}/never`, status: 200 },
    ])
  })

  test('knows no version of what came out of the store, or of an origin that fails', async (t) => {
    const { order, isHit, site, url } = await running(t)
    await isHit('/swr')
    site.version = 2
    const soft = (await order({ purge: [{ url: `${url}/swr` }], soft: true, refresh: true })).body as { refreshed: object[] }
    assert.deepEqual(soft.refreshed, [{ url: `${url}/swr`, status: 200, version: 'unknown' }])
    await isHit('/a')
    site.fails = true
    const failing = (await order({ purge: [{ url: `${url}/a` }], refresh: true })).body as { refreshed: object[] }
    assert.deepEqual(failing.refreshed, [{ url: `${url}/a`, status: 503, version: 'unknown' }])
  })

  test('can be asked about later: on one machine, that is this one', async (t) => {
    const { order, send, adminUrl } = await running(t)
    const { body } = await order({ purge: [{ surrogateKey: 'x' }], waitMs: 1_000 })
    const { id } = (body.purged as Purge[])[0] as Purge
    const { machines } = body.receipts as { machines: { state: string }[] }
    assert.deepEqual(
      machines.map(({ state }) => state),
      ['applied'],
    )
    assert.deepEqual((await send(`${adminUrl}/purge?id=${id}`, 'GET', bearer(ADMIN))).body.machines, machines)
    assert.equal((await send(`${adminUrl}/purge?id=none`, 'GET', bearer(ADMIN))).status, 404)
  })
})

describe('whoever is to be told of purges', { timeout: 30_000 }, () => {
  test('is told of each, again until it takes it, and what it never takes is counted and named', async (t) => {
    const got: { body: Purge; token: unknown }[] = []
    const { happened, until } = watched()
    let answers: readonly number[] = [503, 200]
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request.setEncoding('utf8')) text += chunk
      got.push({ body: JSON.parse(text), token: request.headers['x-token'] })
      const [status = 500, ...more] = answers
      answers = more
      response.writeHead(status).end()
      happened()
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    t.after(() => server.close())
    const said: string[] = []
    const clock = fakeClock()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret`
    const hook = purgeHook({ url, headers: { 'X-Token': 't' } }, (message) => said.push(message), clock)
    t.after(() => hook.close())
    const purge: Purge = { id: '1', at: 1, soft: false, kind: 'url', value: 'a.test/' }
    hook.tell(purge)
    await until(() => got.length === 1)
    for (let tries = 0; hook.stats().delivered === 0 && tries < 500; tries++) await clock.advance(1_000)
    assert.deepEqual(got, [
      { body: purge, token: 't' },
      { body: purge, token: 't' },
    ])
    answers = []
    hook.tell({ ...purge, id: '2' })
    for (let tries = 0; hook.stats().lost === 0 && tries < 2_000; tries++) {
      await clock.advance(1_000)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const { host, ...counts } = hook.stats()
    assert.deepEqual(counts, { waiting: 0, delivered: 1, lost: 1 })
    assert.match(said.join(), new RegExp(`^${host} was not told of purge 2: it answered 500$`))
  })

  test('keeps nobody waiting: beyond a thousand, purges are lost, and counted', () => {
    const hook = purgeHook({ url: 'http://127.0.0.1:1/' }, () => undefined, fakeClock())
    for (let id = 0; id < 1_500; id++) hook.tell({ id: `${id}`, at: 1, soft: false, kind: 'everything', value: '' })
    assert.ok(hook.stats().lost >= 499)
    hook.close()
  })
})

test('a limit gives back what a minute brings, and not more than it holds', async () => {
  const clock = fakeClock()
  const limit = rateLimit(60, clock)
  assert.deepEqual([limit.take(60), limit.take(1)], [0, 1])
  await clock.advance(10_000)
  assert.deepEqual([limit.take(10), limit.take(1)], [0, 1])
  await clock.advance(3_600_000)
  assert.deepEqual([limit.take(61) > 0, limit.take(60)], [true, 0])
})

test('mistakes in `purge` are told with their place', () => {
  const lines = checkProgramConfig({
    origins: {},
    routes: [{ match: '/*', respond: { status: 204 } }],
    purge: { token: 'short', perMinute: 0, webhooks: [{ url: 'no' }, {}], bus: {}, trustFor: 'never', other: 1 },
  }).map(({ path }) => path)
  assert.deepEqual(lines.sort(), [
    'purge.bus',
    'purge.other',
    'purge.perMinute',
    'purge.token',
    'purge.trustFor',
    'purge.webhooks[0].url',
    'purge.webhooks[1].url',
  ])
})

test('simple-cdn purge says what it would purge, what it has purged, who has applied it, and whether the origin has a new version', async (t) => {
  const { run, start } = project(t, {
    'cdn.config.ts': `let version = 1
export default {
  origins: { app: ({ url }) => new Response(String(version), { headers: { 'Cache-Control': 'max-age=60', 'Surrogate-Key': 'k', ETag: '"' + version + '"' } }) },
  routes: [{ match: '/*', origin: 'app' }],
  memory: '128mb',
  disk: false,
  log: [],
  server: { host: '127.0.0.1', port: 0 },
}`,
  })
  const { url } = await start()
  await (await fetch(`${url}/a`)).text()
  const purge = (...args: string[]) => run(['purge', ...args]).ended
  const dry = await purge('--key', 'k', '--key', 'other', '--dry-run')
  assert.match(dry.stdout, /^would purge 1 of 1 stored responses\n {2}http:\/\/[^/]+\/a\n$/)
  const done = await purge('--route', '/*', '--wait')
  assert.match(done.stdout, /^purged route \/\*, [\w-]+\n\S+ applied \d{4}-\d\d-\d\dT/)
  const id = /, ([\w-]+)/.exec(done.stdout)?.[1] as string
  assert.match((await purge('status', id)).stdout, /^\S+ applied /)
  await (await fetch(`${url}/a`)).text()
  const verified = await purge('--url', `${url}/a`, '--verify')
  assert.match(verified.stdout, /THE VERSION THAT WAS PURGED/)
  assert.equal(verified.code, 1)
  for (const [args, says] of [
    [[], /what is it to purge/],
    [['status'], /the ID of the purge is missing/],
    [['stats', 'x'], /purge knows "status ID", and not "stats"/],
    [['status', 'none'], /no machine remembers a purge none/],
    [['--route', 'x'], /no route is called "x"/],
  ] as const) {
    const { code, stderr } = await purge(...args)
    assert.notEqual(code, 0)
    assert.match(stderr, says)
  }
})

test('simple-cdn check says who may purge and whom that reaches', async (t) => {
  const { run } = project(t, {
    'cdn.config.json': JSON.stringify({
      origins: {},
      routes: [{ match: '/*', respond: { status: 204 } }],
      purge: { token: TOKEN, perMinute: 60, webhooks: [{ url: 'https://outer.test/secret' }] },
    }),
  })
  const { code, stdout } = await run(['check']).ended
  assert.match(stdout, /^purges: PURGE with the token; 60 a minute; for this machine alone; told to outer\.test$/m)
  assert.equal(code, 0)
})
