// simple-cdn check: what each route does, with its complete policy if wanted, or every mistake.
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  asDuration,
  asSize,
  configWarnings,
  type Mistake,
  mistakeLine,
  parseSize,
  type ResolvedConfig,
  resolveConfig,
} from '@simple-cdn/core/config'
import { type AnyProgramConfig, checkProgramConfig, memoryOf } from '../config.ts'
import { lineOf } from '../config-lines.ts'
import { Failure } from '../failure.ts'
import { checkFly, flyEnvironment } from '../fly/check-fly.ts'
import { type FlyToml, readToml } from '../fly/toml.ts'
import { findConfig, loadConfig } from '../load-config.ts'
import { CONFIG_OPTION, type Command } from './command.ts'

export const check: Command = {
  usage: 'simple-cdn check [--config PATH] [--print] [--fly]',
  summary: 'Prints what each route does, or every mistake of the configuration.',
  help: `Loads the configuration as "simple-cdn start" does, and starts nothing.

  -c, --config PATH   another configuration file than cdn.config.ts
      --print         every route with its complete policy
      --fly           compares it with the fly.toml beside it, too: ports, checks, memory, volume, time to stop

Exit code 1 when the configuration has mistakes, or says something that is probably not meant.
`,
  options: { ...CONFIG_OPTION, print: { type: 'boolean' }, fly: { type: 'boolean' } },
  operands: [],
  async run(values) {
    const path = findConfig(values.config, process.cwd())
    const fly = values.fly === true ? flyBeside(path) : undefined
    // It is to be as it will be there.
    Object.assign(process.env, fly && flyEnvironment(fly.value))
    const program = checked(path, await loadConfig(path))
    const { server: _, memory: __, disk: ___, purge: ____, ...config } = program
    const warnings = configWarnings(config)
    const said = warnings.length === 0 ? 'is all right.' : 'works, and probably not as it is meant:'
    const lines = [
      `${basename(path)} ${said}`,
      ...placed(path, warnings),
      '',
      ...described(program, resolveConfig(config), values.print === true),
    ]
    const faults = fly === undefined ? [] : flyFaults(path, fly, program)
    if (faults.length > 0) throw new Failure(faults.join('\n'))
    process.stdout.write(`${[...lines, ...(fly === undefined ? [] : ['', 'fly.toml fits.'])].join('\n')}\n`)
    return warnings.length === 0 ? 0 : 1
  },
}

function flyBeside(path: string): FlyToml {
  const file = join(dirname(path), 'fly.toml')
  if (!existsSync(file)) throw new Failure(`there is no ${file}; \`fly launch --no-deploy\` writes one`)
  return readToml(readFileSync(file, 'utf8'))
}

/** All there are, each with its line, reason and what to do. */
function flyFaults(path: string, fly: FlyToml, config: AnyProgramConfig): readonly string[] {
  const mistakes = checkFly({ fly: fly.value, config, folder: workingFolder(dirname(path), fly) })
  if (mistakes.length === 0) return []
  const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`
  const lines = mistakes
    .map((mistake) => ({ line: fly.lineOf(mistake.path), text: mistakeLine(mistake) }))
    .sort((a, b) => (a.line ?? Number.POSITIVE_INFINITY) - (b.line ?? Number.POSITIVE_INFINITY))
  return [`fly.toml has ${count}:`, ...lines.map(({ line, text }) => `  ${line === undefined ? '' : `line ${line}: `}${text}`)]
}

/** Where the image runs its command, when there is a Dockerfile that says so. */
function workingFolder(folder: string, { value }: FlyToml): string | undefined {
  const { dockerfile } = Object(value.build) as { readonly dockerfile?: string }
  const file = join(folder, dockerfile ?? 'Dockerfile')
  if (!existsSync(file)) return undefined
  return [...readFileSync(file, 'utf8').matchAll(/^WORKDIR[ \t]+(\/\S*)/gim)].at(-1)?.[1]
}

/** A configuration without mistakes. Throws a `Failure` that lists all there are. */
export function checked(path: string, config: unknown): AnyProgramConfig {
  const mistakes = checkProgramConfig(config)
  if (mistakes.length === 0) return config as AnyProgramConfig
  const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`
  throw new Failure([`${basename(path)} has ${count}:`, ...placed(path, mistakes)].join('\n'))
}

/** Each on a line of its own, with its place in the file. */
function placed(path: string, mistakes: readonly Mistake[]): readonly string[] {
  const source = readFileSync(path, 'utf8')
  return mistakes.map((mistake) => {
    const line = lineOf(source, mistake.path)
    return `  ${line === undefined ? '' : `line ${line}: `}${mistakeLine(mistake)}`
  })
}

type DescribedRoute = ResolvedConfig['routes'][number]
type Policy = Extract<DescribedRoute, { kind: 'origin' }>['policy']

function described(
  program: AnyProgramConfig,
  { name, store, maxRequestBodyBytes, routes }: ResolvedConfig,
  isWhole: boolean,
): readonly string[] {
  const stores =
    program.store === undefined ? describedStores(program) : `store ${store.name} (${asSize(store.stats().maxBytes)})`
  return [
    `name ${name}, ${stores}, request bodies up to ${asSize(maxRequestBodyBytes)}`,
    ...describedPurges(program),
    ...(isWhole
      ? routes.flatMap((route) => ['', ...describedRoute(route)])
      : ['', ...routes.map((route) => describedRoute(route).slice(0, 2).join(':'))]),
  ]
}

