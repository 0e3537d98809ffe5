// The log on the command line: the proof, the live log, what was left behind, and downloads.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakeS3 } from '../../sinks/s3/test/fake-s3.ts'
import { project } from './support/project.ts'

const config = (endpoint: string): string => `
import { changelogCsv, defineConfig, only, s3Sink } from 'simple-cdn'
export default defineConfig({
  origins: {},
  routes: [
    { match: '/uploads/*', respond: { status: 200, body: 'x'.repeat(2000) } },
    { match: '/*', respond: { status: 404, body: 'no' } },
  ],
  log: [
    only({ paths: ['/uploads/*'] }, s3Sink({
      endpoint: '${endpoint}', bucket: 'logs', region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 's', name: 'stats',
      format: changelogCsv, spool: { folder: '.simple-cdn/log', retryMs: [20, 100], maxFlushMs: 1000 },
    })),
  ],
  disk: false,
  server: { host: '127.0.0.1', port: 0 },
})
`

test('what is served lands in S3, and the command line proves it, counts it, follows it, and sends what was left', async (t) => {
  const bucket = await fakeS3()
  t.after(() => bucket.close())
  const site = project(t, { 'cdn.config.ts': config(bucket.url) })
  const today = new Date().toISOString().slice(0, 10)
  const logs = (...args: string[]) => site.run(['logs', ...args]).ended
  const serve = async (count: number) => {
    const server = await site.start()
    const tail = site.run(['logs', 'tail', '--status', '404'])
    // The live log shows what comes after it has begun.
    while (tail.stdout() === '') {
      await (await fetch(`${server.url}/nothing`)).arrayBuffer()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    for (let at = 0; at < count; at++) {
      const response = await fetch(`${server.url}/uploads/show/1/a.mp3`, { headers: { 'User-Agent': `Overcast/${at % 2}` } })
      await response.arrayBuffer()
    }
    server.child.kill('SIGTERM')
    await server.ended
    return (await tail.ended).stdout
  }

  const followed = await serve(10)
  assert.ok(
    followed
      .trimEnd()
      .split('\n')
      .every((line) => JSON.parse(line).status === 404),
  )
  const proof = await logs('verify', '--date', today, '--read')
  assert.equal(proof.code, 0, proof.stderr)
  assert.match(
    proof.stdout,
    /^stats, .*\n.*served 10, landed 10, dropped 0\n {2}all is there: served 10, landed 10, dropped and counted 0\n$/,
  )

  const counted = await site.run(['downloads', '--date', today, '--minute', '1500', '--json']).ended
  assert.deepEqual(JSON.parse(counted.stdout), {
    path: '/uploads/show/1/a.mp3',
    size: 2000,
    isSizeGuessed: true,
    bytes: 20_000,
    byBytes: 10,
    addresses: 1,
    listeners: 2,
  })

  bucket.isDown = true
  await serve(5)
  bucket.isDown = false
  const folder = join(site.folder, '.simple-cdn/log')
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.segment')).length, 1)
  const sent = await logs('replay', '--folder', '.simple-cdn/log')
  assert.deepEqual([sent.code, sent.stdout], [0, 'stats: 5 entries in 1 files have landed\n'], sent.stderr)
  assert.match((await logs('verify', '-d', today)).stdout, /all is there: served 15, landed 15/)

  for (const key of bucket.objects.keys()) if (key.startsWith(today)) bucket.delete(key)
  const broken = await logs('verify', '-d', today)
  assert.equal(broken.code, 1)
  assert.match(broken.stdout, /missing: 0 to 9 \(10\)[\s\S]*NOT all is there: served 15, landed 0/)
})

test('says what it cannot do', async (t) => {
  const site = project(t, {
    'cdn.config.ts': `export default { origins: {}, routes: [{ match: '/*', respond: { status: 204 } }] }`,
  })
  const rows: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['logs', 'prove'], 2, /logs can verify, tail and replay, and not "prove"/],
    [['logs', 'verify', '--date', '2014-02-30'], 2, /"2014-02-30" is not a day/],
    [['logs', 'verify'], 1, /no log sink can verify; there are: none/],
    [['logs', 'replay'], 2, /--folder is missing/],
    [['downloads', '--minute', 'x'], 2, /not a number of bytes/],
  ]
  for (const [args, code, says] of rows) {
    const ended = await site.run(args).ended
    assert.equal(ended.code, code)
    assert.match(ended.stderr, says)
  }
})
