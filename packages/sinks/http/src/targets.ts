// Services that take logs over HTTP, each in its own way: where to, and how lines become a body.
import { type Check, httpUrl, isRecord, member, mistake, options, shown, text } from '@simple-cdn/core/config'
import { flat, flatObject, type LogBatch, type LogFormat, someText } from '@simple-cdn/core/log'
import { headers, secret, secrets } from './checks.ts'
import type { HttpTarget } from './http-sink.ts'

const NDJSON = 'application/x-ndjson'

/** The lines of a batch between `before` and `after`, with commas between them. */
function listed(before: string, { text }: LogBatch, after: string): Uint8Array {
  const lines = text.toString().trimEnd()
  return Buffer.from(before + lines.replaceAll('\n', ',') + after)
}

/** What `make` makes of `written`, or a target that has the mistakes in it, and no use but to be refused. */
function checkedTarget<Written>(
  name: string,
  check: Check,
  written: Written,
  make: (written: Written) => HttpTarget,
): HttpTarget {
  const mistakes = secrets(check, 'one with its options')(written, '')
  if (mistakes.length === 0) return make(written)
  return { name, mistakes, url: '', headers: {}, contentType: NDJSON, format: flat() }
}

const credential = (what: string): Check =>
  secret((value) => {
    if (value === '') return `is empty; write ${what}`
    return /^[\x21-\x7e]+$/.test(value) ? undefined : 'contains characters that a field cannot'
  })
const dataset = someText('the name of a dataset')

interface HoneycombOptions {
  key: string
  dataset: string
  host?: string
}

const honeycombCheck = options(
  { key: credential('the key of an environment'), dataset, host: httpUrl('https://api.eu1.honeycomb.io') },
  { key: 'the key of an environment', dataset: 'the name of a dataset' },
)

/** Events of Honeycomb, with the rate of sampling. `host` for the EU: "https://api.eu1.honeycomb.io". */
export function honeycomb(options: HoneycombOptions): HttpTarget {
  return checkedTarget('honeycomb', honeycombCheck, options, honeycombOf)
}

function honeycombOf({ key, dataset, host = 'https://api.honeycomb.io' }: HoneycombOptions): HttpTarget {
  const format: LogFormat = (entry) => {
    const { time, sampleRate, ...data } = flatObject(entry)
    return `${JSON.stringify({ time, ...(sampleRate === undefined ? {} : { samplerate: sampleRate }), data })}\n`
  }
  return {
    name: `honeycomb:${dataset}`,
    url: `${host}/1/batch/${encodeURIComponent(dataset)}`,
    headers: { 'X-Honeycomb-Team': key },
    contentType: 'application/json',
    format,
    body: (batch) => listed('[', batch, ']'),
    complaint(response) {
      const refused = (JSON.parse(response) as { status: number; error?: string }[]).filter(({ status }) => status >= 300)
      return refused.length === 0
        ? undefined
        : `${refused.length} events were refused: ${refused[0]?.status} ${refused[0]?.error ?? ''}`
    },
  }
}

interface AxiomOptions {
  token: string
  dataset: string
  host?: string
}

const axiomCheck = options(
  { token: credential('an API token'), dataset, host: httpUrl('https://api.axiom.co') },
  { token: 'an API token', dataset: 'the name of a dataset' },
)

export function axiom(options: AxiomOptions): HttpTarget {
  return checkedTarget('axiom', axiomCheck, options, axiomOf)
}

function axiomOf({ token, dataset, host = 'https://api.axiom.co' }: AxiomOptions): HttpTarget {
  return {
    name: `axiom:${dataset}`,
    url: `${host}/v1/datasets/${encodeURIComponent(dataset)}/ingest`,
    headers: { Authorization: `Bearer ${token}` },
    contentType: NDJSON,
    format: flat({ timeName: '_time' }),
  }
}

interface BetterStackOptions {
  token: string
  host?: string
}

