// Another configuration while the server runs: nothing is dropped, and one with mistakes changes nothing.
import assert from 'node:assert/strict'
import { Agent, createServer, get } from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { listening } from '../../core/test/support/raw-origin.ts'
import { project } from './support/project.ts'
import { rawClient } from './support/raw-client.ts'
import { inTwo, serve } from './support/served.ts'

const options = { concurrency: 2, timeout: 120_000 }
const HOST = 'Host: cdn.test\r\n'

const config = (body: string, more = '') =>
  `export default { origins: {}, routes: [{ match: '/*', respond: { status: 200, body: '${body}' } }], disk: false, server: { host: '127.0.0.1', port: 0 }${more} }`

/** An origin that says who it is, and counts what it is asked. */
async function origin(
  t: TestContext,
  name: string,
): Promise<{ url: string; asked: () => number; connections: () => Promise<number> }> {
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    const isKept = request.url?.startsWith('/kept/')
    response.writeHead(200, { 'Cache-Control': isKept ? 'max-age=3600' : 'no-store' }).end(name)
  })
  const port = await listening(server)
  t.after(() => server.close().closeAllConnections())
  return {
    url: `http://127.0.0.1:${port}`,
    asked: () => asked,
    connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
  }
}

interface Load {
  readonly requests: () => number
  /** What was answered, with how often. */
  readonly answers: () => ReadonlyMap<string, number>
  stop(): Promise<void>
}

