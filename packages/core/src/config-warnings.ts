// What a configuration is allowed to say and probably does not mean.
import { type Mistake, member, mistake } from './checks.ts'
import type { CdnConfig, RouteConfig } from './config.ts'
import { type Match, matches, parseMatch } from './policy/route.ts'

/**
 * Routes that no request reaches, origins that no route asks, redirects that lead back to themselves. They keep nothing
 * from starting: a route put on top for an hour of maintenance is all right. The configuration must have no mistakes.
 */
export function configWarnings({ origins, routes }: Pick<CdnConfig, 'origins' | 'routes'>): readonly Mistake[] {
  const asked = new Set([
    ...routes.map((route) => ('origin' in route ? route.origin : undefined)),
    ...Object.values(origins).map((origin) => (typeof origin === 'object' && 'fallback' in origin ? origin.fallback : undefined)),
  ])
  return [
    ...Object.keys(origins).flatMap((name) => (asked.has(name) ? [] : mistake(member('origins', name), 'no route asks it'))),
    ...routes.flatMap((route, index) => {
      const own = parsed(route)
      const earlier = routes.findIndex((each, at) => at < index && takesAll(each) && own.every((match) => coveredBy(each, match)))
      if (earlier >= 0) return mistake(`routes[${index}]`, `no request gets here: routes[${earlier}] matches all of them first`)
      return [
        ...(leadsBack(route, routes, index)
          ? mistake(`routes[${index}].redirect`, 'leads back to this route, again and again')
          : []),
        ...contradictions(route, `routes[${index}]`),
      ]
    }),
  ]
}

function parsed({ match }: RouteConfig): readonly Match[] {
  return (typeof match === 'string' ? [match] : match).map((each) => parseMatch(each) as Match)
}

/** Whether a route takes whatever its paths match. */
function takesAll(route: RouteConfig): boolean {
  const hasTable =
    ('redirect' in route && typeof route.redirect === 'object') || ('rewrite' in route && typeof route.rewrite === 'object')
  return route.when === undefined && !hasTable
}

function coveredBy(route: RouteConfig, match: Match): boolean {
  return parsed(route).some((each) => covers(each, match))
}

/** Whether everything that `later` matches is matched by `earlier` too. */
function covers(earlier: Match, later: Match): boolean {
  if (earlier.scheme !== undefined && earlier.scheme !== later.scheme) return false
  if (earlier.authority !== undefined && earlier.authority !== '*' && earlier.authority !== later.authority) return false
  if (later.after === undefined)
    return matches({ ...earlier, scheme: undefined, authority: undefined }, '', '', later.before) !== undefined
  return earlier.after !== undefined && later.before.startsWith(earlier.before) && later.after.endsWith(earlier.after)
}

/** Only a path certainly comes back here; a whole URL may be somebody else's. */
function leadsBack(route: RouteConfig, routes: readonly RouteConfig[], index: number): boolean {
  if (!('redirect' in route) || typeof route.redirect !== 'string' || !route.redirect.startsWith('/')) return false
  const target = route.redirect.replace('*', 'x').replace(/#.*/, '')
  return parsed(route).some(({ scheme = 'https', authority = '*' }) => {
    const takes = (each: RouteConfig) =>
      takesAll(each) && parsed(each).some((match) => matches(match, scheme, authority.replace('*', 'x'), target) !== undefined)
    return routes.findIndex(takes) === index
  })
}

/** What one option says and another takes back. */
function contradictions(route: RouteConfig, path: string): readonly Mistake[] {
  const { cors, hsts, access, cache } = route
  const set = new Set(Object.keys(route.responseHeaders ?? {}).map((name) => name.toLowerCase()))
  const { key = {}, ...caching } = typeof cache === 'object' ? cache : {}
  const both = access?.allow?.find((each) => access.deny?.includes(each))
  const bypass = key.cookies?.find((name) => caching.bypassCookies?.includes(name))
  const dropsQuery = 'keepQuery' in route && route.keepQuery === false && 'origin' in route
  return [
    ...(caching.overrideTtl !== undefined && caching.defaultTtl !== undefined
      ? mistake(`${path}.cache.defaultTtl`, 'has no effect beside overrideTtl; leave one of them out')
      : []),
    ...(cors && set.has('access-control-allow-origin')
      ? mistake(`${path}.cors`, 'responseHeaders set Access-Control-Allow-Origin, too; leave one of them out')
      : []),
    ...(hsts && set.has('strict-transport-security')
      ? mistake(`${path}.hsts`, 'responseHeaders set Strict-Transport-Security, too; leave one of them out')
      : []),
    ...(both === undefined ? [] : mistake(`${path}.access.deny`, `${both} is in allow, too; it gets 403`)),
    ...(bypass === undefined
      ? []
      : mistake(
          `${path}.cache.key.cookies`,
          `requests with "${bypass}" go past the cache (bypassCookies); leave it out of one of them`,
        )),
    ...(dropsQuery && cache !== false && (key.query ?? 'all') === 'all'
      ? mistake(
          `${path}.keepQuery`,
          "the origin gets no query, but the key has it, so that one answer is stored many times; write key: { query: 'none' }",
        )
      : []),
  ]
}
