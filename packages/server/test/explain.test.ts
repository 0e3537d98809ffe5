// simple-cdn explain, against a server that runs: every answer it has, and every reason why it has none.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { scriptedOrigin } from '@simple-cdn/testing'
import { type RunningServer, type ServerConfig, startServer } from 'simple-cdn'
import type { Values } from '../src/commands/command.ts'
import { explain } from '../src/commands/explain.ts'
import { Failure } from '../src/failure.ts'
import { type Project, project } from './support/project.ts'
import { logger } from './support/served.ts'

interface Site extends Project {
  readonly server: RunningServer
  explain(path: string, ...args: string[]): Promise<string>
}

/** A site whose paths say what they answer, and its server, which left word in the folder of the project. */
async function site(t: TestContext, server: ServerConfig = {}): Promise<Site> {
  const made = project(t)
  const origin = scriptedOrigin()
  origin.answer(({ target, method }) => {
    if (method !== 'GET') return { status: 204 }
    const [path] = target.split('?')
    if (path === '/stale') return { headers: { 'Cache-Control': 'max-age=5', Age: '60', ETag: '"1"' }, body: 'stale' }
    if (path === '/cookies') return { headers: { 'Cache-Control': 'max-age=3600', 'Set-Cookie': 'a=b' }, body: 'yours' }
    if (path === '/languages') return { headers: { 'Cache-Control': 'max-age=3600', Vary: 'Accept-Language' }, body: 'moin' }
    return { headers: { 'Cache-Control': 'max-age=3600' }, body: 'fresh' }
  })
  const running = await startServer({
    config: {
      origins: { origin },
      routes: [{ name: 'site', match: '/*', origin: 'origin', cache: { bypassCookies: ['session'] } }],
      disk: false,
      log: [],
    },
    folder: made.folder,
    log: logger(() => undefined),
    host: '127.0.0.1',
    port: 0,
    ...server,
  })
  t.after(() => running.close({ graceMs: 0 }))
  return {
    ...made,
    server: running,
    async explain(path, ...args) {
      const { code, stdout, stderr } = await made.run(['explain', `${running.url}${path}`, ...args]).ended
      assert.deepEqual([code, stderr], [0, ''])
      return stdout
    },
  }
}

describe('simple-cdn explain', { concurrency: 2, timeout: 120_000 }, () => {
  test('says for each request what the server would do, and why', async (t) => {
    const { server, explain } = await site(t)
    for (const path of ['/fresh', '/stale', '/cookies', '/changed', '/languages'])
      await (await fetch(`${server.url}${path}`, { headers: { 'Accept-Language': 'de' } })).text()
    await fetch(`${server.url}/changed`, { method: 'POST', body: 'anew' })

    const questions: readonly [args: readonly [path: string, ...options: string[]], first: string, ...facts: RegExp[]][] = [
      [['/unseen'], 'fetch: nothing is stored under this key', /^no response for it is remembered$/m],
      [['/fresh'], 'serve: the stored response is fresh', /^lifetime 3600s, from max-age$/m, /^fresh for another \d+s$/m],
      [['/stale'], 'revalidate: the stored response is stale', /^age \d+s = 60s on arrival \+ \d+s here$/m, /^stale for \d+s$/m],
      [['/fresh', '-H', 'Cookie: session=1'], 'fetch: the request carries a cookie that this route takes past the cache'],
      [['/fresh', '-X', 'POST'], 'fetch: only GET and HEAD are answered from the store'],
      [['/languages', '-H', 'Accept-Language: de'], 'serve: the stored response is fresh', /^selected by accept-language: de$/m],
      [
        ['/languages', '--header', 'Accept-Language: fr'],
        'fetch: what is stored under this key was selected by other request fields',
      ],
      [
        ['/cookies'],
        'fetch: nothing is stored under this key',
        /^\d+s ago: the response sets a cookie and does not say that it may be shared$/m,
      ],
      [['/changed'], 'fetch: nothing is stored under this key', /^\d+s ago: a later request changed the resource$/m],
    ]
    const answers = await Promise.all(questions.map(([args]) => explain(...args)))
    for (const [at, [args, first, ...facts]] of questions.entries()) {
      const [route, decision, ...rest] = (answers[at] as string).trimEnd().split('\n')
      assert.equal(route, `route "site", origin "origin", key ${server.url}${args[0]}`)
      assert.equal(decision, first)
      for (const fact of facts) assert.match(rest.join('\n'), fact)
    }
  })

  test('finds a server elsewhere by its URL and token', async (t) => {
    const { server } = await site(t)
    const { adminUrl = '', adminToken = '', url } = server
    const elsewhere = project(t)
    const runs = [
      elsewhere.run(['explain', `${url}/unseen`, '--admin', `${adminUrl}/`, '--token', adminToken]),
      elsewhere.run(['explain', `${url}/unseen`], { CDN_ADMIN_URL: adminUrl, CDN_ADMIN_TOKEN: adminToken }),
    ]
    for (const { code, stdout } of await Promise.all(runs.map(({ ended }) => ended))) {
      assert.equal(code, 0)
      assert.match(stdout, /^fetch: nothing is stored under this key$/m)
    }
  })

  test('finds the server by the folder of its configuration, and says when it has gone', async (t) => {
    const { server, folder, write } = await site(t)
    write('cdn.config.json', '{}')
    const ask = () => project(t).run(['explain', `${server.url}/unseen`, '-c', `${folder}/cdn.config.json`]).ended
    const { code, stdout } = await ask()
    assert.equal(code, 0)
    assert.match(stdout, /^fetch: nothing is stored under this key$/m)

    await server.close()
    assert.deepEqual(await ask(), {
      code: 1,
      stdout: '',
      stderr: `simple-cdn: no server runs in ${folder}; start one with "simple-cdn start", or name one with --admin and --token\n`,
    })
  })
})