/** So many clients that ask one request after the other, each on a connection of its own that must not end. */
function load(url: string, clients: number): Load {
  const answers = new Map<string, number>()
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  let isOver = false
  let requests = 0
  const ask = (path: string): Promise<string> =>
    new Promise((resolve) => {
      get(`${url}${path}`, { agent }, async (response) => {
        let body = ''
        try {
          for await (const chunk of response) body += chunk
          resolve(response.statusCode === 200 ? body : `${response.statusCode} ${body}`)
        } catch (error) {
          resolve(`broken off: ${error}`)
        }
      }).on('error', (error) => resolve(`failed: ${error}`))
    })
  const running = Array.from({ length: clients }, async (_, client) => {
    for (let at = 0; !isOver; at++) {
      const answer = await ask(at % 2 === 0 ? `/kept/${client}` : `/fetched/${client}`)
      requests++
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
  })
  return {
    requests: () => requests,
    answers: () => answers,
    async stop() {
      isOver = true
      await Promise.all(running)
      agent.destroy()
    },
  }
}

describe('simple-cdn start', options, () => {
  test('loads the configuration anew ten times under load, one of them broken, and no request fails', async (t) => {
    const [one, other] = [await origin(t, 'one'), await origin(t, 'other')]
    const text = (url: string, route: string) => `export default {
      origins: { app: '${url}' },
      routes: [{ match: '/${route}', respond: { status: 204 } }, { match: '/*', origin: 'app' }],
      disk: false, log: [], server: { host: '127.0.0.1', port: 0 },
    }`
    const { write, start } = project(t, { 'cdn.config.ts': text(one.url, 'first') })
    const { url, child, until, stderr } = await start(['--no-watch'])
    const clients = load(url, 8)
    for (let time = 1; time <= 10; time++) {
      const before = clients.requests()
      while (clients.requests() < before + 100) await sleep(5)
      const isBroken = time === 5
      write(
        'cdn.config.ts',
        isBroken ? 'export default { origins: { app: 1 } ' : text(time % 2 === 0 ? other.url : one.url, `at${time}`),
      )
      const said = stderr().length
      child.kill('SIGHUP')
      await until(isBroken ? 'the configuration stays as it was' : 'is loaded anew')
      while (!/stays as it was|is loaded anew/.test(stderr().slice(said))) await sleep(5)
      const found = await fetch(`${url}/at${isBroken ? time - 1 : time}`)
      assert.equal(found.status, 204)
    }
    await clients.stop()
    assert.deepEqual([...clients.answers().keys()].sort(), ['one', 'other'])
    assert.ok(clients.requests() >= 1_000, `${clients.requests()} requests`)
    // What was stored before the first reload is still there: the other origin was never asked for it.
    const kept = await fetch(`${url}/kept/1`)
    assert.match(`${kept.headers.get('cache-status')}`, /; hit/)
    assert.equal(await kept.text(), 'one')
    while ((await one.connections()) > 0) await sleep(5)
  })

  test('notices by itself that the file, or one that it imports, has changed', async (t) => {
    const { write, start } = project(t, {
      'cdn.config.ts':
        "import { body } from './more/text.ts'\nexport default { origins: {}, routes: [{ match: '/*', respond: { status: 200, body } }], disk: false, server: { host: '127.0.0.1', port: 0 } }",
      'more/text.ts': "export const body: string = 'first'",
    })
    const { url } = await start()
    const says = async (text: string) => {
      while ((await (await fetch(url)).text()) !== text) await sleep(20)
    }
    await says('first')
    write('more/text.ts', "export const body: string = 'second'")
    await says('second')
    write('cdn.config.ts', config('third'))
    await says('third')
    write('more/text.ts', "export const body: string = 'fourth'")
    write(
      'cdn.config.ts',
      "import { body } from './more/text.ts'\nexport default { origins: {}, routes: [{ match: '/*', respond: { status: 200, body } }], disk: false, server: { host: '127.0.0.1', port: 0 } }",
    )
    await says('fourth')
  })

  test('notices a change that was made while the server started', async (t) => {
    const first = config('first').replace('export default ', '')
    const { start } = project(t, {
      'cdn.config.mjs': `import { writeFileSync } from 'node:fs'
      export default () => {
        setImmediate(() => writeFileSync(import.meta.filename, ${JSON.stringify(config('second'))}))
        return ${first}
      }`,
    })
    const { url } = await start()
    while ((await (await fetch(url)).text()) !== 'second') await sleep(20)
  })

  test('does not, where it is told not to', async (t) => {
    for (const [args, more] of [
      [['--no-watch'], ''],
      [[], ', watch: false'],
    ] as const) {
      const { write, start } = project(t, { 'cdn.config.ts': config('first').replace('port: 0', `port: 0${more}`) })
      const { url, child, until } = await start(args)
      write('cdn.config.ts', config('second'))
      await sleep(600)
      assert.equal(await (await fetch(url)).text(), 'first')
      child.kill('SIGHUP')
      await until('is loaded anew')
      assert.equal(await (await fetch(url)).text(), 'second')
    }
  })

  test('says every mistake of the one it does not take, and what of another needs a restart', async (t) => {
    const { write, start } = project(t, { 'cdn.config.json': JSON.stringify(json({})) })
    const { url, child, until, stderr } = await start(['--no-watch'])
    write('cdn.config.json', JSON.stringify({ ...json({}), memory: 1, server: { port: -1 } }))
    child.kill('SIGHUP')
    await until('stays as it was')
    assert.match(
      stderr(),
      /the configuration stays as it was: cdn\.config\.json has 2 mistakes:\\n {2}line 1: memory: .*\\n {2}line 1: server\.port: /,
    )
    write(
      'cdn.config.json',
      JSON.stringify({ ...json({ body: 'new' }), memory: '256mb', server: { host: '127.0.0.1', port: 1, admin: false } }),
    )
    child.kill('SIGHUP')
    await until('is loaded anew')
    assert.match(stderr(), /"memory, server\.port, server\.admin stay as they were: they change with a restart"/)
    assert.equal(await (await fetch(url)).text(), 'new')
  })
})

function json({ body = 'here' }: { body?: string }): object {
  return {
    origins: {},
    routes: [{ match: '/*', respond: { status: 200, body } }],
    disk: false,
    server: { host: '127.0.0.1', port: 0 },
  }
}

describe('a server with another configuration', options, () => {
  test('finishes answers that have begun under the old one, whose origins are closed after them', async (t) => {
    const second = Promise.withResolvers<void>()
    const closed: string[] = []
    const old = {
      name: 'old',
      fetch: async () => ({ status: 200, fields: ['Cache-Control', 'no-store'], body: inTwo(second.promise) }),
      close: async () => void closed.push('old'),
    }
    const served = await serve(t, { origin: old })
    const client = await rawClient(t, served.url, `GET / HTTP/1.1\r\n${HOST}\r\n`)
    await client.until('first')
    served.server.reload({
      origins: {},
      routes: [{ match: '/*', respond: { status: 200, body: 'another' } }],
      log: [],
      disk: false,
    })
    const other = await rawClient(t, served.url, `GET / HTTP/1.1\r\n${HOST}\r\n`)
    await other.until('another')
    await served.turns()
    assert.deepEqual(closed, [])
    second.resolve()
    assert.match(await client.until('second'), /first.*second/s)
    client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`)
    await client.until('another')
    assert.deepEqual(closed, ['old'])
    assert.equal(served.entries.length, 3)
  })

  test('keeps an origin that is in both', async (t) => {
    let closes = 0
    const origin = {
      name: 'origin',
      fetch: async () => ({ status: 200, fields: [], body: inTwo(Promise.resolve()) }),
      close: async () => void closes++,
    }
    const served = await serve(t, { origin })
    served.server.reload({ origins: { origin }, routes: [{ match: '/a', origin: 'origin' }], disk: false })
    assert.equal((await fetch(`${served.url}/a`)).status, 200)
    assert.equal((await fetch(`${served.url}/b`)).status, 404)
    assert.equal(closes, 0)
    await served.server.close({ graceMs: 0 })
    assert.equal(closes, 1)
  })

  test('has its limits from then on', async (t) => {
    const served = await serve(t)
    served.server.reload({
      origins: {},
      routes: [{ match: '/*', respond: { status: 204 } }],
      disk: false,
      server: { maxHead: '1kb', idleTimeout: 0.05 },
    })
    const client = await rawClient(t, served.url, `GET / HTTP/1.1\r\n${HOST}X: ${'x'.repeat(2_000)}\r\n\r\n`)
    assert.match(await client.end(), /^HTTP\/1\.1 431 /)
  })
})
