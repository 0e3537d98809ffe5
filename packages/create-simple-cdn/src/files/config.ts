// cdn.config.ts and its test: the only files of a project that are about caching.
import type { Choices } from '../choices.ts'

/** Answered by the CDN itself, so that a site may have a /health of its own. */
export const HEALTH = '/_cdn/health'
export const PORT = 8080
export const ADMIN_PORT = 9090
/** What is under way gets so long when a machine stops; what is left of `STOP_SECONDS` is for logs that are still to be uploaded. */
const GRACE_SECONDS = 45
export const STOP_SECONDS = 60

export function configFile({ origin, place, logs, diskGb }: Choices): string {
  return `// The whole CDN. Change it while \`simple-cdn start\` runs: the next request is for the new one.
import { defineConfig${logs === 's3' ? ', s3Sink, stdoutSink' : ''} } from 'simple-cdn'

export default defineConfig((env) => ({
  origins: { app: env.ORIGIN_URL ?? ${quoted(origin)} },

  // From top to bottom; the first match wins.
  routes: [
    { match: '${HEALTH}', respond: { status: 204 } },

    // Files that are the same for everybody: an hour, unless your site says how long.
    {
      match: ['/*.css', '/*.js', '/*.png', '/*.jpg', '/*.webp', '/*.svg', '/*.woff2', '/*.mp3'],
      origin: 'app',
      cache: { defaultTtl: '1h', staleWhileRevalidate: '1d', stripCookies: true },
    },

    // Everything else as your site says in Cache-Control: "max-age=60" is a minute, "private" is not for this cache.
    {
      match: '/*',
      origin: 'app',
      // Whoever has one of these cookies is logged in, and is answered by your site itself: name yours.
      cache: { bypassCookies: ['session'], staleWhileRevalidate: '1m', staleIfError: '1d' },
    },
  ],
${place === 'fly' ? flyTrust : ''}
  disk: ${diskGb === 0 ? 'false' : `'${diskGb}gb'`},
${logFile(logs)}
  server: { port: ${PORT}, grace: '${GRACE_SECONDS}s'${place === 'fly' ? flyAdmin : ''} },
}))
`
}

const flyTrust = `
  // Who the client is, and whether it came by https, is what Fly's proxy says, and nobody else.
  trustedProxies: 'fly',
`

const flyAdmin = `, admin: { host: env.FLY_PRIVATE_IP ?? '127.0.0.1', port: ${ADMIN_PORT} }`

function logFile(logs: Choices['logs']): string {
  switch (logs) {
    case 'none':
      return '\n  // No line for a request; other sinks: stdoutSink(), s3Sink(), httpSink().\n  log: [],\n'
    case 'stdout':
      return ''
    case 's3':
      return `
  // To a bucket, each line once, from a queue on disk. Without one, as on your own machine, to standard output.
  // The keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
  log: env.BUCKET_NAME
    ? [
        s3Sink({
          bucket: env.BUCKET_NAME,
          ...(env.AWS_ENDPOINT_URL_S3 && { endpoint: env.AWS_ENDPOINT_URL_S3 }),
          compress: 'gzip',
          spool: { folder: '.simple-cdn/log/s3' },
        }),
      ]
    : [stdoutSink()],
`
  }
}

export function configTestFile(): string {
  return `// The configuration without a network, on a clock that stands still until it is told to move.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { playConfig, scriptedOrigin } from '@simple-cdn/testing'
import config from './cdn.config.ts'

const MINUTE = 60_000

async function site(headers: Record<string, string>) {
  const app = scriptedOrigin()
  app.answer({ headers, body: 'hello' })
  return { app, ...(await playConfig(config, { app }, { env: {} })) }
}

test('a page that may be kept for a minute is asked for once in it', async () => {
  const { get, app, clock, close } = await site({ 'Cache-Control': 'max-age=60' })
  assert.match((await get('/')).header('Cache-Status'), /fwd=uri-miss.*stored/)
  await clock.advance(MINUTE / 2)
  assert.match((await get('/')).header('Cache-Status'), /hit/)
  assert.equal(app.requests.length, 1)
  await close()
})

test('a page outlives its site', async () => {
  const { get, app, clock, close } = await site({ 'Cache-Control': 'max-age=60' })
  await get('/')
  app.answer({ fails: 'CDN_ORIGIN_UNREACHABLE' })
  await clock.advance(60 * MINUTE)
  const { status, text } = await get('/')
  assert.deepEqual([status, text], [200, 'hello'])
  await close()
})

test('whoever is logged in is answered by the site itself', async () => {
  const { get, app, close } = await site({ 'Cache-Control': 'max-age=60' })
  for (const _ of [1, 2]) await get('/', { headers: { Cookie: 'session=1' } })
  assert.equal(app.requests.length, 2)
  await close()
})

test('files are kept for an hour, whatever cookies there are', async () => {
  const { get, app, close } = await site({})
  await get('/main.css', { headers: { Cookie: 'session=1' } })
  assert.match((await get('/main.css')).header('Cache-Status'), /hit/)
  assert.equal(app.requests.length, 1)
  await close()
})
`
}

/** As JavaScript text in single quotes. */
function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}
