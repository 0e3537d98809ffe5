// The folder beside the configuration: readable by its owner alone, and empty of us when we are gone.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { type RunningServer, startServer } from 'simple-cdn'
import { logger, type Said, temporaryFolder } from './support/served.ts'

async function start(t: TestContext, folder: string, token?: string, said: Said[] = []): Promise<RunningServer> {
  const server = await startServer({
    config: { origins: {}, routes: [{ match: '/*', respond: { status: 204 } }], log: [] },
    folder,
    log: logger((line) => said.push(line)),
    host: '127.0.0.1',
    port: 0,
    admin: token === undefined ? {} : { token },
  })
  t.after(() => server.close({ graceMs: 0 }))
  return server
}

const word = (folder: string) => join(folder, '.simple-cdn/admin.json')
const left = (folder: string) => JSON.parse(readFileSync(word(folder), 'utf8'))
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe('a server that starts', () => {
  test('leaves word of its admin listener for its owner alone, out of version control', async (t) => {
    const folder = temporaryFolder(t)
    const { adminUrl, adminToken } = await start(t, folder)
    assert.deepEqual(left(folder), { url: adminUrl, token: adminToken })
    assert.deepEqual([mode(join(folder, '.simple-cdn')), mode(word(folder))], ['700', '600'])
    assert.equal(readFileSync(join(folder, '.simple-cdn/.gitignore'), 'utf8'), '*\n')
  })

  test('makes a file of its own, whatever was there before', async (t) => {
    const folder = temporaryFolder(t)
    mkdirSync(join(folder, '.simple-cdn'))
    writeFileSync(word(folder), 'of somebody else')
    chmodSync(word(folder), 0o666)
    await start(t, folder)
    assert.equal(mode(word(folder)), '600')
  })

  test('does not write down a token that was configured', async (t) => {
    const folder = temporaryFolder(t)
    const { adminUrl } = await start(t, folder, 'known-to-few-only')
    assert.deepEqual(left(folder), { url: adminUrl })
  })

  test('starts also where it cannot write, and says what does not work then', async (t) => {
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, '.simple-cdn'), 'a file in its place')
    const said: Said[] = []
    await start(t, folder, undefined, said)
    assert.deepEqual(
      said.filter(({ level }) => level === 'warn').map(({ message }) => message),
      [`${join(folder, '.simple-cdn')} cannot be written: simple-cdn explain will need --admin and --token`],
    )
  })
})

describe('a server that stops', () => {
  test('takes its word back', async (t) => {
    const folder = temporaryFolder(t)
    const server = await start(t, folder)
    await server.close()
    assert.equal(existsSync(word(folder)), false)
  })

  test('leaves the word of a later one', async (t) => {
    const folder = temporaryFolder(t)
    const first = await start(t, folder)
    const second = await start(t, folder)
    await first.close()
    assert.equal(left(folder).url, second.adminUrl)
  })
})
