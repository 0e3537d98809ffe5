// simple-cdn downloads: what was downloaded on a day, by bytes and by listeners, from the lines that have landed.
import { readFileSync } from 'node:fs'
import { type Downloads, downloadCounter, readDownloadLine } from '@simple-cdn/core/log'
import { Failure } from '../failure.ts'
import { CONFIG_OPTION, type Command } from './command.ts'
import { dateOf, sinksWith } from './logs.ts'

export const downloads: Command = {
  usage: 'simple-cdn downloads [--date YYYY-MM-DD] [--sizes FILE]',
  summary: 'Counts downloads of a day from the log: by bytes, and by listeners.',
  help: `Reads the lines of the day, and of the one before, from the sinks that can be read. Each file has two figures:

  by bytes    bytes sent over the size of the file, whoever asked: what the statistics of changelog.com count
  listeners   addresses with an agent, robots left out, that got a minute of audio within 24 hours: in the manner of the IAB

  -d, --date YYYY-MM-DD   in UTC; default: yesterday
      --sizes FILE        JSON with the size of each file by its path; default: the largest response of these two days
      --minute BYTES      what a minute of audio has; default: 960000
      --sink NAME         only the sink of that name; default: all that can be read
      --json              one JSON object a line
  -c, --config PATH       another configuration file than cdn.config.ts
`,
  options: {
    ...CONFIG_OPTION,
    date: { type: 'string', short: 'd' },
    sizes: { type: 'string' },
    minute: { type: 'string' },
    sink: { type: 'string' },
    json: { type: 'boolean' },
  },
  operands: [],
  async run(values) {
    const date = dateOf(values)
    const from = Date.parse(`${date}T00:00:00Z`)
    const minute = values.minute === undefined ? undefined : Number(values.minute)
    if (minute !== undefined && !(minute > 0))
      throw new Failure(`--minute: ${JSON.stringify(values.minute)} is not a number of bytes`, 2)
    const counter = downloadCounter({
      from,
      until: from + 86_400_000,
      ...(values.sizes === undefined ? {} : { sizes: sizesIn(values.sizes) }),
      ...(minute === undefined ? {} : { minuteBytes: minute }),
    })
    let unread = 0
    const dayBefore = new Date(from - 86_400_000).toISOString().slice(0, 10)
    for (const sink of await sinksWith('read', values)) {
      for (const day of [dayBefore, date]) {
        for await (const text of sink.read(day)) {
          for (const line of text.split('\n')) {
            if (line === '') continue
            const read = readDownloadLine(line)
            if (read === undefined) unread++
            else counter.add(read)
          }
        }
      }
      await sink.close()
    }
    const found = counter.report()
    process.stdout.write(
      values.json === true ? found.map((each) => `${JSON.stringify(each)}\n`).join('') : `${table(date, found)}\n`,
    )
    if (unread > 0) process.stderr.write(`${unread} lines are in no format that is known here, and were not counted\n`)
    return 0
  },
}

function sizesIn(path: string): ReadonlyMap<string, number> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>))
  } catch (error) {
    throw new Failure(`--sizes: ${path} is not JSON with sizes by path: ${(error as Error).message}`, 2)
  }
}

function table(date: string, found: readonly Downloads[]): string {
  if (found.length === 0) return `${date}: nothing was downloaded`
  const rows = found.map(
    ({ path, size, isSizeGuessed, byBytes, addresses, listeners }) =>
      [byBytes.toFixed(2), `${listeners}`, `${addresses}`, `${size}${isSizeGuessed ? '?' : ''}`, path] as const,
  )
  const head = ['by bytes', 'listeners', 'addresses', 'size', 'file'] as const
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => (row[column] as string).length)))
  const lines = [head, ...rows].map((row) =>
    row.map((cell, column) => (column === 4 ? cell : cell.padStart(widths[column] as number))).join('  '),
  )
  return [date, ...lines].join('\n')
}
