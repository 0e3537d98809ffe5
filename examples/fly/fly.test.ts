// The reference deployment: its files fit one another, its configuration does what they rely on, and a small Fly on loopback loses nothing.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { playConfig, scriptedOrigin } from '@simple-cdn/testing'
import config from './cdn.config.ts'

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8')

/** What Fly's proxy says of a request, and where it comes from. */
const FLY = { 'Fly-Client-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.9, 66.241.0.1', 'X-Forwarded-Proto': 'https' }
const asked = { headers: FLY, clientAddress: '172.16.3.2' }

async function edge() {
  process.env.FLY_APP_NAME = 'my-cdn'
  const app = scriptedOrigin()
  return { app, ...(await playConfig(config, { app }, { env: { FLY_REGION: 'fra' } })) }
}

describe('the configuration', () => {
  test('answers the checks of the proxy without asking anybody', async () => {
    const { get, app, close } = await edge()
    assert.equal((await get('http://172.19.0.2:8080/_cdn/health')).status, 204)
    assert.equal(app.requests.length, 0)
    await close()
  })

  test('takes the client for whom the proxy says it is, and nobody else for the proxy', async () => {
    const { get, entries, close } = await edge()
    await get('http://cdn.example.com/', asked)
    await get('http://cdn.example.com/', { headers: FLY, clientAddress: '198.51.100.7' })
    assert.deepEqual(
      entries.map(({ clientAddress }) => clientAddress),
      ['203.0.113.9', '198.51.100.7'],
    )
    await close()
  })

  test('says in which region it answered, for regions.mjs to see', async () => {
    const { get, close } = await edge()
    assert.equal((await get('http://cdn.example.com/', asked)).header('X-Cdn-Region'), 'fra')
    await close()
  })

  test('lets a page outlive its origin for a week', async () => {
    const { get, app, clock, close } = await edge()
    app.answer({ headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' })
    await get('http://cdn.example.com/', asked)
    app.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
    await clock.advance(6 * 86_400_000)
    assert.equal((await get('http://cdn.example.com/', asked)).text, 'hello')
    await close()
  })
})

describe('the files', () => {
  test('fit one another, as `simple-cdn check --fly` says', { skip: isForked() && 'npm run check does this' }, () => {
    const program = join(import.meta.dirname, '../../packages/server/bin/simple-cdn.js')
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@simple-cdn/source', program, 'check', '--fly', '--config', join(import.meta.dirname, 'cdn.config.ts')],
      { encoding: 'utf8' },
    )
    assert.equal(stderr, '')
    assert.match(stdout, /fly\.toml fits\.\n$/)
    assert.equal(status, 0)
  })

  test('name in op.env every secret that the README asks for', () => {
    const named = [...read('op.env').matchAll(/^(\w+)=op:/gm)].map(([, name]) => name)
    for (const name of ['CDN_ADMIN_TOKEN', 'BUCKET_NAME', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
      assert.ok(named.includes(name), name)
      assert.ok(read('README.md').includes(name), name)
    }
  })
})

describe('regions.mjs', () => {
  test('says which region does not answer as it should', async (t) => {
    // fra is well, iad has nobody, nrt is answered by another region, syd keeps nothing.
    const server = createServer(({ headers }, response) => {
      const region = headers['fly-force-region']
      response.statusCode = region === 'iad' ? 503 : 200
      response.setHeader('X-Cdn-Region', region === 'nrt' ? 'fra' : String(region))
      response.setHeader('Cache-Status', region === 'syd' ? 'simple-cdn; fwd=uri-miss' : 'simple-cdn; hit; ttl=9')
      response.end()
    }).listen(0, '127.0.0.1')
    t.after(() => void server.close().closeAllConnections())
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    // @ts-expect-error: a script without types, which runs on any Node.
    const { checkRegion } = await import('./regions.mjs')
    const faults = await Promise.all(['fra', 'iad', 'nrt', 'syd'].map(async (region) => (await checkRegion(url, region)).fault))
    assert.deepEqual(faults, [undefined, 'answered 503', 'was answered by fra', 'has no hit for the same page twice'])
    server.close().closeAllConnections()
    assert.match((await checkRegion(url, 'fra')).fault, /^did not answer: /)
  })
})

/** Out of this repository there is no local Fly. */
function isForked(): boolean {
  return !import.meta.dirname.endsWith(join('examples', 'fly'))
}
