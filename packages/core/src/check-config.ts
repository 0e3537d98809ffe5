// What a configuration may say, option by option. docs/config.md says the same in prose.
import {
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
  rule,
  shown,
  size,
  suggestion,
  text,
} from './checks.ts'
import { isNetwork } from './engine/client.ts'
import { normalisedTarget } from './policy/key.ts'
import { type Match, parseMatch } from './policy/route.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** RFC 9110 §5.5: visible characters, with white space between them only. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** A longer timer would fire at once in Node; a longer lifetime counts as this one (RFC 9111 §1.2.2). */
const MAX_TIMEOUT = 86_400
const MAX_LIFETIME = 2 ** 31
const MAX_BYTES = Number.MAX_SAFE_INTEGER

const boolean = oneOf(true, false)
const lifetime = duration(0, MAX_LIFETIME)
const timeout = duration(0.001, MAX_TIMEOUT)

const label = text((value) => (/^\P{Cc}+$/u.test(value) ? undefined : `is ${shown(value)}; write some text on one line`))

const token = text((value) =>
  TOKEN.test(value) ? undefined : `${shown(value)} is not a token; use letters, digits, "-", "_" and "."`,
)

/** `refused` are names that have no place here, in lower case, with what is said about them. */
function fieldName(refused: Readonly<Record<string, string>>): Check {
  return text((value) => {
    if (!TOKEN.test(value)) return `${shown(value)} is not a field name`
    return Object.hasOwn(refused, value.toLowerCase()) ? refused[value.toLowerCase()] : undefined
  })
}

const method = text((value) => {
  if (!TOKEN.test(value)) return `${shown(value)} is not a method`
  return value === value.toUpperCase()
    ? undefined
    : `${shown(value)} is another method than ${shown(value.toUpperCase())}; write that`
})

