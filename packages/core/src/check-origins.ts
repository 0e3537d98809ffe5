// What a configuration may say about origins, option by option.
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import {
  asDuration,
  type Check,
  duration,
  integer,
  isRecord,
  listOf,
  type Mistake,
  member,
  mistake,
  oneOf,
  options,
  parseDuration,
  rule,
  shown,
  suggestion,
  text,
} from './checks.ts'

export const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** A longer timer would fire at once in Node. */
const MAX_TIMEOUT = 86_400
const timeout = duration(0.001, MAX_TIMEOUT)

const ORIGIN_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Each has connections, health checks and state of its own. */
const MAX_ADDRESSES = 256
/** The results of so many checks are remembered. */
const MAX_WINDOW = 100

const originUrl = text((value) => {
  const written = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  if (!URL.canParse(written)) return `${shown(value)} is not a URL; write one such as "https://app.internal:8443"`
  if (written !== value) return `${shown(value)} has no scheme; write ${shown(written)} or ${shown(`https://${value}`)}`
  const url = new URL(value)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return `${shown(value)}: an origin speaks http: or https:, not ${url.protocol}`
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password: URLs end up in logs'
  return /[?#]/.test(value) ? `${shown(value)} must end before its "?" or "#"; every request brings its own query` : undefined
})

const weightedUrl = options({ url: originUrl, weight: integer(1, 1_000) }, { url: 'the URL of the address' })

const addresses: Check = (value, path) => {
  if (!Array.isArray(value)) return originUrl(value, path)
  if (value.length > MAX_ADDRESSES) return mistake(path, `has ${value.length} addresses; write ${MAX_ADDRESSES} at most`)
  const address: Check = (each, at) => (isRecord(each) ? weightedUrl(each, at) : originUrl(each, at))
  return listOf(address, 'URLs', 'write at least one URL')(value, path)
}

const path = text((value) =>
  /^\/[\x21-\x7e]*$/.test(value) && !value.includes('#')
    ? undefined
    : `${shown(value)} is not a path; write one such as "/health"`,
)

const STATUSES = /^([2-5]\d\d)-([2-5]\d\d)$/

const expected = rule((value) => {
  if (Number.isInteger(value) && (value as number) >= 200 && (value as number) <= 599) return undefined
  const [, from, to] = (typeof value === 'string' && STATUSES.exec(value)) || []
  return from !== undefined && Number(from) <= Number(to)
    ? undefined
    : `is ${shown(value)}; write a status such as 200, or a range such as "200-399"`
})

/** The statuses that are good, from one to another; the value must have no mistakes. */
export function parseStatuses(value: number | string): readonly [from: number, to: number] {
  const [, from, to] = STATUSES.exec(String(value)) ?? []
  return from === undefined ? [Number(value), Number(value)] : [Number(from), Number(to)]
}

const healthOptions = options(
  { path, every: timeout, timeout, expect: expected, threshold: integer(1, MAX_WINDOW), window: integer(1, MAX_WINDOW) },
  { path: 'what to ask for, such as "/health"' },
)

const health: Check = (value, at) => {
  const mistakes = healthOptions(value, at)
  if (!isRecord(value) || mistakes.length > 0) return mistakes
  const every = parseDuration(value.every) ?? 10
  const { threshold = 3, window = 5 } = value as { threshold?: number; window?: number }
  return [
    ...((parseDuration(value.timeout) ?? 0) > every
      ? mistake(
          member(at, 'timeout'),
          `is ${shown(value.timeout)}; a check ends before the next begins, after ${asDuration(every)}`,
        )
      : []),
    ...(threshold > window ? mistake(member(at, 'threshold'), `is ${threshold}, and the window has ${window} checks only`) : []),
  ]
}

const pem = text((value) =>
  value.includes('-----BEGIN ')
    ? undefined
    : 'is not PEM text; write what the file contains, such as readFileSync("client.pem", "utf8")',
)

const tlsOptions = options({
  ca: (value, at) => (Array.isArray(value) ? listOf(pem, 'PEM texts')(value, at) : pem(value, at)),
  cert: pem,
  key: pem,
  servername: text((value) =>
    HOST.test(value) && !value.includes(':') ? undefined : `${shown(value)} is not the name of a host`,
  ),
  rejectUnauthorized: oneOf(true, false),
})

const tls: Check = (value, at) => {
  const mistakes = tlsOptions(value, at)
  if (!isRecord(value) || mistakes.length > 0) return mistakes
  const { ca, cert, key } = value as { ca?: string | string[]; cert?: string; key?: string }
  if ((cert === undefined) !== (key === undefined))
    return mistake(at, `has a ${cert === undefined ? 'key' : 'cert'} without a ${cert === undefined ? 'cert' : 'key'}`)
  try {
    createSecureContext({ ca, cert, key })
    return []
  } catch (error) {
    return mistake(at, `cannot be used: ${(error as Error).message}`)
  }
}

const credential = text((value) => (/^[\x21-\x7e]+$/.test(value) ? undefined : 'is empty, or has characters that it cannot have'))

const s3 = options(
  {
    region: text((value) =>
      /^[a-z0-9-]+$/.test(value) ? undefined : `${shown(value)} is not a region; write one such as "eu-central-1"`,
    ),
    accessKeyId: credential,
    secretAccessKey: credential,
    bucket: text((value) =>
      /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value) ? undefined : `${shown(value)} is not the name of a bucket`,
    ),
    pathStyle: oneOf(true, false),
  },
  {
    region: 'the region of the bucket, such as "eu-central-1"; R2 has "auto"',
    accessKeyId: 'the id of the access key',
    secretAccessKey: 'the secret of the access key',
  },
)