const betterStackCheck = options(
  { token: credential('the token of a source'), host: httpUrl('https://s123.eu-nbg-2.betterstackdata.com') },
  { token: 'the token of a source' },
)

/** Better Stack; `host` is that of the source, "https://s123.eu-nbg-2.betterstackdata.com". */
export function betterStack(options: BetterStackOptions): HttpTarget {
  return checkedTarget('betterStack', betterStackCheck, options, betterStackOf)
}

function betterStackOf({ token, host = 'https://in.logs.betterstack.com' }: BetterStackOptions): HttpTarget {
  return {
    name: 'betterstack',
    url: host,
    headers: { Authorization: `Bearer ${token}` },
    contentType: NDJSON,
    format: flat({ timeName: 'dt' }),
  }
}

const labels: Check = (value, path) =>
  isRecord(value)
    ? Object.entries(value).flatMap(([name, each]) => text(() => undefined)(each, member(path, name)))
    : mistake(path, `is ${shown(value)}; write texts by name, such as { env: 'production' }`)

interface LokiOptions {
  /** Without a path: "https://logs-prod.grafana.net". */
  url: string
  labels?: Readonly<Record<string, string>>
  /** Such as `Authorization`, or `X-Scope-OrgID`. */
  headers?: Readonly<Record<string, string>>
}

const lokiCheck = options({ url: httpUrl('https://logs-prod.grafana.net'), labels, headers }, { url: 'the URL of the server' })

/** One stream for each machine; the entry is the line, as flat JSON. Loki takes the same line at the same time once. */
export function loki(options: LokiOptions): HttpTarget {
  return checkedTarget('loki', lokiCheck, options, lokiOf)
}

function lokiOf({ url, labels = {}, headers = {} }: LokiOptions): HttpTarget {
  const asLine = flat()
  return {
    name: 'loki',
    url: `${url.replace(/\/$/, '')}/loki/api/v1/push`,
    headers,
    contentType: 'application/json',
    format: (entry) => `${JSON.stringify([`${entry.at}000000`, asLine(entry).slice(0, -1)])}\n`,
    body(batch) {
      const stream = { app: 'simple-cdn', machine: batch.machine, region: batch.region, ...labels }
      return listed(`{"streams":[{"stream":${JSON.stringify(stream)},"values":[`, batch, ']}]}')
    },
  }
}

interface ClickHouseOptions {
  url: string
  table: string
  user?: string
  password?: string
}

const clickHouseCheck = options(
  {
    url: httpUrl('https://clickhouse.example.com:8443'),
    table: someText('the name of a table'),
    user: credential('a name, or leave it out'),
    password: text((value) => (/^[\x20-\x7e\x80-\xff]*$/.test(value) ? undefined : 'contains characters that a field cannot')),
  },
  { url: 'the URL of the server', table: 'the name of a table' },
)

/** Rows of flat JSON into a table with columns of these names. A batch that comes again is known by its token, and not inserted twice. */
export function clickHouse(options: ClickHouseOptions): HttpTarget {
  return checkedTarget('clickHouse', clickHouseCheck, options, clickHouseOf)
}

function clickHouseOf({ url, table, user, password }: ClickHouseOptions): HttpTarget {
  return {
    name: `clickhouse:${table}`,
    url({ boot, first, machine }) {
      const query = new URLSearchParams({
        query: `INSERT INTO ${table} FORMAT JSONEachRow`,
        insert_deduplication_token: `${machine}-${boot}-${first}`,
        input_format_skip_unknown_fields: '1',
        date_time_input_format: 'best_effort',
      })
      return `${url.replace(/\/$/, '')}/?${query}`
    },
    headers: {
      ...(user === undefined ? {} : { 'X-ClickHouse-User': user }),
      ...(password === undefined ? {} : { 'X-ClickHouse-Key': password }),
    },
    contentType: NDJSON,
    format: flat(),
  }
}
