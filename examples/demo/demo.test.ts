// The demo as a person would try it: `npm start`, then curl in another terminal.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

const hasCurl = spawnSync('curl', ['--version']).status === 0
const skip = hasCurl ? false : 'curl is not on this machine'

describe('the demo', { skip }, () => {
  let demo: ChildProcess
  let base = ''
  let shown = ''

  before(async () => {
    demo = spawn(process.execPath, ['--conditions=@simple-cdn/source', `${import.meta.dirname}/start.ts`], {
      env: { ...process.env, PORT: '0', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    demo.stdout?.setEncoding('utf8').on('data', (text) => {
      shown += text
    })
    while (!shown.includes('as it happens:')) await once(demo.stdout as NodeJS.ReadableStream, 'data')
    base = /Open (http:\S+)\//.exec(shown)?.[1] ?? ''
  })

  after(() => {
    demo.kill('SIGKILL')
  })

  const run = promisify(execFile)
  const curl = async (path: string, ...options: string[]): Promise<string> =>
    (await run('curl', ['-sS', '-D', '-', '-o', '/dev/null', ...options, base + path])).stdout
  const status = (answer: string): number => Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1])
  const cache = (answer: string): string => /^Cache-Status: (.*)\r$/m.exec(answer)?.[1] ?? ''

  it('shows a miss, then a hit, to `curl -I` twice', async () => {
    assert.match(cache(await curl('/', '-I')), /^simple-cdn; fwd=uri-miss; fwd-status=200; ttl=\d+; stored$/)
    assert.match(cache(await curl('/', '-I')), /^simple-cdn; hit; ttl=\d+$/)
  })

  it('serves what is stale while it is revalidated', async () => {
    await curl('/api/now')
    await new Promise((resolve) => setTimeout(resolve, 5_200))
    assert.match(cache(await curl('/api/now')), /^simple-cdn; hit; ttl=-\d; detail=stale-while-revalidate$/)
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.match(cache(await curl('/api/now')), /^simple-cdn; hit; ttl=\d$/)
  })

  it('serves what is stale when the origin fails, answers 503 without it, and recovers', async () => {
    await curl('/flaky')
    await curl('/demo/break', '-X', 'POST')
    await new Promise((resolve) => setTimeout(resolve, 2_200))
    const stale = await curl('/flaky')
    assert.equal(status(stale), 200)
    assert.match(cache(stale), /^simple-cdn; fwd=stale; fwd-status=503; ttl=-\d; detail=stale-if-error$/)
    assert.equal(status(await curl('/private')), 503)
    await curl('/demo/mend', '-X', 'POST')
    assert.match(cache(await curl('/flaky')), /fwd=stale; fwd-status=(200|304)/)
  })

  it('answers parts of a recording that it holds', async () => {
    await curl('/audio/day-old.wav')
    const first = await curl('/audio/day-old.wav', '-r', '0-999')
    assert.equal(status(first), 206)
    assert.match(first, /Content-Range: bytes 0-999\/\d{8}\r/i)
    assert.match(cache(first), /; hit/)
    assert.match(cache(await curl('/audio/day-old.wav', '-r', '1000-1999')), /; hit/)
  })

  it('answers 304 to who has the feed already', async () => {
    const etag = /^etag: (.*)\r$/im.exec(await curl('/feed.xml'))?.[1] ?? ''
    const again = await curl('/feed.xml', '-H', `If-None-Match: ${etag}`)
    assert.equal(status(again), 304)
    assert.match(cache(again), /; hit/)
  })

  it('sends who has logged in past the cache', async () => {
    await curl('/')
    assert.equal(cache(await curl('/', '-b', 'session=Ada')), 'simple-cdn; fwd=bypass; fwd-status=200; detail=cookie')
    assert.match(cache(await curl('/')), /; hit/)
  })

  it('keeps languages apart, what is private out, and answers some addresses itself', async () => {
    for (const language of ['de', 'fr']) await curl('/hello', '-H', `Accept-Language: ${language}`)
    assert.match(cache(await curl('/hello', '-H', 'Accept-Language: de')), /; hit/)
    for (let time = 0; time < 2; time++) assert.match(cache(await curl('/private')), /fwd=uri-miss; .*detail=private$/)
    assert.match(await curl('/rss'), /^Location: \/feed.xml\r$/m)
    assert.equal(status(await curl('/health')), 204)
  })

  it('says why on request, and has shown each of these as it happened', async () => {
    const admin = /CDN_ADMIN_URL=(\S+) CDN_ADMIN_TOKEN=(\S+)/.exec(shown)
    const { stdout: why } = await run(
      process.execPath,
      ['--conditions=@simple-cdn/source', `${import.meta.dirname}/../../packages/server/src/bin.ts`, 'explain', `${base}/`],
      { env: { ...process.env, CDN_ADMIN_URL: admin?.[1], CDN_ADMIN_TOKEN: admin?.[2] } },
    )
    assert.match(why, /serve: the stored response is fresh\nlifetime 60s/)
    for (const line of [
      /^MISS +200 +HEAD \/ .*nothing is stored/m,
      /^HIT +200 +HEAD \/ .*is fresh/m,
      /^STALE +200 +GET \/flaky /m,
    ])
      assert.match(shown, line)
    assert.match(shown, /^PASS +200 +GET \/ .*a cookie/m)
    assert.match(shown, /origin was asked GET \/flaky, answered 503/)
  })

  it('stops when it is told to', async () => {
    demo.kill('SIGTERM')
    const [code] = await once(demo, 'exit')
    assert.equal(code, 0)
  })
})
