// What a configuration may say, option by option. docs/config.md says the same in prose.
import { checkFallbacks, HOST, origins } from './check-origins.ts'
import {
  type Check,
  duration,
  having,
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
import { logSink } from './log/checked.ts'
import { parseTemplate } from './policy/field-rules.ts'
import { normalisedTarget } from './policy/key.ts'
import { type Match, parseMatch } from './policy/route.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** RFC 9110 §5.5: visible characters, with white space between them only. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/** A longer lifetime counts as this one (RFC 9111 §1.2.2). */
const MAX_LIFETIME = 2 ** 31
const MAX_BYTES = Number.MAX_SAFE_INTEGER
/** A timer in Node takes no longer one, by far: a day. */
const MAX_TIMER = 86_400

const boolean = oneOf(true, false)
const lifetime = duration(0, MAX_LIFETIME)

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

const ignoredName = text((value) => {
  const stem = value.endsWith('*') ? value.slice(0, -1) : value
  return /^[\x21-\x7e]*$/.test(stem) && !/[&=#*]/.test(stem) && value !== ''
    ? undefined
    : `${shown(value)} is not the name of a query parameter; "*" may stand at its end`
})

const ignored = options(
  { ignore: listOf(ignoredName, 'parameter names', 'name one, or write "all"') },
  { ignore: 'a list of names' },
)

const STATUS = /^[1-5](?:\d\d|xx)$/

/** Things by status or class of statuses. */
function byStatus(check: Check): Check {
  return (value, path) => {
    if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write them by status, such as { "404": … } or { "5xx": … }`)
    return Object.entries(value).flatMap(([status, each]) => {
      const at = member(path, status)
      return STATUS.test(status)
        ? check(each, at)
        : mistake(at, 'is no status; write one such as "404", or a class such as "5xx"')
    })
  }
}

const key = options({
  query: (value, path) => {
    if (Array.isArray(value)) return listOf(parameterName, 'parameter names')(value, path)
    return isRecord(value) ? ignored(value, path) : oneOf('all', 'none', 'no-tracking')(value, path)
  },
  headers: listOf(
    fieldName({ cookie: 'the whole Cookie field differs for everybody; name cookies in key.cookies' }),
    'field names',
  ),
  cookies: listOf(cookieName, 'cookie names'),
})

const cacheOptions = options({
  defaultTtl: lifetime,
  overrideTtl: lifetime,
  ttlByStatus: byStatus(lifetime),
  stripCookies: boolean,
  compress: boolean,
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

/** A table of paths. `target` checks where each leads. */
function table(target: Check): Check {
  return (value, path) => {
    if (typeof value === 'string') return target(value, path)
    if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write text, or a table such as { "/old": "/new" }`)
    const entries = Object.entries(value)
    if (entries.length === 0) return mistake(path, 'is empty; the route would take no request')
    return entries.flatMap(([from, to]) => {
      const at = member(path, from)
      if (!from.startsWith('/')) return mistake(at, 'must begin with "/": it is the path of a request')
      const complaint = /[?#*]/.test(from) ? 'must not contain "?", "#" or "*": a table has whole paths' : pathComplaint(from)
      if (complaint !== undefined) return mistake(at, complaint)
      if (typeof to === 'string' && to.includes('*')) return mistake(at, `${shown(to)}: "*" stands for nothing in a table`)
      return target(to, at)
    })
  }
}

const rewrite = text((value) => {
  if (!value.startsWith('/')) return `${shown(value)} must begin with "/"`
  if (/[?#]/.test(value)) return `${shown(value)} must not contain "?" or "#": the query of the request is kept as it is`
  return moreThanOneStar(value) ?? pathComplaint(value)
})

const redirect = text((written) => {
  // Whoever asks is sent to the host that it asked.
  const value = written.replace(/^(https?:\/\/)\{host\}(?=\/|$)/, '$1host')
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

/** Request or response fields to change. `refused` says of some names why not. */
function headerRules(refused: RegExp, why: string): Check {
  return (value, path) => {
    if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write fields by name, such as { "X-Frame-Options": "DENY" }`)
    return Object.entries(value).flatMap(([name, each]) => {
      const at = member(path, name)
      if (!TOKEN.test(name)) return mistake(at, `${shown(name)} is not a field name`)
      if (FRAMING.test(name)) return mistake(at, 'belongs to the connection, not to the message; leave it out')
      if (refused.test(name)) return mistake(at, why)
      if (each === false) return []
      return isRecord(each) ? options({ add: template }, { add: 'the value to add' })(each, at) : template(each, at)
    })
  }
}

const template = text((value) => {
  if (!FIELD_VALUE.test(value)) return `${shown(value)} contains characters that a field cannot`
  if (value === '') return 'is empty; write false to remove the field'
  const parsed = parseTemplate(value)
  return typeof parsed === 'string' ? parsed : undefined
})

const siteOrigin = text((value) =>
  URL.canParse(value) && new URL(value).origin === value
    ? undefined
    : `${shown(value)} is not a site; write one such as "https://www.example.com"`,
)

const corsOptions = options({
  origins: listOf(siteOrigin, 'sites', 'leave it out for all'),
  credentials: boolean,
  methods: listOf(method, 'methods', 'leave it out for the usual ones'),
  headers: listOf(fieldName({}), 'field names'),
  expose: listOf(fieldName({}), 'field names'),
  maxAge: lifetime,
})

const cors: Check = (value, path) => {
  const mistakes = typeof value === 'boolean' ? [] : corsOptions(value, path)
  if (!isRecord(value) || value.credentials !== true || value.origins !== undefined) return mistakes
  return [
    ...mistakes,
    ...mistake(member(path, 'origins'), 'is missing: with credentials, any site could read what is for one person'),
  ]
}

const addresses: Check = (value, path) => {
  const each = text((one) =>
    !isNetwork(one) ? `${shown(one)} is no address; write one such as "10.0.0.0/8" or "::1"` : undefined,
  )
  return listOf(each, 'addresses', 'name one, or leave it out')(value, path)
}

const secret = text((value) => (value.length >= 16 ? undefined : `has ${value.length} characters; a secret needs at least 16`))

const access = options({
  allow: addresses,
  deny: addresses,
  basic: (value, path) => {
    if (!isRecord(value) || Object.keys(value).length === 0)
      return mistake(path, 'write passwords by user name, such as { ada: "…" }')
    return Object.entries(value).flatMap(([user, password]) => {
      const at = member(path, user)
      if (user === '' || /[:\p{Cc}]/u.test(user)) return mistake(at, 'is no user name: it must not be empty nor contain ":"')
      return text((each) => (each === '' ? 'is empty' : undefined))(password, at)
    })
  },
  signedWith: listOf(secret, 'secrets', 'name one, or leave it out'),
})

const routeDefaults: Readonly<Record<string, Check>> = {
  requestHeaders: headerRules(/^(?:host|cdn-loop|via)$/i, 'is for us to say; the host is an option of the origin'),
  responseHeaders: headerRules(/^(?:age|via|cache-status|date)$/i, 'is for us to say'),
  cors,
  hsts: (value, path) => (typeof value === 'boolean' ? [] : lifetime(value, path)),
  access,
  errorPages: byStatus(text(() => undefined)),
}

const condition: Check = (value, path) => {
  if (typeof value === 'boolean') return []
  const pattern = text((each) => moreThanOneStar(each))
  return Array.isArray(value) ? listOf(pattern, 'values', 'write true or false')(value, path) : pattern(value, path)
}

function conditions(checkName: Check): Check {
  return (value, path) => {
    if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write values by name, or true or false`)
    return Object.entries(value).flatMap(([name, each]) => [
      ...checkName(name, member(path, name)),
      ...condition(each, member(path, name)),
    ])
  }
}

const when = options({
  methods: listOf(method, 'methods', 'leave it out for all'),
  headers: conditions(fieldName({})),
  cookies: conditions(cookieName),
  query: conditions(parameterName),
})

const KINDS = { origin: ['rewrite', 'cache'], redirect: ['status'], respond: [] } as const

const routeOptions = options(
  {
    name: label,
    match: (value, path) => (Array.isArray(value) ? listOf(match, 'paths', 'name one')(value, path) : match(value, path)),
    when,
    methods: listOf(method, 'methods', 'name a method, or leave it out for all'),
    origin: text(() => undefined),
    rewrite: table(rewrite),
    keepQuery: boolean,
    cache,
    redirect: table(redirect),
    status: oneOf(301, 302, 303, 307, 308),
    respond,
    ...routeDefaults,
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
  const patterns = Array.isArray(value.match) ? value.match : [value.match]
  const parsed = patterns.map((each: unknown) => (typeof each === 'string' ? parseMatch(each) : ''))
  if (parsed.every((each) => typeof each === 'string' || each.after !== undefined)) return []
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

function store(example: string): Check {
  return having('lookup read has write writeSlice freshen remove discard stats close', `a store, such as ${example}`)
}

const shape = options(
  {
    origins,
    defaults: options({ ...routeDefaults, cache }),
    routes: listOf(route, 'routes', `write ${AT_LEAST_ONE}`),
    memory: size(65_536, MAX_BYTES),
    store: store('memoryStore({ maxBytes })'),
    disk: store('await diskStore({ folder, maxBytes })'),
    log: listOf(logSink, 'log sinks'),
    name: token,
    semantics: oneOf('cautious', 'rfc'),
    maxRequestBody: size(0, MAX_BYTES),
    trustedProxies: (value, path) =>
      Array.isArray(value) ? listOf(network, 'addresses and networks')(value, path) : oneOf('private', 'fly')(value, path),
    slice: size(64 * 1024, 16 * 1024 ** 2),
    purge: options({
      bus: having('publish subscribe status stats close', 'a purge bus, such as nats({ servers })'),
      trustFor: duration(0, MAX_TIMER),
    }),
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
    ...checkFallbacks(origins),
    ...(Array.isArray(routes) ? Array.from(routes) : []).flatMap((each: unknown, index) => {
      const asked = isRecord(each) ? each.origin : undefined
      if (typeof asked !== 'string' || names.includes(asked)) return []
      return mistake(`routes[${index}].origin`, `no origin is called ${shown(asked)}${suggestion(asked, names)}`)
    }),
  ]
}
