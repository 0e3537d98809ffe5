// `npm start`: the demo's origin, simple-cdn before it, and a line for each request as it happens.
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

const paint = painter(process.stdout.isTTY && !process.env.NO_COLOR)
const say = (text: string): void => void process.stdout.write(`${text}\n`)
/** Requests that came before the welcome was out are shown after it. */
const early: string[] = []
let showLine = (line: string): void => void early.push(line)
const display = show(paint, (line) => showLine(line))

const origin = await startDemoOrigin({ onAnswer: display.originAnswered })
process.env.DEMO_ORIGIN = origin.url
const { default: config } = (await import('./cdn.config.ts')) as unknown as { default: ProgramConfig }
/** `simple-cdn explain` looks for the server beside its configuration; who starts a second demo on purpose names another folder. */
const folder = process.env.DEMO_FOLDER ?? import.meta.dirname

const asked = process.env.PORT || undefined
if (asked !== undefined && !(/^\d{1,5}$/.test(asked) && Number(asked) < 65_536)) await giveUp(`"${asked}" is no port. `)
const server = await listening(asked === undefined ? FIRST_PORT : Number(asked))

let stopping = false
function stop(): void {
  if (stopping) process.exit(1)
  stopping = true
  say('\nStopping: what is under way is finished first. Again to stop at once.')
  void server.close().then(origin.close)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
// Nobody reads on, as after `npm start | head`: there is nothing left to show requests to.
process.stdout.on('error', () => stopping || stop())

say([welcome(server, paint), ...early].join('\n'))
showLine = say

/** On `first`; unless that one was asked for, on the next that is free. */
async function listening(first: number): Promise<RunningServer> {
  const last = asked === undefined ? first + PORTS - 1 : first
  for (let port = first; port <= last; port++) {
    try {
      const options = { config: { ...config, log: [display.sink] }, host: '127.0.0.1', port, grace: '5s', folder, log } as const
      return await startServer(options)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      say(`Port ${port} is taken.`)
    }
  }
  return giveUp()
}

async function giveUp(why = ''): Promise<never> {
  await origin.close()
  process.stderr.write(`${why}Name a port that is free: PORT=9000 npm start\n`)
  process.exit(1)
}

function welcome({ url: at }: RunningServer, { bold, dim }: Paint): string {
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
    dim(`    npm run explain -- -c examples/demo/cdn.config.ts ${at}/feed.xml`),
    '',
    dim('Ctrl-C stops it. Each request, as it happens:'),
    '',
  ].join('\n')
}
