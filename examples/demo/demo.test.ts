// The demo as a person would try it: `npm start`, then the commands of the page "Try the cache" in another terminal.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DEMONSTRATIONS } from './site/demonstrations.ts'
import { type Demo, missing, type Scene, startDemo } from './transcript.ts'

/** For each demonstration: the status and the Cache-Status of every head that curl prints, then lines that the demo shows. */
const EXPECTED: Record<string, { heads: RegExp[]; shown: RegExp[] }> = {
  '/': {
    heads: [/^200 fwd=uri-miss; fwd-status=200; ttl=\d+; stored$/, /^200 hit; ttl=\d+$/],
    shown: [
      /origin was asked GET \/, answered 200/,
      /^MISS +200 +HEAD \/ .*nothing is stored/m,
      /^HIT +200 +HEAD \/ .*is fresh/m,
    ],
  },
  '/api/now': {
    heads: [/^200 fwd=uri-miss; .*stored$/, /^200 hit; ttl=-\d; detail=stale-while-revalidate$/, /^200 hit; ttl=\d$/],
    shown: [
      /^STALE +200 +GET \/api\/now .*may be served while it is revalidated\n +origin was asked GET \/api\/now, answered 200/m,
    ],
  },
  '/flaky': {
    heads: [/^200 fwd=uri-miss; .*stored$/, /^200 fwd=stale; fwd-status=503; ttl=-\d; detail=stale-if-error$/],
    shown: [/origin was asked GET \/flaky, answered 503 .*\nSTALE +200 +HEAD \/flaky .*the origin failed/],
  },
  '/slow': {
    heads: [/^200 fwd=uri-miss; fwd-status=200; .*stored$/, ...Array(4).fill(/^200 fwd=uri-miss; ttl=\d; collapsed$/)],
    shown: [/^SHARED +200 +HEAD \/slow .*another request was under way/m],
  },
  '/audio/day-old.wav': {
    heads: [
      /^206 fwd=uri-miss; fwd-status=206; .*stored$/,
      /^206 hit; ttl=\d+$/,
      /^206 fwd=partial; fwd-status=206; .*stored; detail=slice-miss$/,
    ],
    shown: [/^HIT +206 +GET \/audio\/day-old.wav +1000 B/m, /a part of the stored body that is needed is not there/],
  },
  '/feed.xml': { heads: [/^304 hit; ttl=\d+$/], shown: [/^HIT +304 +HEAD \/feed.xml +0 B .*is fresh/m] },
  '/hello': {
    heads: [/^200 fwd=uri-miss; .*stored$/, /^200 fwd=vary-miss; .*stored$/],
    shown: [/^MISS .*selected by other request fields/m],
  },
  '/account': {
    heads: [/^303 fwd=method; fwd-status=303; detail=no-store$/, /^200 fwd=bypass; fwd-status=200; detail=cookie$/],
    shown: [/^PASS +200 +HEAD \/ .*a cookie that this route takes past the cache/m],
  },
  '/private': { heads: [/^200 fwd=uri-miss; fwd-status=200; detail=private$/], shown: [/not stored: the response says private/] },
  '/no-store': { heads: [], shown: [/not stored: the response says no-store/] },
  '/rss': { heads: [/^301 detail=redirect$/], shown: [/^ITSELF +301 +HEAD \/rss .*the route redirects/m] },
  '/missing': { heads: [/^404 fwd=uri-miss; .*stored$/, /^404 hit; ttl=\d$/], shown: [/^HIT +404/m] },
}

function headsOf({ typed }: Scene): string[] {
  return [...typed.matchAll(/^HTTP\/1\.1 (\d+).*\n(?:.+\n)*?Cache-Status: simple-cdn; (.*)$/gm)].map(
    ([, status, cache]) => `${status} ${cache}`,
  )
}

describe('the demo', { skip: missing() ?? false }, () => {
  let demo: Demo
  before(async () => {
    demo = await startDemo()
  })
  after(() => demo.end())

  it('has something expected of each demonstration', () => {
    assert.deepEqual(
      Object.keys(EXPECTED),
      DEMONSTRATIONS.map(({ path }) => path),
    )
  })

  for (const demonstration of DEMONSTRATIONS) {
    it(`shows what it promises: ${demonstration.title}`, async () => {
      const scene = await demo.play(demonstration)
      const { heads = [], shown = [] } = EXPECTED[demonstration.path] ?? {}
      const came = headsOf(scene)
      // Of those who ask at the same moment any may be the first to be answered.
      if (demonstration.path === '/slow') came.sort((a, b) => Number(a.includes('collapsed')) - Number(b.includes('collapsed')))
      assert.equal(came.length, heads.length, scene.typed)
      for (const [at, head] of heads.entries()) assert.match(came[at] ?? '', head)
      for (const line of shown) assert.match(scene.shown, line)
    })
  }

  it('answers 503 while the origin fails and nothing is stored', async () => {
    const curl = ['curl -s -X POST {base}/demo/break', 'curl -sI {base}/episodes/day-old', 'curl -s -X POST {base}/demo/mend']
    const scene = await demo.play({ curl })
    assert.match(headsOf(scene)[0] ?? '', /^503 fwd=uri-miss; fwd-status=503; /)
    assert.match(scene.shown, /^ERROR +503 +HEAD \/episodes\/day-old /m)
  })

  it('is found by `simple-cdn explain`, which says what would be done and why', () => {
    const bin = join(import.meta.dirname, '../../packages/server/src/bin.ts')
    const args = ['--conditions=@simple-cdn/source', bin, 'explain', `${demo.base}/feed.xml`]
    const { stdout } = spawnSync(process.execPath, args, { cwd: demo.folder, encoding: 'utf8' })
    assert.match(stdout, /serve: the stored response is fresh\nlifetime 60s/)
  })

  for (const [asked, sentence] of [
    ['8o8o', /^"8o8o" is no port\. PORT=9000 npm start\n$/],
    ['taken', /^Name one that is free\. PORT=9000 npm start\n$/],
  ] as const) {
    it(`says so and ends when it cannot have the port that is asked for: ${asked}`, () => {
      const PORT = asked === 'taken' ? new URL(demo.base).port : asked
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        ['--conditions=@simple-cdn/source', join(import.meta.dirname, 'start.ts')],
        { env: { ...process.env, PORT, DEMO_FOLDER: demo.folder }, encoding: 'utf8', timeout: 10_000 },
      )
      assert.equal(status, 1)
      assert.match(stderr, sentence)
      if (asked === 'taken') assert.equal(stdout, `Port ${PORT} is taken.\n`)
    })
  }

  it('ends well when its reader has gone', async () => {
    const reader = spawn(
      'sh',
      ['-c', `"$0" --conditions=@simple-cdn/source "$1" | (sleep 0)`, process.execPath, join(import.meta.dirname, 'start.ts')],
      { env: { ...process.env, PORT: '0', DEMO_FOLDER: demo.folder }, stdio: ['ignore', 'ignore', 'pipe'], timeout: 10_000 },
    )
    let complaint = ''
    reader.stderr.setEncoding('utf8').on('data', (text) => {
      complaint += text
    })
    await once(reader, 'close')
    assert.equal(complaint, '')
  })

  it('stops when it is told to', async () => {
    demo.process.kill('SIGTERM')
    const [code] = await once(demo.process, 'exit')
    assert.equal(code, 0)
  })
})