describe('simple-cdn explain says what to do when', { timeout: 60_000 }, () => {
  const config = { 'cdn.config.json': '{}' }
  const none = (folder: string) =>
    `no server runs in ${folder}; start one with "simple-cdn start", or name one with --admin and --token`

  /** What it fails with, when it is told where the project is. */
  async function failure({ folder }: Pick<Project, 'folder'>, url: string, values: Values = {}): Promise<[number, string]> {
    try {
      await explain.run({ config: join(folder, 'cdn.config.json'), ...values }, [url])
    } catch (error) {
      assert.ok(error instanceof Failure, String(error))
      return [error.exitCode, error.message]
    }
    throw new Error('it did not fail')
  }

  test('no server has left word, or what it has left cannot be read', async (t) => {
    for (const left of [{}, { '.simple-cdn/admin.json': '{"url":' }, { '.simple-cdn/admin.json': '{}' }]) {
      const made = project(t, { ...config, ...left })
      assert.deepEqual(await failure(made, 'http://cdn.test/'), [1, none(made.folder)])
    }
  })

  test('the server that has left word does not answer', async (t) => {
    const word = JSON.stringify({ url: 'http://127.0.0.1:65535', token: 'of-somebody-who-is-gone' })
    const [code, message] = await failure(project(t, { ...config, '.simple-cdn/admin.json': word }), 'http://cdn.test/')
    assert.equal(code, 1)
    assert.match(message, /^no server answers at http:\/\/127\.0\.0\.1:65535: .+; start one with "simple-cdn start"$/)
  })

  test('the token is missing, or is another', async (t) => {
    const made = await site(t, { admin: { token: 'known-to-few-only' } })
    made.write('cdn.config.json', '{}')
    const { adminUrl, url } = made.server
    assert.deepEqual(await failure(made, url), [
      2,
      `the token of ${adminUrl} is missing; give it with --token or CDN_ADMIN_TOKEN`,
    ])
    assert.deepEqual(await failure(made, url, { token: 'guessed-at-random' }), [1, `${adminUrl} does not know this token`])
  })

  test('what it is to ask is no admin listener', async (t) => {
    const made = await site(t)
    made.write('cdn.config.json', '{}')
    const { url } = made.server
    for (const admin of ['localhost:9000', 'nonsense', 'http://']) {
      assert.deepEqual(await failure(made, url, { admin, token: 'any' }), [
        2,
        `"${admin}" is not the URL of an admin listener, such as "http://127.0.0.1:9000"`,
      ])
    }
    assert.deepEqual(await failure(made, url, { admin: url, token: 'any' }), [1, `${url} is not an admin listener of simple-cdn`])
  })

  test('the question is none', async (t) => {
    const made = await site(t)
    made.write('cdn.config.json', '{}')
    assert.deepEqual(await failure(made, '/feed.xml'), [
      2,
      '"/feed.xml" is not the whole URL of a request, such as "http://localhost:8080/feed.xml"',
    ])
    assert.deepEqual(await failure(made, made.server.url, { header: ['no header'] }), [
      2,
      '"no header" is not a header, such as "Cookie: a=b"',
    ])
  })
})
