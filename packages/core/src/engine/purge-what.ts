// What somebody wants purged, and by which name it is remembered and found again.
import type { StoredMeta } from '../http/stored-response.ts'
import { cacheKey, normalisedAuthority, normalisedTarget } from '../policy/key.ts'
import type { Generation } from './generation.ts'
import { type Purge, Purges, withoutScheme } from './purges.ts'

export type PurgeWhat =
  /** All variants of a URL, whatever the scheme. */
  | { readonly url: string }
  /** All that the origin gave this name, in Surrogate-Key or Cache-Tag. */
  | { readonly surrogateKey: string }
  /** All whose URL begins like this, host and path: "https://example.com/blog/". */
  | { readonly prefix: string }
  /** All whose URL fits, with its query; each `*` stands for anything: "https://*.example.com/*.css*". */
  | { readonly pattern: string }
  /** All of a host, with its port where that is not the usual one: "example.com". */
  | { readonly host: string }
  /** All that is asked for through the route of this name. */
  | { readonly route: string }
  | { readonly everything: true }

/** Longer names are nobody's: a head of a request has to fit into 16 KB as a rule. */
const MAX_LENGTH = 8_192

type Named = Pick<Purge, 'kind' | 'value'>

/**
 * Usually one. What a URL is stored under depends on its route, and that on its scheme and on more of a request than its URL: of several names
 * that may be, all.
 *
 * @throws TypeError that says what is wrong.
 */
export function named(what: PurgeWhat, host: Generation): readonly [Named, ...Named[]] {
  const [first, ...more] = plainlyNamed(what, host)
  if (first.value.length > MAX_LENGTH) throw new TypeError(`a ${first.kind} of more than ${MAX_LENGTH} characters is nobody's`)
  return [first, ...more]
}

function plainlyNamed(what: PurgeWhat, host: Generation): readonly [Named, ...Named[]] {
  if ('everything' in what) return [{ kind: 'everything', value: '' }]
  if ('surrogateKey' in what) return [{ kind: 'surrogate-key', value: what.surrogateKey }]
  if ('route' in what) {
    const names = host.settings.routes.map(({ name }) => name)
    if (!names.includes(what.route))
      throw new TypeError(`no route is called ${JSON.stringify(what.route)}; there are ${names.slice(0, 20).join(', ')}`)
    return [{ kind: 'route', value: what.route }]
  }
  if ('host' in what) {
    const authority = /^[^\s/?#@*]+$/.test(what.host) ? asStored(what.host) : undefined
    if (authority === undefined) throw new TypeError(`${JSON.stringify(what.host)} is not a host, such as "example.com"`)
    return [{ kind: 'prefix', value: `${authority}/` }]
  }
  if ('pattern' in what) {
    const [, authority = '', path] = /^https?:\/\/([^/?#\s]+)(\/[^#\s]*)$/i.exec(what.pattern) ?? []
    // No URL can be made of a host with a star in it.
    const host = authority.includes('*') ? authority.toLowerCase().replace(USUAL_PORT, '') : asStored(authority)
    if (host === undefined || path === undefined)
      throw new TypeError(`${JSON.stringify(what.pattern)} is not a URL with "*" in it, such as "https://example.com/*.css"`)
    return [{ kind: 'pattern', value: host + (normalisedTarget(path) ?? path) }]
  }
  const { host: authority, pathname, search } = new URL('url' in what ? what.url : what.prefix)
  if ('prefix' in what) return [{ kind: 'prefix', value: authority + (normalisedTarget(pathname) ?? pathname) }]
  const target = normalisedTarget(pathname + search) ?? pathname + search
  const urls = new Set<string>()
  for (const scheme of ['http', 'https'] as const) {
    const host_ = normalisedAuthority(scheme, authority)
    for (const route of host.router.all(scheme, host_, target))
      if (route.kind === 'origin') urls.add(withoutScheme(cacheKey(scheme, host_, target, route.policy.query)))
  }
  const [first = authority + target, ...more] = urls
  return [{ kind: 'url', value: first }, ...more.map((value): Named => ({ kind: 'url', value }))]
}

const USUAL_PORT = /:(?:80|443)$/

/** A host as it stands in keys: in ASCII, in lower case, without the port that its scheme implies. `undefined`: it is none. */
function asStored(authority: string): string | undefined {
  return URL.parse(`https://${authority}/`)?.host.replace(USUAL_PORT, '') || undefined
}

/** Whether a stored response would be purged by one of these, by the very comparison that purges it. */
export function wouldPurge(whats: readonly PurgeWhat[], host: Generation): (meta: StoredMeta) => boolean {
  const purges = new Purges()
  for (const each of whats.flatMap((what) => named(what, host)))
    purges.apply({ id: '', at: Number.POSITIVE_INFINITY, soft: false, ...each })
  return (meta) => purges.of(meta, routeOf(meta, host) ?? '') !== undefined
}

/** The name of the route that a request for a stored response takes. */
function routeOf({ key, selecting }: StoredMeta, host: Generation): string | undefined {
  const [, scheme = '', authority = '', target = ''] = /^(\w+):\/\/([^/]*)(.*)$/s.exec(key) ?? []
  const fields = selecting.flatMap(([name, value]) => (value === null || name.includes(':') ? [] : [name, value]))
  return host.router.find(scheme, authority, target, { method: 'GET', target, fields })?.route.name
}
