// Purges from the command line and over HTTP, and after a restart.
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { createCdn, type Purge } from '@simple-cdn/core'
import { purgeJournal } from '../src/purge-journal.ts'
import { startServer } from '../src/start-server.ts'

const TOKEN = 'a-token-of-16-or-more'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-purge-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function running(t: TestContext, folder: string, origin: (request: Request) => Response, port = 0) {
  const said: string[] = []
  const note = (_: object, message: string) => void said.push(message)
  const server = await startServer({
    config: { origins: { app: origin }, routes: [{ match: '/*', origin: 'app' }], memory: '128mb', disk: '16mb', log: [] },
    folder,
    host: '127.0.0.1',
    port,
    admin: { token: TOKEN },
    log: { info: note, warn: note, error: note, fatal: note },
  })
  t.after(() => server.close({ graceMs: 0 }))
  return {
    server,
    said,
    async get(path: string) {
      const response = await fetch(server.url + path)
      return [await response.text(), /; hit/.test(response.headers.get('cache-status') ?? '')] as const
    },
    async purge(body: unknown, token = TOKEN) {
      const response = await fetch(`${server.adminUrl}/purge`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}` },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      return [response.status, (await response.json().catch(() => ({}))) as { error?: string; purged?: Purge[] }] as const
    },
  }
}

describe('a purge over HTTP', () => {
  let version = 1
  const origin = ({ url }: Request) =>
    new Response(`${new URL(url).pathname} ${version}`, { headers: { 'Cache-Control': 'max-age=600', 'Surrogate-Key': 'pages' } })

  test('holds when it is answered, and after a restart', async (t) => {
    const folder = folderOf(t)
    const first = await running(t, folder, origin)
    for (const path of ['/a', '/b']) {
      await first.get(path)
      assert.equal((await first.get(path))[1], true)
    }
    version++
    const [status, { purged }] = await first.purge({ purge: [{ url: `${first.server.url}/a` }] })
    assert.deepEqual([status, purged?.map(({ kind }) => kind)], [200, ['url']])
    assert.deepEqual(await first.get('/a'), ['/a 2', false])
    await first.purge({ purge: [{ surrogateKey: 'pages' }] })
    version++
    await first.server.close({ graceMs: 0 })
    // The same port: it is part of the key.
    const second = await running(t, folder, origin, Number(new URL(first.server.url).port))
    assert.deepEqual(await second.get('/b'), ['/b 3', false])
    assert.deepEqual(await second.get('/b'), ['/b 3', true])
  })

  test('is not what a restart is: what was stored is still there, after the first one and the next', async (t) => {
    const folder = folderOf(t)
    let current = await running(t, folder, origin)
    await current.get('/kept')
    for (let restart = 0; restart < 2; restart++) {
      const { url } = current.server
      await current.server.close({ graceMs: 0 })
      current = await running(t, folder, origin, Number(new URL(url).port))
      assert.deepEqual((await current.get('/kept'))[1], true)
    }
  })

  test('without the token is 401, purges nothing, and is told', async (t) => {
    const { get, purge, said } = await running(t, folderOf(t), origin)
    await get('/c')
    assert.equal((await purge({ purge: [{ everything: true }] }, 'wrong'))[0], 401)
    assert.equal((await get('/c'))[1], true)
    assert.ok(said.includes('a purge was refused: without the token'))
  })

  test('that names nothing is 400, says what to write, and purges nothing of it', async (t) => {
    const { get, purge } = await running(t, folderOf(t), origin)
    await get('/d')
    for (const body of [
      '',
      '{}',
      { purge: [] },
      { purge: [{ everything: true }, { url: 'nothing' }] },
      { purge: [{ key: 'a' }] },
    ]) {
      const [status, { error }] = await purge(body)
      assert.deepEqual([status, error !== undefined && error !== ''], [400, true], JSON.stringify(body))
    }
    assert.equal((await get('/d'))[1], true)
  })
})

describe('the journal of purges', () => {
  const purgeAt = (at: number): Purge => ({ id: `${at}`, at, soft: false, kind: 'surrogate-key', value: `k${at}` })
  const journal = (folder: string, hasCache = true) =>
    purgeJournal({ folder, hasCache, now: () => 77, onMessage: () => undefined })

  test('gives back what was appended, but for a line that was never acknowledged', async (t) => {
    const folder = folderOf(t)
    const written = journal(folder, false)
    const all: Purge[] = []
    for (let at = 0; at < 10; at++) {
      all.push(purgeAt(at))
      // Where it stands on the bus is as safe as the purge itself.
      await written.append(purgeAt(at), () => all, at === 7 ? 'place 7' : undefined)
    }
    await written.close()
    appendFileSync(join(folder, 'purges.jsonl'), '{"id":"torn')
    assert.deepEqual(journal(folder).load(), { purges: all, gapUntil: undefined, cursor: 'place 7' })
  })

  test('takes many at once, in one go', async (t) => {
    const folder = folderOf(t)
    const written = journal(folder, false)
    const all = Array.from({ length: 1_000 }, (_, at) => purgeAt(at))
    await Promise.all(all.map((purge) => written.append(purge, () => all)))
    await written.close()
    const kept = new Set(
      journal(folder)
        .load()
        .purges.map(({ id }) => id),
    )
    assert.equal(all.filter(({ id }) => kept.has(id)).length, 1_000)
  })

  test('that is damaged, of another version, or gone purges all that lies in the cache', async (t) => {
    const folder = folderOf(t)
    const path = join(folder, 'purges.jsonl')
    assert.deepEqual(journal(folder).load(), { purges: [], gapUntil: 77 })
    // Which is remembered.
    assert.deepEqual(journal(folder).load().purges, [{ id: 'gap', at: 77, soft: false, kind: 'everything', value: '' }])
    assert.deepEqual(journal(folderOf(t), false).load(), { purges: [], gapUntil: undefined })
    const written = journal(folder)
    await written.append(purgeAt(1), () => [purgeAt(1)])
    await written.close()
    const good = readFileSync(path, 'utf8')
    for (const bad of [
      good.replace('"surrogate-key"', '"other"'),
      good.replace('"version":1', '"version":2'),
      good.replace('{', '('),
    ]) {
      writeFileSync(path, bad)
      assert.deepEqual(journal(folder).load(), { purges: [], gapUntil: 77 })
    }
  })

  test('is written anew when most of it does not count any more', async (t) => {
    const folder = folderOf(t)
    const written = journal(folder, false)
    let looks = 0
    for (let at = 0; at < 1_500; at++) {
      const all = () => {
        looks++
        return [purgeAt(at)]
      }
      await written.append(purgeAt(at), all, `place ${at}`)
    }
    assert.equal(looks, 2, 'and what counts is looked for only then')
    await written.close()
    assert.ok(readFileSync(join(folder, 'purges.jsonl'), 'utf8').split('\n').length < 1_100)
    const { purges, cursor } = journal(folder).load()
    assert.deepEqual([purges.at(-1)?.id, cursor], ['1499', 'place 1499'])
  })

  test('that cannot be written makes the purge fail, and it holds all the same', async () => {
    const cdn = createCdn(
      { origins: {}, routes: [{ match: '/*', respond: { status: 204 } }], log: [] },
      {
        purges: {
          load: () => ({ purges: [], gapUntil: undefined }),
          append: async () => Promise.reject(new Error('full')),
          close: async () => {},
        },
      },
    )
    await assert.rejects(cdn.purge({ everything: true }), /full/)
  })
})
