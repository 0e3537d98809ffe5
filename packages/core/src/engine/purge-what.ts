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

/** @throws TypeError that says what is wrong. */
export function named(what: PurgeWhat, host: Generation): Pick<Purge, 'kind' | 'value'> {
  const purge = plainlyNamed(what, host)
  if (purge.value.length > MAX_LENGTH) throw new TypeError(`a ${purge.kind} of more than ${MAX_LENGTH} characters is nobody's`)
  return purge
}

function plainlyNamed(what: PurgeWhat, host: Generation): Pick<Purge, 'kind' | 'value'> {
  if ('everything' in what) return { kind: 'everything', value: '' }
  if ('surrogateKey' in what) return { kind: 'surrogate-key', value: what.surrogateKey }
  if ('route' in what) {
    const names = host.settings.routes.map(({ name }) => name)
    if (!names.includes(what.route))
      throw new TypeError(`no route is called ${JSON.stringify(what.route)}; there are ${names.slice(0, 20).join(', ')}`)
    return { kind: 'route', value: what.route }
  }
  if ('host' in what) {
    if (!/^[^\s/?#@*]+$/.test(what.host) || !URL.canParse(`http://${what.host}/`))
      throw new TypeError(`${JSON.stringify(what.host)} is not a host, such as "example.com"`)
    return { kind: 'prefix', value: `${what.host.toLowerCase().replace(/:(?:80|443)$/, '')}/` }
  }
  if ('pattern' in what) {
    const [, authority, path] = /^https?:\/\/([^/?#\s]+)(\/[^#\s]*)$/i.exec(what.pattern) ?? []
    if (authority === undefined || path === undefined)
      throw new TypeError(`${JSON.stringify(what.pattern)} is not a URL with "*" in it, such as "https://example.com/*.css"`)
    return { kind: 'pattern', value: authority.toLowerCase() + (normalisedTarget(path) ?? path) }
  }
  const { protocol, host: authority, pathname, search } = new URL('url' in what ? what.url : what.prefix)
  if ('prefix' in what) return { kind: 'prefix', value: authority + (normalisedTarget(pathname) ?? pathname) }
  const scheme = protocol.slice(0, -1)
  const target = normalisedTarget(pathname + search) ?? pathname + search
  const route = host.router.find(scheme, authority, target)?.route
  const query = route?.kind === 'origin' ? route.policy.query : 'all'
  return { kind: 'url', value: withoutScheme(cacheKey(scheme, normalisedAuthority(scheme, authority), target, query)) }
}

/** Whether a stored response would be purged by one of these, by the very comparison that purges it. */
export function wouldPurge(whats: readonly PurgeWhat[], host: Generation): (meta: StoredMeta) => boolean {
  const purges = new Purges()
  whats.forEach((what, index) => {
    purges.apply({ id: String(index), at: Number.POSITIVE_INFINITY, soft: false, ...named(what, host) })
  })
  return (meta) => purges.of(meta, routeOf(meta, host) ?? '') !== undefined
}

/** The name of the route that a request for a stored response takes. */
function routeOf({ key, selecting }: StoredMeta, host: Generation): string | undefined {
  const [, scheme = '', authority = '', target = ''] = /^(\w+):\/\/([^/]*)(.*)$/s.exec(key) ?? []
  const fields = selecting.flatMap(([name, value]) => (value === null || name.includes(':') ? [] : [name, value]))
  return host.router.find(scheme, authority, target, { method: 'GET', target, fields })?.route.name
}
