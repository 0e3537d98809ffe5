// The two formats that changelog.com counts downloads and subscribers by: a CSV of twelve columns, and JSON for feeds.
import type { LogEntry } from '../entry.ts'
import { csv } from './csv.ts'
import { clean, isoTime, type LogFormat, urlParts } from './format.ts'

/**
 * `address,[time],path,bytes,status,"agent",latitude,longitude,"city",continent,country code,"country"`. It is read by position,
 * each line by itself, and a line that does not parse is a download lost. So:
 *
 * - Coordinates have a decimal point always. Where they are not known, they are 0.0.
 * - An agent that is not known is `(null)`, and so is a city; the continent is `--`, the country `ZZ`, "unknown".
 * - A quotation mark becomes an apostrophe. Its reader takes two of them for one where they touch a word.
 */
export const changelogCsv: LogFormat = csv({
  columns: [
    { value: 'clientAddress', none: '0.0.0.0' },
    'clfTime',
    { value: 'path', none: '/', quotationMark: '%22' },
    'bytes',
    'status',
    { value: 'userAgent', none: '(null)', quote: 'always', quotationMark: "'" },
    { value: ({ geo }) => geo?.latitude ?? 0, number: 'decimal' },
    { value: ({ geo }) => geo?.longitude ?? 0, number: 'decimal' },
    { value: 'geoCity', none: '(null)', quote: 'always', quotationMark: "'" },
    { value: 'geoContinent', none: '--', quotationMark: "'" },
    { value: 'geoCountryCode', none: 'ZZ', quotationMark: "'" },
    { value: 'geoCountry', none: 'unknown', quote: 'always', quotationMark: "'" },
  ],
})

/** A JSON object of the names that its reader knows. `url` is the path, without a query. */
export const changelogFeeds: LogFormat = (entry: LogEntry) => {
  const { host, path } = urlParts(entry.url)
  return `${JSON.stringify({
    timestamp: isoTime(entry.at),
    client_ip: entry.clientAddress ?? '0.0.0.0',
    geo_country: entry.geo?.country?.toLowerCase() ?? '',
    geo_city: entry.geo?.city?.toLowerCase() ?? '',
    host,
    url: path,
    request_method: entry.method,
    request_protocol: `HTTP/${entry.httpVersion}`,
    request_referer: clean(entry.referer ?? ''),
    request_user_agent: clean(entry.userAgent ?? ''),
    response_state: entry.cache.hit ? 'HIT' : entry.cache.action === 'respond' ? 'SYNTH' : 'MISS',
    response_status: entry.status,
    response_reason: entry.cache.reason,
    response_body_size: entry.bytes,
    fastly_server: entry.machine,
    fastly_is_edge: entry.tier === 'edge',
    server_datacenter: entry.region,
  })}\n`
}