function describedPurges({ purge }: AnyProgramConfig): readonly string[] {
  if (purge === undefined) return []
  const { token, perMinute = 1_000, bus, webhooks = [] } = purge
  const parts = [
    token === undefined ? 'no PURGE, there being no token' : 'PURGE with the token',
    `${perMinute} a minute`,
    bus === undefined ? 'for this machine alone' : `to all machines by ${bus.name}`,
    ...(webhooks.length === 0 ? [] : [`told to ${webhooks.map(({ url }) => new URL(url).host).join(', ')}`]),
  ]
  return [`purges: ${parts.join('; ')}`]
}

function describedStores(program: AnyProgramConfig): string {
  const { process, cache } = memoryOf(program)
  const { disk } = program
  const size = typeof disk === 'object' ? disk.size : disk
  const below = size === false ? 'none' : size === undefined ? 'half of what is free, 10gb at most' : asSize(parseSize(size) ?? 0)
  return `memory ${rounded(process)} (the cache ${rounded(cache)}), disk ${below}`
}

function rounded(bytes: number): string {
  return asSize(Math.floor(bytes / 1024 ** 2) * 1024 ** 2)
}

function describedRoute(route: DescribedRoute): readonly string[] {
  const methods = route.methods === undefined ? '' : ` (${route.methods.join(', ')} only)`
  return [`${route.name}${methods}`, ...[...describedAction(route), ...describedRules(route)].map((line) => `  ${line}`)]
}

function describedAction(route: DescribedRoute): readonly string[] {
  const { table } = route
  const places = table === undefined ? '' : `${table.size} ${table.size === 1 ? 'path' : 'paths'} of a table`
  if (route.kind === 'redirect') return [`redirects ${places || `to ${route.location}`} with ${route.status}`]
  if (route.kind === 'respond') return [`answers itself with ${route.status}`]
  const rewritten = table !== undefined ? `, ${places}` : route.rewrite === undefined ? '' : `, asked for ${route.rewrite}`
  const query = route.keepsQuery ? '' : ', without the query'
  return [`origin ${route.origin.name}${rewritten}${query}`, ...describedPolicy(route.policy)]
}

function describedRules({
  kind,
  when,
  access,
  cors,
  requestRules,
  responseRules,
  errorPages,
}: DescribedRoute): readonly string[] {
  const conditions = when && [...when.headers.keys(), ...when.cookies.keys(), ...when.query.keys(), ...(when.methods ?? [])]
  const guards = access && [
    ...(access.allow === undefined ? [] : ['some addresses only']),
    ...(access.deny === undefined ? [] : ['not for some addresses']),
    ...(access.basic === undefined ? [] : ['name and password']),
    ...(access.signedWith === undefined ? [] : ['signed URLs only']),
  ]
  const changes = (rules: DescribedRoute['requestRules']): string =>
    rules.map(({ name, value, adds }) => `${value === undefined ? '-' : adds ? '+' : ''}${name}`).join(', ')
  return [
    ...(conditions === undefined ? [] : [`only with certain ${list(conditions)}`]),
    ...(guards === undefined ? [] : [`access: ${list(guards)}`]),
    ...(cors === undefined ? [] : [`CORS: ${cors.origins === '*' ? 'all sites' : list([...cors.origins])}`]),
    ...(kind !== 'origin' || requestRules.length === 0 ? [] : [`request fields changed: ${changes(requestRules)}`]),
    ...(responseRules.length === 0 ? [] : [`response fields changed: ${changes(responseRules)}`]),
    ...(errorPages.size === 0 ? [] : [`own pages for ${list([...errorPages.keys()])}`]),
  ]
}

function describedPolicy(policy: Policy): readonly string[] {
  if (!policy.cache) return ['not cached']
  const { defaultTtl, overrideTtl } = policy
  return [
    overrideTtl === undefined
      ? `fresh for as long as the origin says${defaultTtl === undefined ? '' : `, else ${asDuration(defaultTtl)}`}`
      : `fresh for ${asDuration(overrideTtl)}, whatever the origin says`,
    `stale-while-revalidate ${asDuration(policy.staleWhileRevalidate)}, stale-if-error ${asDuration(policy.staleIfError)}, where the response names none`,
    ...[...policy.ttlByStatus].map(([status, ttl]) => `${status}: fresh for ${asDuration(ttl)} where the origin does not say`),
    ...(policy.compress ? ['compressed when stored: zstd, br or gzip'] : []),
    ...(policy.stripCookies ? ['cookies are taken out'] : []),
    `key: query ${queryList(policy.query)}; request fields ${list(policy.selectOn)}, and those of Vary`,
    `past the cache with cookies: ${list(policy.bypassCookies)}`,
    `obeys ${list([...policy.targetedFields, 'cache-control'])}; clients' Cache-Control ${policy.honorRequestDirectives ? 'too' : 'not'}`,
    `bodies up to ${asSize(policy.maxBodyBytes)}`,
    `guesses lifetimes: ${policy.heuristicFreshness ? 'yes' : 'no'}; shares responses that set cookies: ${policy.shareSetCookie ? 'yes' : 'no'}`,
  ]
}

function queryList(query: Policy['query']): string {
  if (typeof query === 'object' && 'ignore' in query) return `all but ${list(query.ignore)}`
  return list(query)
}

function list(names: string | readonly string[]): string {
  if (typeof names === 'string') return names
  return names.length === 0 ? 'none' : names.join(', ')
}