const cookieName = name('cookie', /[=;,"]/)
const parameterName = name('query parameter', /[&=#]/)

function name(what: string, separators: RegExp): Check {
  return text((value) => {
    if (!/^[\x21-\x7e]+$/.test(value) || separators.test(value)) return `${shown(value)} is not the name of a ${what}`
    return value.includes('*') ? `${shown(value)}: "*" stands for nothing here; name each ${what}` : undefined
  })
}

const key = options({
  query: (value, path) =>
    Array.isArray(value) ? listOf(parameterName, 'parameter names')(value, path) : oneOf('all', 'none')(value, path),
  headers: listOf(
    fieldName({ cookie: 'the whole Cookie field differs for everybody; name cookies in key.cookies' }),
    'field names',
  ),
  cookies: listOf(cookieName, 'cookie names'),
})

const cacheOptions = options({
  defaultTtl: lifetime,
  overrideTtl: lifetime,
  staleWhileRevalidate: lifetime,
  staleIfError: lifetime,
  key,
  bypassCookies: listOf(cookieName, 'cookie names'),
  targetedFields: listOf(fieldName({ 'cache-control': 'Cache-Control is obeyed last in any case; leave it out' }), 'field names'),
  honorRequestDirectives: boolean,
  maxBody: size(0, MAX_BYTES),
  finishAbandoned: rule((value) =>
    typeof value === 'boolean' || (typeof value === 'number' && value >= 0 && value <= 1)
      ? undefined
      : `is ${shown(value)}; write true, false, or a share from 0 to 1`,
  ),
})

const cache: Check = (value, path) => {
  if (value === false) return []
  if (value === true) return mistake(path, 'is true; leave it out to obey the fields of the origin, or give options')
  return cacheOptions(value, path)
}

// Origins

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

const originOptions = options(
  {
    url: originUrl,
    host: text((value) =>
      HOST.test(value)
        ? undefined
        : `${shown(value)} is not a host; write "client", or a name such as "app.internal" or "app.internal:8443"`,
    ),
    connectTimeout: timeout,
    headTimeout: timeout,
    bodyTimeout: timeout,
    connections: integer(1, 65_535),
  },
  { url: 'the URL of the origin' },
)

function origin(value: unknown, path: string): readonly Mistake[] {
  if (typeof value === 'string') return originUrl(value, path)
  if (typeof value === 'function') return []
  if (isRecord(value) && typeof value.fetch === 'function') {
    return typeof value.name === 'string' ? [] : mistake(path, 'has fetch() but no name; if this is an app, write app.fetch')
  }
  return isRecord(value)
    ? originOptions(value, path)
    : mistake(path, `is ${shown(value)}; write a URL, an app or an object with a url`)
}

const origins: Check = (value, path) => {
  if (!isRecord(value))
    return mistake(path, `is ${shown(value)}; write origins by name, such as { app: "http://localhost:3000" }`)
  return Object.entries(value).flatMap(([name, each]) => {
    const at = member(path, name)
    return TOKEN.test(name) ? origin(each, at) : mistake(at, 'is not a name; use letters, digits, "-", "_" and "."')
  })
}

// Routes

/** A path as the engine will see it in a request, or `undefined` when no request can have it. */
function asRequested(path: string): string | undefined {
  return normalisedTarget(path.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent))
}

function pathComplaint(path: string): string | undefined {
  const requested = asRequested(path)
  if (requested === path) return undefined
  return `no request has the path ${shown(path)}${requested === undefined ? '' : `; write ${shown(requested)}`}`
}

const match = text((value) => {
  const parsed = parseMatch(value)
  if (typeof parsed === 'string') return `${shown(value)} ${parsed}`
  const host = parsed.authority?.replace(/^\*\./, '')
  if (host !== undefined && host !== '*' && !HOST.test(host))
    return `${shown(value)} does not name a host; write one such as "https://www.example.com/*"`
  return pathComplaint(pathOf(parsed))
})

function pathOf({ before, after }: Match): string {
  return after === undefined ? before : `${before}*${after}`
}

const rewrite = text((value) => {
  if (!value.startsWith('/')) return `${shown(value)} must begin with "/"`
  if (/[?#]/.test(value)) return `${shown(value)} must not contain "?" or "#": the query of the request is kept as it is`
  return moreThanOneStar(value) ?? pathComplaint(value)
})

const redirect = text((value) => {
  const escaped = value.toWellFormed().replace(/[^\x21-\x7e]|["<>\\^`{|}]/gu, encodeURIComponent)
  if (escaped !== value) return `${shown(value)} contains characters that a URL cannot; write ${shown(escaped)}`
  if (!/^(?:\/(?!\/)|https?:\/\/[^/])/.test(value)) return `${shown(value)} must begin with "/", "http://" or "https://"`
  if (/^https?:\/\/[^/?#]*\*/.test(value))
    return `${shown(value)} has its "*" in the host, which whoever asks could choose then; put it behind a "/"`
  return (
    moreThanOneStar(value) ?? (URL.canParse(value.replace('*', 'x'), 'http://x') ? undefined : `${shown(value)} is not a URL`)
  )
})

function moreThanOneStar(value: string): string | undefined {
  return value.split('*').length > 2 ? `${shown(value)} may contain one "*"` : undefined
}

const FRAMING = /^(connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i

const fieldValue = text((value) =>
  FIELD_VALUE.test(value) ? undefined : `${shown(value)} contains characters that a field cannot`,
)

const headers: Check = (value, path) => {
  if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write fields by name, such as { "Content-Type": "text/plain" }`)
  return Object.entries(value).flatMap(([name, each]) => {
    const at = member(path, name)
    if (!TOKEN.test(name)) return mistake(at, `${shown(name)} is not a field name`)
    if (FRAMING.test(name)) return mistake(at, 'belongs to the connection, not to the response; leave it out')
    return fieldValue(each, at)
  })
}

const respondOptions = options(
  { status: integer(200, 599), headers, body: text(() => undefined) },
  { status: 'a status such as 204' },
)

const respond: Check = (value, path) => {
  const mistakes = respondOptions(value, path)
  if (!isRecord(value) || !value.body || ![204, 205, 304].includes(value.status as number)) return mistakes
  return [...mistakes, ...mistake(member(path, 'body'), `a ${value.status} has no body; leave it out or use another status`)]
}

const KINDS = { origin: ['rewrite', 'cache'], redirect: ['status'], respond: [] } as const

const routeOptions = options(
  {
    name: label,
    match,
    methods: listOf(method, 'methods', 'name a method, or leave it out for all'),
    origin: text(() => undefined),
    rewrite,
    cache,
    redirect,
    status: oneOf(301, 302, 303, 307, 308),
    respond,
  },
  { match: 'a path such as "/assets/*"' },
)

function route(value: unknown, path: string): readonly Mistake[] {
  const mistakes = routeOptions(value, path)
  return isRecord(value) ? [...mistakes, ...oneThing(value, path), ...stars(value, path)] : mistakes
}

/** A route does one thing, and has only the options of that. */
function oneThing(value: Readonly<Record<string, unknown>>, path: string): readonly Mistake[] {
  const kinds = (Object.keys(KINDS) as (keyof typeof KINDS)[]).filter((kind) => value[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined) return mistake(path, 'does nothing; give it an origin, a redirect or a respond')
  if (kinds.length > 1) return mistake(path, `has ${kinds.join(' and ')}; a route does one thing`)
  return Object.entries(KINDS).flatMap(([other, names]) => {
    const strays = names.filter((name) => other !== kind && value[name] !== undefined)
    return strays.flatMap((name) => mistake(member(path, name), `goes with ${other}, not with ${kind}`))
  })
}

function stars(value: Readonly<Record<string, unknown>>, path: string): readonly Mistake[] {
  const found = typeof value.match === 'string' ? parseMatch(value.match) : ''
  if (typeof found === 'string' || found.after !== undefined) return []
  return ['rewrite', 'redirect'].flatMap((name) => {
    const written = value[name]
    return typeof written === 'string' && written.includes('*')
      ? mistake(member(path, name), 'has a "*", but the path of match has none for it to stand for')
      : []
  })
}

const network = text((value) =>
  isNetwork(value) ? undefined : `${shown(value)} is neither an address nor a network such as "10.0.0.0/8"`,
)

// The whole

const AT_LEAST_ONE = 'at least one, such as { match: "/*", origin: "app" }'

/** An object of somebody's own, known by its methods. */
function having(methods: string, what: string): Check {
  return rule((value) => {
    if (!isRecord(value)) return `is ${shown(value)}; write ${what}`
    const missing = methods.split(' ').find((name) => typeof value[name] !== 'function')
    return missing === undefined ? undefined : `is not ${what}: it has no ${missing}()`
  })
}

function store(example: string): Check {
  return having('lookup read has write writeSlice freshen remove discard stats close', `a store, such as ${example}`)
}

const shape = options(
  {
    origins,
    routes: listOf(route, 'routes', `write ${AT_LEAST_ONE}`),
    memory: size(65_536, MAX_BYTES),
    store: store('memoryStore({ maxBytes })'),
    disk: store('await diskStore({ folder, maxBytes })'),
    log: listOf(having('write flush close', 'a log sink, such as stdoutSink()'), 'log sinks'),
    name: token,
    semantics: oneOf('cautious', 'rfc'),
    maxRequestBody: size(0, MAX_BYTES),
    trustedProxies: (value, path) =>
      Array.isArray(value) ? listOf(network, 'addresses and networks')(value, path) : oneOf('private', 'fly')(value, path),
    slice: size(64 * 1024, 16 * 1024 ** 2),
  },
  { origins: '{} when no route needs any', routes: AT_LEAST_ONE },
)

/** Every mistake of a configuration; empty when it has none. Takes anything, and never throws. */
export function checkConfig(config: unknown): readonly Mistake[] {
  const mistakes = shape(config, '')
  return isRecord(config) ? [...mistakes, ...betweenOptions(config)] : mistakes
}

function betweenOptions({ memory, disk, store, origins, routes }: Readonly<Record<string, unknown>>): readonly Mistake[] {
  const twice = memory !== undefined && store !== undefined
  const names = isRecord(origins) ? Object.keys(origins) : []
  return [
    ...(disk !== undefined && store !== undefined
      ? mistake('disk', 'goes below the memory store, which `store` replaces; leave one of them out')
      : []),
    ...(twice ? mistake('memory', 'bounds the memory store, which `store` replaces; leave one of them out') : []),
    ...(Array.isArray(routes) ? Array.from(routes) : []).flatMap((each: unknown, index) => {
      const asked = isRecord(each) ? each.origin : undefined
      if (typeof asked !== 'string' || names.includes(asked)) return []
      return mistake(`routes[${index}].origin`, `no origin is called ${shown(asked)}${suggestion(asked, names)}`)
    }),
  ]
}
