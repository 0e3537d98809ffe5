// simple-cdn purge: what the running server has, by URL, surrogate key, prefix, pattern, host or route, or all, is not reused any more.
import type { Purge, PurgeReceipt, PurgeStatus } from '@simple-cdn/core'
import { Failure } from '../failure.ts'
import type { Refreshed } from '../refresh.ts'
import { CONFIG_OPTION, type Command, type Values } from './command.ts'
import { access } from './explain.ts'

const TIMEOUT_MS = 90_000
/** For machines that are restarting. Who is away for longer is named. */
const WAIT_MS = 30_000

export const purge: Command = {
  usage:
    'simple-cdn purge [--url URL] [--key NAME] [--prefix URL] [--pattern URL] [--on-host HOST] [--route NAME] [--everything] [--soft] [--wait] | status ID',
  summary: 'Purges what the running server has stored, and all machines with it; it is done when the command ends.',
  help: `What was asked for before this, stored or on its way, is not reused any more.

      --url URL       all variants of a URL
      --key NAME      all that has this surrogate key (Surrogate-Key, Cache-Tag)
      --prefix URL    all whose URL begins like this: https://example.com/blog/
      --pattern URL   all whose URL fits, "*" standing for anything: 'https://example.com/*.css*'
      --on-host HOST  all of a host: example.com
      --route NAME    all that is asked for through a route, by its name in the configuration
      --everything    all there is

Each of them may be repeated, and all of them may be given together, 1,000 at most.

      --soft          leaves it to be served stale, while it is asked for again or when the origin fails
      --dry-run       purges nothing, and says how much would be, with some of the URLs
      --wait          waits until every machine has applied it, 30 s at most, and says who has and when; exit code 1 when one has not
      --refresh       then fetches again what was purged: the first 100
      --verify        as --refresh, and exit code 1 when the origin still has a version that was purged

simple-cdn purge status ID says later which machines have applied it.

  -c, --config PATH   the configuration file that the server was started with
      --admin URL     the admin listener of a server elsewhere; also $CDN_ADMIN_URL
      --token TOKEN   its token, or that of purges; also $CDN_ADMIN_TOKEN, which other users of this machine cannot see
`,
  options: {
    ...CONFIG_OPTION,
    url: { type: 'string', multiple: true },
    key: { type: 'string', multiple: true },
    prefix: { type: 'string', multiple: true },
    pattern: { type: 'string', multiple: true },
    'on-host': { type: 'string', multiple: true },
    route: { type: 'string', multiple: true },
    everything: { type: 'boolean' },
    soft: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
    wait: { type: 'boolean' },
    refresh: { type: 'boolean' },
    verify: { type: 'boolean' },
    admin: { type: 'string' },
    token: { type: 'string' },
  },
  operands: ['status?', 'ID?'],
  async run(values, [action, id]) {
    const server = await access(values)
    if (action === 'status' && id !== undefined) {
      const query = new URLSearchParams({ id, waitMs: String(values.wait === true ? WAIT_MS : 0) })
      return report(await ask(server, `/purge?${query}`))
    }
    if (action !== undefined)
      throw new Failure(
        action === 'status' ? 'the ID of the purge is missing' : `purge knows "status ID", and not "${action}"`,
        2,
      )
    const what = named(values)
    if (what.length === 0)
      throw new Failure(
        'what is it to purge? Name it with --url, --key, --prefix, --pattern, --on-host, --route or --everything',
        2,
      )
    const done = await ask(server, '/purge', {
      purge: what,
      soft: values.soft === true,
      dryRun: values['dry-run'] === true,
      refresh: values.refresh === true || values.verify === true,
      ...(values.wait === true && { waitMs: WAIT_MS }),
    })
    if (values['dry-run'] === true) return reportFindings(done)
    for (const { kind, value, id } of done.purged ?? []) say(`purged ${`${kind} ${value}`.trimEnd()}, ${id}`)
    const late = done.receipts === undefined ? 0 : report(done.receipts)
    const old = reportRefreshed(done)
    return late || (values.verify === true && old > 0) ? 1 : 0
  },
}

interface Told {
  readonly purged?: readonly Purge[]
  readonly receipts?: PurgeStatus
  readonly machines?: readonly PurgeReceipt[]
  readonly refreshed?: readonly Refreshed[]
  readonly found?: number
  readonly looked?: number
  readonly complete?: boolean
  readonly sample?: readonly string[]
  readonly error?: string
}

function named(values: Values): readonly object[] {
  const each = (names: readonly string[] | undefined, option: string) => (names ?? []).map((value) => ({ [option]: value }))
  return [
    ...each(values.url, 'url'),
    ...each(values.key, 'surrogateKey'),
    ...each(values.prefix, 'prefix'),
    ...each(values.pattern, 'pattern'),
    ...each(values['on-host'], 'host'),
    ...each(values.route, 'route'),
    ...(values.everything === true ? [{ everything: true }] : []),
  ]
}

async function ask({ url, token }: { url: string; token: string }, path: string, body?: object): Promise<Told> {
  const response = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: Error) => {
    throw new Failure(`no server answers at ${url}: ${error.message}`)
  })
  if (response.status === 401) throw new Failure(`${url} does not know this token`)
  const told = (await response.json().catch(() => ({}))) as Told
  if (!response.ok) throw new Failure(told.error ?? `${url} is not an admin listener of simple-cdn`)
  return told
}

/** Who has applied it; 1 when somebody has not. */
function report({ machines = [] }: Pick<Told, 'machines'>): 0 | 1 {
  for (const { machine, state, appliedAt } of machines) {
    const when = appliedAt === undefined ? '' : ` ${new Date(appliedAt).toISOString()}`
    say(`${machine} ${state === 'applied' ? 'applied' : STATES[state]}${when}`)
  }
  return machines.every(({ state }) => state === 'applied') ? 0 : 1
}

const STATES = {
  behind: 'has not applied it yet',
  away: 'is away: it applies it before it next serves from its cache',
  missing: 'is expected, and was never heard of',
} as const

function reportFindings({ found = 0, looked = 0, complete = true, sample = [] }: Told): 0 {
  say(`would purge ${found} of ${looked} stored responses${complete ? '' : ', and perhaps others that were not looked at'}`)
  for (const url of sample) say(`  ${url}`)
  if (found > sample.length) say('  …')
  return 0
}

/** How many of the origin's versions are still those that were purged. */
function reportRefreshed({ refreshed = [], found = 0 }: Told): number {
  for (const { url, status, version } of refreshed)
    say(`refreshed ${url}: ${status === 0 ? 'no answer' : status}${version === undefined ? '' : `, ${VERSIONS[version]}`}`)
  if (found > refreshed.length && refreshed.length > 0)
    say(`${found - refreshed.length} others are fetched when they are asked for`)
  return refreshed.filter(({ version }) => version === 'old').length
}

const VERSIONS = {
  new: 'a new version',
  old: 'THE VERSION THAT WAS PURGED: the origin still has it',
  unknown:
    'a version that nobody can tell from the other: without ETag and Last-Modified, out of the store, or the origin failed',
} as const

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
