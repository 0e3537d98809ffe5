// What a line may say of an entry, by name: the columns of a CSV file and the members of flat JSON.
import type { LogEntry } from '../entry.ts'
import { agentClass } from './agents.ts'
import { clfTime, isoTime, pathOf, urlParts } from './format.ts'

type Value = string | number | boolean | undefined

export const COLUMNS = {
  /** 2014-06-06T00:00:00.000Z */
  time: ({ at }) => isoTime(at),
  /** [06/Jun/2014:00:00:00 +0000] */
  clfTime: ({ at }) => `[${clfTime(at)}]`,
  /** Milliseconds since 1970. */
  at: ({ at }) => at,
  instance: ({ instance }) => instance,
  sequence: ({ sequence }) => sequence,
  machine: ({ machine }) => machine,
  region: ({ region }) => region,
  tier: ({ tier }) => tier,
  method: ({ method }) => method,
  url: ({ url }) => url,
  scheme: ({ url }) => urlParts(url).scheme,
  host: ({ url }) => urlParts(url).host,
  path: ({ url }) => pathOf(url),
  query: ({ url }) => urlParts(url).query,
  httpVersion: ({ httpVersion }) => httpVersion,
  clientAddress: ({ clientAddress }) => clientAddress,
  userAgent: ({ userAgent }) => userAgent,
  agentClass: ({ userAgent }) => agentClass(userAgent),
  referer: ({ referer }) => referer,
  range: ({ range }) => range,
  route: ({ route }) => route,
  status: ({ status }) => status,
  bytes: ({ bytes }) => bytes,
  contentType: ({ contentType }) => contentType,
  complete: ({ complete }) => complete,
  cacheKey: ({ cache }) => cache.key,
  cacheAction: ({ cache }) => cache.action,
  cacheReason: ({ cache }) => cache.reason,
  cacheHit: ({ cache }) => cache.hit,
  cacheForward: ({ cache }) => cache.fwd,
  cacheForwardStatus: ({ cache }) => cache.fwdStatus,
  cacheStored: ({ cache }) => cache.stored,
  cacheNotStored: ({ cache }) => cache.notStored,
  cacheCollapsed: ({ cache }) => cache.collapsed,
  cacheTtl: ({ cache }) => cache.ttl,
  error: ({ error }) => error?.code,
  errorMessage: ({ error }) => error?.message,
  originAnsweredMs: ({ timing }) => timing.originAnswered,
  lastByteMs: ({ timing }) => timing.lastByte,
  geoCity: ({ geo }) => geo?.city,
  geoCountryCode: ({ geo }) => geo?.countryCode,
  geoCountry: ({ geo }) => geo?.country,
  geoContinent: ({ geo }) => geo?.continent,
  geoLatitude: ({ geo }) => geo?.latitude,
  geoLongitude: ({ geo }) => geo?.longitude,
  sampleRate: ({ sampleRate }) => sampleRate,
} as const satisfies Readonly<Record<string, (entry: LogEntry) => Value>>

export type ColumnName = keyof typeof COLUMNS
