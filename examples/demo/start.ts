// `npm start`: the demo's origin, simple-cdn before it, and a line for each request as it happens.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ProgramConfig, type RunningServer, startServer } from 'simple-cdn'
import { startDemoOrigin } from './origin.ts'
import { type Paint, painter, show } from './show.ts'
import { DEMONSTRATIONS } from './site/demonstrations.ts'

const FIRST_PORT = 8080
/** How many ports are tried, from the first on, when none was asked for. */
const PORTS = 20

const log = { info() {}, warn: trouble, error: trouble, fatal: trouble }

function trouble(facts: object, message: string): void {
  process.stderr.write(`${message} ${JSON.stringify(facts)}\n`)
}

const paint = painter(process.stdout.isTTY && process.env.NO_COLOR === undefined)
const say = (text: string): void => void process.stdout.write(`${text}\n`)
const display = show(paint, say)

const origin = await startDemoOrigin({ onAnswer: display.originAnswered })
process.env.DEMO_ORIGIN = origin.url
const { default: config } = (await import('./cdn.config.ts')) as unknown as { default: ProgramConfig }
const folder = await mkdtemp(join(tmpdir(), 'simple-cdn-demo-'))
const token = randomBytes(24).toString('base64url')

const server = await listening(process.env.PORT).catch(async (error: NodeJS.ErrnoException) => {
  await cleanUp()
  if (error.code !== 'EADDRINUSE') throw error
  process.stderr.write(`Every port from ${FIRST_PORT} on is taken. Name another: PORT=9000 npm start\n`)
  process.exit(1)
})
say(welcome(server, paint))

let stopping = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(1)
    stopping = true
    say('\nStopping: what is under way is finished first. Again to stop at once.')
    void server.close().then(cleanUp)
  })
}

async function cleanUp(): Promise<void> {
  await origin.close()
  await rm(folder, { recursive: true, force: true })
}

/** On the port that was asked for, or on the first that is free. */
async function listening(asked: string | undefined): Promise<RunningServer> {
  const ports = asked === undefined ? Array.from({ length: PORTS }, (_, at) => FIRST_PORT + at) : [Number(asked)]
  for (const port of ports) {
    try {
      return await startServer({
        config: { ...config, log: [display.sink] },
        host: '127.0.0.1',
        port,
        admin: { token },
        grace: '5s',
        folder,
        log,
      })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port === ports.at(-1)) throw error
    }
  }
  throw new Error('there is no port to try')
}

function welcome({ url, adminUrl }: RunningServer, { bold, dim }: Paint): string {
  const at = url.replace('127.0.0.1', 'localhost')
  const tries = DEMONSTRATIONS.slice(0, 7).flatMap(({ title, curl }) => [
    `  ${title}`,
    ...curl.map((line) => dim(`    ${line.replaceAll('{base}', at)}`)),
  ])
  return [
    '',
    `${bold('Open')} ${bold(`${at}/`)}   a small site, with simple-cdn before it; ${at}/try lists what there is to try`,
    dim(`     ${origin.url}/   the same site without a cache`),
    '',
    bold('Or try, in another terminal:'),
    ...tries,
    '',
    '  Ask why: what it would do with a request, and what makes it so',
    dim(`    CDN_ADMIN_URL=${adminUrl} CDN_ADMIN_TOKEN=${token} \\`),
    dim(`      node run.mjs explain ${at}/feed.xml`),
    '',
    dim('Ctrl-C stops it. Each request, as it happens:'),
    '',
  ].join('\n')
}
