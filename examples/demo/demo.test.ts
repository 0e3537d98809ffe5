// The demo as a person would try it: `npm start`, then the commands of the page "Try the cache" in another terminal.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
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

const bin = join(import.meta.dirname, '../../packages/server/src/bin.ts')
const start = join(import.meta.dirname, 'start.ts')

/** Runs a program to its end. */
async function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string) {
  const child = spawn(file, args, { env: { ...process.env, ...env }, cwd, timeout: 30_000, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { stdout, stderr, code }
}

const node = (args: readonly string[], env?: NodeJS.ProcessEnv, cwd?: string) =>
  run(process.execPath, ['--conditions=@simple-cdn/source', ...args], env, cwd)

describe('the demo', { skip: missing() ?? false, concurrency: true }, () => {
  describe('in two terminals', { concurrency: false }, () => {
    let demo: Demo
    before(async () => {
      demo = await startDemo()
    })
    after(() => demo.end())

    for (const demonstration of DEMONSTRATIONS) {
      it(`shows what it promises: ${demonstration.title}`, async () => {
        const expected = EXPECTED[demonstration.path]
        assert.ok(expected, `write into EXPECTED what ${demonstration.path} shows`)
        const scene = await demo.play(demonstration)
        const heads = headsOf(scene)
        // Of those who ask at the same moment any may be the first to be answered.
        if (demonstration.path === '/slow')
          heads.sort((a, b) => Number(a.includes('collapsed')) - Number(b.includes('collapsed')))
        assert.equal(heads.length, expected.heads.length, scene.typed)
        for (const [at, head] of expected.heads.entries()) assert.match(heads[at] ?? '', head)
        for (const line of expected.shown) assert.match(scene.shown, line)
      })
    }

    it('answers 503 while the origin fails and nothing is stored', async () => {
      const curl = ['curl -s -X POST {base}/demo/break', 'curl -sI {base}/episodes/day-old', 'curl -s -X POST {base}/demo/mend']
      const scene = await demo.play({ curl })
      assert.match(headsOf(scene)[0] ?? '', /^503 fwd=uri-miss; fwd-status=503; /)
      assert.match(scene.shown, /^ERROR +503 +HEAD \/episodes\/day-old /m)
    })

    it('is found by `simple-cdn explain`, which says what would be done and why', async () => {
      const { stdout } = await node([bin, 'explain', `${demo.base}/feed.xml`], {}, demo.folder)
      assert.match(stdout, /serve: the stored response is fresh\nlifetime 60s/)
    })

    it('stops when it is told to', async () => {
      demo.process.kill('SIGTERM')
      const [code] = await once(demo.process, 'exit')
      assert.equal(code, 0)
    })
  })

  describe('at its start', { concurrency: true }, () => {
    let DEMO_FOLDER = ''
    before(async () => {
      DEMO_FOLDER = await mkdtemp(join(tmpdir(), 'simple-cdn-demo-'))
    })
    after(() => rm(DEMO_FOLDER, { recursive: true }))

    it('says that it cannot have the port that is asked for', async () => {
      const other = createServer().listen(0, '127.0.0.1')
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo
      const { code, stdout, stderr } = await node([start], { PORT: `${port}`, DEMO_FOLDER })
      other.close()
      assert.deepEqual([code, stdout, stderr], [1, `Port ${port} is taken.\n`, 'Name a port that is free: PORT=9000 npm start\n'])
    })

    it('says what is no port', async () => {
      const { code, stderr } = await node([start], { PORT: '8o8o', DEMO_FOLDER })
      assert.deepEqual([code, stderr], [1, '"8o8o" is no port. Name a port that is free: PORT=9000 npm start\n'])
    })

    it('ends well when its reader has gone', async () => {
      const line = '{ "$0" --conditions=@simple-cdn/source "$1"; echo "ended with $?" >&2; } | true'
      const { stderr } = await run('sh', ['-c', line, process.execPath, start], { PORT: '0', DEMO_FOLDER })
      assert.equal(stderr, 'ended with 0\n')
    })
  })
})
