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
  const parsed = routes.map(({ match }) => parseMatch(match) as Match)
  return [
    ...Object.keys(origins).flatMap((name) => (asked.has(name) ? [] : mistake(member('origins', name), 'no route asks it'))),
    ...routes.flatMap((route, index) => {
      const earlier = parsed.findIndex((match, at) => at < index && covers(match, parsed[index] as Match))
      if (earlier >= 0) return mistake(`routes[${index}]`, `no request gets here: routes[${earlier}] matches all of them first`)
      return leadsBack(route, parsed, index)
        ? mistake(`routes[${index}].redirect`, 'leads back to this route, again and again')
        : []
    }),
  ]
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
function leadsBack(route: RouteConfig, parsed: readonly Match[], index: number): boolean {
  if (!('redirect' in route) || !route.redirect?.startsWith('/')) return false
  const { scheme = 'https', authority = '*' } = parsed[index] as Match
  const target = route.redirect.replace('*', 'x').replace(/#.*/, '')
  return parsed.findIndex((match) => matches(match, scheme, authority.replace('*', 'x'), target) !== undefined) === index
}
