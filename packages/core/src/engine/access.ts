// Whether a client may ask: its address, its password, the signature of its URL.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type Fields, fieldValue } from '../http/fields.ts'
import type { Millis } from '../http/time.ts'
import type { Access } from '../policy/access.ts'

export function passwordDigest(name: string, password: string): Uint8Array {
  return createHash('sha256').update(`${name}:${password}`).digest()
}

export type Refusal = 'forbidden' | 'unauthorized' | 'unsigned' | 'expired'

/** Why this client may not have this; `undefined` when it may. `authority` and `target` have to be normalised. */
export function refusalOf(
  { allow, deny, basic, signedWith }: Access,
  request: { readonly fields: Fields; readonly clientAddress?: string | undefined },
  url: { readonly authority: string; readonly target: string },
  now: Millis,
): Refusal | undefined {
  const { clientAddress } = request
  // Who has no address is in no list.
  if (allow?.contains(clientAddress) === false) return 'forbidden'
  if (deny?.contains(clientAddress) === true) return 'forbidden'
  if (basic !== undefined && !isKnown(basic, fieldValue(request.fields, 'authorization'))) return 'unauthorized'
  return signedWith === undefined ? undefined : signatureFault(signedWith, url, now)
}

function isKnown(digests: readonly Uint8Array[], authorization: string | undefined): boolean {
  const [, credentials] = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization ?? '') ?? []
  if (credentials === undefined) return false
  const digest = createHash('sha256').update(Buffer.from(credentials, 'base64')).digest()
  // All of them, so that the time taken tells nothing of where it was found.
  return digests.filter((each) => timingSafeEqual(each, digest)).length > 0
}

// Signed URLs

const SIGNATURE = /[?&]signature=([A-Za-z0-9_-]{43})$/
const EXPIRES = /[?&]expires=(\d{1,12})$/

/**
 * `url` with `expires` and `signature` behind it: whoever has it may ask for it, and for nothing else, until then.
 * The signature is HMAC-SHA256 over host, path and query, in base64url.
 */
export function signedUrl(url: string, { secret, expires }: { secret: string; expires: Date }): string {
  const { host, pathname, search, protocol } = new URL(url)
  const target = `${pathname}${search}${search === '' ? '?' : '&'}expires=${Math.floor(expires.getTime() / 1000)}`
  return `${protocol}//${host}${target}&signature=${signatureOf(secret, host + target)}`
}

function signatureOf(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url')
}

function signatureFault(
  secrets: readonly string[],
  { authority, target }: { readonly authority: string; readonly target: string },
  now: Millis,
): Refusal | undefined {
  const [end, signature] = SIGNATURE.exec(target) ?? []
  if (end === undefined || signature === undefined) return 'unsigned'
  const signed = target.slice(0, -end.length)
  const [, expires] = EXPIRES.exec(signed) ?? []
  const given = Buffer.from(signature)
  const isValid =
    secrets.filter((secret) => timingSafeEqual(Buffer.from(signatureOf(secret, authority + signed)), given)).length > 0
  if (!isValid || expires === undefined) return 'unsigned'
  return Number(expires) * 1000 > now ? undefined : 'expired'
}

/** The target as it was before it was signed: what the key and the origin see. */
export function unsigned(target: string): string {
  return target.replace(SIGNATURE, '').replace(EXPIRES, '')
}
