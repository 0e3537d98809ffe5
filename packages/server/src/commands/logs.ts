// simple-cdn logs verify, tail, replay: whether what was served has landed, what is served now, and what was left behind.
import { systemClock } from '@simple-cdn/core'
import type { LogSink, Verified } from '@simple-cdn/core/log'
import { Failure } from '../failure.ts'
import { findConfig, loadConfig } from '../load-config.ts'
import { checked } from './check.ts'
import { CONFIG_OPTION, type Command, type Values } from './command.ts'
import { access } from './explain.ts'

export const logs: Command = {
  usage: 'simple-cdn logs verify|tail|replay [--date YYYY-MM-DD] [--folder PATH]',
  summary: 'Proves that no line of the log is missing; follows the log; sends again what was left behind.',
  help: `verify   compares, for each process of a day, the entries that it took with those that have landed, and names what is missing
tail     follows the log of the running server, as JSON lines
replay   delivers the files of a queue that no process has: of a machine that is gone, or those that were set aside

  -d, --date YYYY-MM-DD   the day to verify, in UTC; default: yesterday
      --read              verify reads every object, and compares its content with its checksum and its numbers
      --sink NAME         only the sink of that name; default: all that can
      --folder PATH       the folder to replay: that of a queue, or "set-aside" in it
      --path PATH         tail shows only these paths, with "*" for anything; may be repeated
      --status STATUS     tail shows only these, such as 404 or 5xx; may be repeated
  -c, --config PATH       another configuration file than cdn.config.ts
      --admin URL         tail: the admin listener of a server elsewhere; also $CDN_ADMIN_URL
      --token TOKEN       its token; also $CDN_ADMIN_TOKEN

Exit code 1 when something is missing, has landed twice, is damaged, or could not be delivered.
`,
  options: {
    ...CONFIG_OPTION,
    date: { type: 'string', short: 'd' },
    read: { type: 'boolean' },
    sink: { type: 'string' },
    folder: { type: 'string' },
    path: { type: 'string', multiple: true },
    status: { type: 'string', multiple: true },
    admin: { type: 'string' },
    token: { type: 'string' },
  },
  operands: ['verify|tail|replay'],
  async run(values, [action]) {
    switch (action) {
      case 'verify':
        return verify(values)
      case 'tail':
        return tail(values)
      case 'replay':
        return replay(values)
      default:
        throw new Failure(`logs can verify, tail and replay, and not ${JSON.stringify(action)}`, 2)
    }
  },
}

const DAY_MS = 86_400_000

/** The day that was asked for, or yesterday. Throws a `Failure` when it is none. */
export function dateOf({ date }: Values): string {
  if (date === undefined) return new Date(systemClock.now() - DAY_MS).toISOString().slice(0, 10)
  const isDay = /^\d{4}-\d\d-\d\d$/.test(date) && new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date) === true
  if (!isDay) throw new Failure(`${JSON.stringify(date)} is not a day, such as "2014-06-06"`, 2)
  return date
}

/** Sinks of the configuration that can do something. Throws a `Failure` when there are none. */
export async function sinksWith<Name extends 'verify' | 'read' | 'replay'>(
  can: Name,
  { config, sink: named }: Values,
): Promise<readonly (LogSink & Required<Pick<LogSink, Name>>)[]> {
  const path = findConfig(config, process.cwd())
  const { log = [] } = checked(path, await loadConfig(path))
  const able = log.filter((sink) => sink[can] !== undefined && (named === undefined || sink.name === named))
  if (able.length === 0) {
    const names = log.map(({ name }) => JSON.stringify(name)).join(', ') || 'none'
    throw new Failure(
      `no log sink ${named === undefined ? '' : `called ${JSON.stringify(named)} `}can ${can}; there are: ${names}`,
    )
  }
  return able as unknown as readonly (LogSink & Required<Pick<LogSink, Name>>)[]
}

async function verify(values: Values): Promise<number> {
  const date = dateOf(values)
  let isWhole = true
  for (const sink of await sinksWith('verify', values)) {
    const found = await sink.verify(date, { read: values.read }).catch((error: Error) => {
      throw new Failure(`${sink.name} cannot be read: ${error.message}`)
    })
    await sink.close()
    process.stdout.write(`${[`${sink.name}, ${date}`, ...found.flatMap(described), concluded(found)].join('\n')}\n`)
    isWhole &&= found.every(isProven)
  }
  return isWhole ? 0 : 1
}

function isProven({ gaps, twice, damaged, served }: Verified): boolean {
  return served !== undefined && gaps.length + twice.length + damaged.length === 0
}

function described(verified: Verified): readonly string[] {
  const { region, machine, boot, served, landed, dropped, gaps, twice, damaged, open, heardAt } = verified
  const state = open ? `, still open${heardAt === undefined ? '' : `, heard of at ${new Date(heardAt).toISOString()}`}` : ''
  return [
    `  ${region} ${machine} ${boot}: served ${served ?? 'unknown, there is no ledger'}, landed ${landed}, dropped ${dropped}${state}`,
    ...gaps.map(
      ([first, last]) =>
        `    missing: ${first} to ${last} (${last - first + 1})${open ? '; they may be on their way, or on the machine’s disk' : ''}`,
    ),
    ...twice.map(([first, last]) => `    twice: ${first} to ${last}`),
    ...damaged.map((key) => `    damaged: ${key}`),
  ]
}

function concluded(found: readonly Verified[]): string {
  const sum = (of: (verified: Verified) => number): number => found.reduce((total, each) => total + of(each), 0)
  const [served, landed, dropped] = [
    sum((each) => each.served ?? each.landed),
    sum((each) => each.landed),
    sum((each) => each.dropped),
  ]
  const figures = `served ${served}, landed ${landed}, dropped and counted ${dropped}`
  if (found.length === 0) return '  no process has said anything about this day'
  return found.every(isProven) ? `  all is there: ${figures}` : `  NOT all is there: ${figures}`
}

async function tail(values: Values): Promise<number> {
  const { url, token } = await access(values)
  const query = new URLSearchParams()
  for (const path of values.path ?? []) query.append('path', path)
  for (const status of values.status ?? []) query.append('status', status)
  const response = await fetch(`${url}/tail?${query}`, { headers: { Authorization: `Bearer ${token}` } }).catch(
    (error: Error) => {
      throw new Failure(`no server answers at ${url}: ${error.message}`)
    },
  )
  if (response.status !== 200) {
    const { error = `${url} answers with ${response.status}` } = (await response.json().catch(() => ({}))) as { error?: string }
    throw new Failure(error, response.status === 400 ? 2 : 1)
  }
  for await (const chunk of response.body ?? []) process.stdout.write(chunk)
  return 0
}

async function replay(values: Values): Promise<number> {
  const { folder } = values
  if (folder === undefined) throw new Failure('--folder is missing: which folder is to be sent again?', 2)
  const [sink, another] = await sinksWith('replay', values)
  if (sink === undefined || another !== undefined) throw new Failure('there are several log sinks: name one with --sink', 2)
  const { files, entries, failed } = await sink.replay(folder).catch((error: Error) => {
    throw new Failure(error.message)
  })
  await sink.close()
  process.stdout.write(
    `${[`${sink.name}: ${entries} entries in ${files} files have landed`, ...failed.map(({ file, reason }) => `  ${file}: ${reason}`)].join('\n')}\n`,
  )
  return failed.length === 0 ? 0 : 1
}