const originOptions = options(
  {
    url: addresses,
    choice: oneOf('first', 'round-robin', 'hash'),
    host: text((value) =>
      HOST.test(value)
        ? undefined
        : `${shown(value)} is not a host; write "client", or a name such as "app.internal" or "app.internal:8443"`,
    ),
    connectTimeout: timeout,
    headTimeout: timeout,
    bodyTimeout: timeout,
    connections: integer(1, 65_535),
    retries: integer(0, 5),
    resolveEvery: timeout,
    health,
    breaker: options({ failures: integer(1, 1_000), pause: timeout, maxPause: timeout }),
    fallback: text(() => undefined),
    http2: oneOf(true, false),
    tls,
    s3,
  },
  { url: 'the URL of the origin' },
)

/** What an origin with these options cannot also be. */
function together(value: Readonly<Record<string, unknown>>, path: string): readonly Mistake[] {
  const urls = [value.url].flat().map((each) => (isRecord(each) ? each.url : each))
  const plain = urls.find((each) => typeof each === 'string' && /^http:/i.test(each))
  const overTls = ['tls', 'http2'].filter((name) => value[name] !== undefined && value[name] !== false)
  return [
    ...(plain === undefined
      ? []
      : overTls.flatMap((name) => mistake(member(path, name), `goes with https:, and the url is ${shown(plain)}`))),
    ...(value.s3 !== undefined && value.host !== undefined
      ? mistake(member(path, 'host'), 'is part of the signature of s3, which takes that of the url; leave it out')
      : []),
    ...(isRecord(value.s3) ? urls.flatMap((url) => unsignable(url, value.s3 as BucketPlace, path)) : []),
  ]
}

interface BucketPlace {
  readonly bucket?: unknown
  readonly pathStyle?: unknown
}

function unsignable(url: unknown, { bucket, pathStyle }: BucketPlace, path: string): readonly Mistake[] {
  if (typeof url !== 'string' || !URL.canParse(url)) return []
  const { hostname, pathname } = new URL(url)
  if (!isDecodable(pathname))
    return mistake(member(path, 'url'), `${shown(url)} has a path that is not UTF-8, as the keys of s3 are`)
  if (pathStyle !== false) return []
  const at = member(member(path, 's3'), 'pathStyle')
  if (bucket === undefined)
    return mistake(at, 'is about where the name of the bucket goes; write it in bucket, or leave this out')
  return isIP(hostname.replace(/^\[|\]$/g, '')) === 0
    ? []
    : mistake(at, `puts the bucket before a host name, and ${shown(url)} has none`)
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

function origin(value: unknown, path: string): readonly Mistake[] {
  if (typeof value === 'string') return originUrl(value, path)
  if (typeof value === 'function') return []
  if (isRecord(value) && typeof value.fetch === 'function') {
    return typeof value.name === 'string' ? [] : mistake(path, 'has fetch() but no name; if this is an app, write app.fetch')
  }
  return isRecord(value)
    ? [...originOptions(value, path), ...together(value, path)]
    : mistake(path, `is ${shown(value)}; write a URL, an app or an object with a url`)
}

export const origins: Check = (value, path) => {
  if (!isRecord(value))
    return mistake(path, `is ${shown(value)}; write origins by name, such as { app: "http://localhost:3000" }`)
  return Object.entries(value).flatMap(([name, each]) => {
    const at = member(path, name)
    return ORIGIN_NAME.test(name) ? origin(each, at) : mistake(at, 'is not a name; use letters, digits, "-", "_" and "."')
  })
}

/** Fallbacks are origins, and end somewhere. */
export function checkFallbacks(value: unknown): readonly Mistake[] {
  if (!isRecord(value)) return []
  const names = Object.keys(value)
  return names.flatMap((name) => {
    const fallback = fallbackOf(value, name)
    const at = member(member('origins', name), 'fallback')
    if (fallback === undefined) return []
    if (!names.includes(fallback)) return mistake(at, `no origin is called ${shown(fallback)}${suggestion(fallback, names)}`)
    const passed = new Set<string>()
    for (let each: string | undefined = fallback; each !== undefined && !passed.has(each); each = fallbackOf(value, each)) {
      passed.add(each)
    }
    return passed.has(name) ? mistake(at, `leads back to ${shown(name)}`) : []
  })
}

function fallbackOf(origins: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const origin = Object.hasOwn(origins, name) ? origins[name] : undefined
  return isRecord(origin) && typeof origin.fetch !== 'function' && typeof origin.fallback === 'string'
    ? origin.fallback
    : undefined
}
