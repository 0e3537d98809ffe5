// Who the client is: the peer, or whom a proxy that is trusted names, and what nobody else may say (RFC 7239 in spirit, X-Forwarded-* in practice).
import { BlockList, isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { type Fields, fieldLines, fieldValue, listMembers } from '../http/fields.ts'
import type { Addresses } from '../policy/access.ts'
import type { CdnRequest } from './messages.ts'
import { RequestWith } from './request-with.ts'

/** Peers whose word about the client counts. */
export interface Trust {
  /** Whether the address of a peer is among them. */
  trusts(address: string | undefined): boolean
  /** Whether they are Fly Proxy, whose own fields count then. */
  readonly isFly: boolean
}

/** Networks that nobody outside can be in: RFC 1918, RFC 4193, loopback, link-local, and shared address space (RFC 6598). */
export const PRIVATE_NETWORKS: readonly string[] = [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::1',
  'fc00::/7',
  'fe80::/10',
]
/** Where Fly Proxy comes from: the private networks of a machine on Fly. */
export const FLY_NETWORKS: readonly string[] = ['172.16.0.0/12', 'fdaa::/16']

/** Peers are few, or strangers who are not asked about twice. */
const MAX_KNOWN = 1_000
/** More hops than any sensible chain has. */
const MAX_HOPS = 64

/** Whether that is an address, or a network such as "10.0.0.0/8". */
export function isNetwork(text: string): boolean {
  const [address = '', bits, more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined || address.includes('%')) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

/** `texts` have to be addresses and networks. */
export function networksOf(texts: readonly string[]): Addresses {
  const list = new BlockList()
  for (const network of texts) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  const known = new LRUCache<string, boolean>({ max: MAX_KNOWN })
  return {
    contains(address) {
      if (address === undefined || texts.length === 0) return false
      const before = known.get(address)
      if (before !== undefined) return before
      const plain = plainAddress(address)
      const is = plain !== undefined && list.check(plain, isIP(plain) === 4 ? 'ipv4' : 'ipv6')
      known.set(address, is)
      return is
    },
  }
}

export function trustOf(networks: readonly string[], isFly = false): Trust {
  const { contains } = networksOf(networks)
  return { trusts: contains, isFly }
}

export const TRUSTS_NOBODY: Trust = { trusts: () => false, isFly: false }

/** The address alone, without brackets, port or zone; an IPv4 address in IPv6 as IPv4. `undefined`: it is none. */
export function plainAddress(text: string): string | undefined {
  const [, v4, bracketed] = /^(?:(\d+\.\d+\.\d+\.\d+)(?::\d+)?|\[([^\]]+)\](?::\d+)?)$/.exec(text) ?? []
  const address = (v4 ?? bracketed ?? text).replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(address) === 0 ? undefined : address
}

/** The scheme that the client itself used, as far as is known. */
export function schemeOf(
  { scheme, fields, clientAddress }: Pick<CdnRequest, 'scheme'> & Partial<Pick<CdnRequest, 'fields' | 'clientAddress'>>,
  trust: Trust,
): 'http' | 'https' {
  if (fields === undefined || !trust.trusts(clientAddress)) return scheme
  const fly = trust.isFly ? fieldValue(fields, 'fly-forwarded-proto') : undefined
  return lastScheme(fly ?? fieldValue(fields, 'x-forwarded-proto')) ?? scheme
}

/** The request as it is to be taken: from the client itself. The same object when there is nothing to change about it. */
export function fromClient(request: CdnRequest, trust: Trust): CdnRequest {
  if (trust === TRUSTS_NOBODY || !trust.trusts(request.clientAddress))
    return hasInternal(request.fields) ? new RequestWith(request, { fields: withoutInternal(request.fields) }) : request
  const { fields } = request
  const told = trust.isFly ? plainAddress(fieldValue(fields, 'fly-client-ip') ?? '') : undefined
  const address = told ?? forwardedFor(fields, trust) ?? request.clientAddress
  return new RequestWith(request, { scheme: schemeOf(request, trust), clientAddress: address, fields })
}

/** From the right, each hop that is trusted says who was before it; the first that is not is the client. */
function forwardedFor(fields: Fields, trust: Trust): string | undefined {
  const hops = listMembers(fieldLines(fields, 'x-forwarded-for').join(',')).reverse().slice(0, MAX_HOPS)
  let nearest: string | undefined
  for (const hop of hops) {
    const address = plainAddress(hop)
    // What a trusted one did not write as an address is nobody; who is nearer to us counts.
    if (address === undefined) return nearest
    nearest = address
    if (!trust.trusts(address)) return nearest
  }
  return nearest
}

/** What the nearest proxy says: it stands last. */
function lastScheme(value: string | undefined): 'http' | 'https' | undefined {
  const last = listMembers(value ?? '')
    .at(-1)
    ?.toLowerCase()
  return last === 'http' || last === 'https' ? last : undefined
}

const F = 102
const X = 120

/** Fields by which platforms and programs tell each other things, and a client might tell them as well. */
function isInternal(spelled: string): boolean {
  // Comparing one character first: this is done for every field of every request.
  const first = spelled.charCodeAt(0) | 32
  if (first !== F && first !== X) return false
  const name = spelled.toLowerCase().replaceAll('_', '-')
  return name.startsWith('fly-') || name.startsWith('x-internal-')
}

function hasInternal(fields: Fields): boolean {
  for (let at = 0; at < fields.length; at += 2) if (isInternal(fields[at] as string)) return true
  return false
}

function withoutInternal(fields: Fields): Fields {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2)
    if (!isInternal(fields[at] as string)) kept.push(fields[at] as string, fields[at + 1] as string)
  return kept
}
