// Services that take logs over HTTP, each in its own way: where to, and how lines become a body.
import { flat, flatObject, type LogBatch, type LogFormat } from '@simple-cdn/core/log'
import type { HttpTarget } from './http-sink.ts'

const NDJSON = 'application/x-ndjson'

/** The lines of a batch between `before` and `after`, with commas between them. */
function listed(before: string, { text }: LogBatch, after: string): Uint8Array {
  const lines = text.toString().trimEnd()
  return Buffer.from(before + lines.replaceAll('\n', ',') + after)
}

/** Events of Honeycomb, with the rate of sampling. `host` for the EU: "https://api.eu1.honeycomb.io". */
export function honeycomb({
  key,
  dataset,
  host = 'https://api.honeycomb.io',
}: {
  key: string
  dataset: string
  host?: string
}): HttpTarget {
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

export function axiom({
  token,
  dataset,
  host = 'https://api.axiom.co',
}: {
  token: string
  dataset: string
  host?: string
}): HttpTarget {
  return {
    name: `axiom:${dataset}`,
    url: `${host}/v1/datasets/${encodeURIComponent(dataset)}/ingest`,
    headers: { Authorization: `Bearer ${token}` },
    contentType: NDJSON,
    format: flat({ timeName: '_time' }),
  }
}

/** Better Stack; `host` is that of the source, "https://s123.eu-nbg-2.betterstackdata.com". */
export function betterStack({ token, host = 'https://in.logs.betterstack.com' }: { token: string; host?: string }): HttpTarget {
  return {
    name: 'betterstack',
    url: host,
    headers: { Authorization: `Bearer ${token}` },
    contentType: NDJSON,
    format: flat({ timeName: 'dt' }),
  }
}

/** One stream for each machine; the entry is the line, as flat JSON. Loki takes the same line at the same time once. */
export function loki({
  url,
  labels = {},
  headers = {},
}: {
  /** Without a path: "https://logs-prod.grafana.net". */
  url: string
  labels?: Readonly<Record<string, string>>
  /** Such as `Authorization`, or `X-Scope-OrgID`. */
  headers?: Readonly<Record<string, string>>
}): HttpTarget {
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

/** Rows of flat JSON into a table with columns of these names. A batch that comes again is known by its token, and not inserted twice. */
export function clickHouse({
  url,
  table,
  user,
  password,
}: {
  url: string
  table: string
  user?: string
  password?: string
}): HttpTarget {
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
