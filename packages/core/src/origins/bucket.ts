// A private bucket behind the S3 interface: what of a request goes to it, signed, and what of its answer comes back.
import { AwsV4Signer } from 'aws4fetch'
import { CdnError } from '../errors.ts'
import { type Fields, onlyFields } from '../http/fields.ts'
import type { Clock } from '../http/time.ts'
import type { Prepared } from './address.ts'
import type { OriginRequest, OriginResponse } from './origin.ts'

export interface BucketOptions {
  /** "eu-central-1"; "auto" for R2. */
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** The name of the bucket, unless the URL of the origin names it. */
  readonly bucket?: string | undefined
  /** Whether `bucket` becomes the first part of the path; `false` puts it before the host. Default: true. */
  readonly pathStyle?: boolean | undefined
}

/**
 * All that a bucket is told of a request. A client's credentials are for others, its x-amz-* fields would speak in our name,
 * and without Accept-Encoding there is one answer for everybody.
 */
const PASSED_ON: ReadonlySet<string> = new Set([
  'range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'user-agent',
  'via',
  'cdn-loop',
])
/** SHA-256 of no bytes: neither GET nor HEAD has a body. */
const NO_CONTENT = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
/** Keys for signing, one for each day; more than yesterday's and today's are of no use. */
const MAX_SIGNING_KEYS = 2

export interface Bucket {
  /** Where the bucket is, by the URL of the origin. */
  located(url: URL): URL
  /** The answer to what is not asked of a bucket at all. */
  refusal(request: OriginRequest): OriginResponse | undefined
  /** Bound: what it returns is good for 15 minutes, and for one method and target, whatever else is asked for with it. */
  signed(request: Pick<OriginRequest, 'method' | 'target' | 'fields'>, url: URL): Promise<Prepared>
  answered(response: OriginResponse): OriginResponse
}

export function bucketOf(
  origin: string,
  { region, accessKeyId, secretAccessKey, ...place }: BucketOptions,
  clock: Clock,
): Bucket {
  const cache = new Map<string, ArrayBuffer>()
  return {
    located(url) {
      if (place.bucket === undefined) return url
      const located = new URL(url)
      if (place.pathStyle === false) located.hostname = `${place.bucket}.${url.hostname}`
      else located.pathname = `${url.pathname.replace(/\/$/, '')}/${place.bucket}`
      return located
    },

    refusal({ method, target }) {
      if (method !== 'GET' && method !== 'HEAD') return empty(405, ['Allow', 'GET, HEAD'])
      // The bucket itself would answer with the list of what is in it.
      return objectPath(target) === undefined ? empty(404) : undefined
    },

    async signed({ method, target, fields }, url) {
      const path = encoded(decodeURIComponent(url.pathname.replace(/\/$/, ''))) + (objectPath(target) ?? '/')
      const signer = new AwsV4Signer({
        method,
        url: url.origin + path,
        service: 's3',
        region,
        accessKeyId,
        secretAccessKey,
        datetime: basicDate(clock.now()),
        headers: { 'X-Amz-Content-Sha256': NO_CONTENT },
        cache,
      })
      // Nothing but these and Host is signed, so that ranges and conditions may change on the way.
      const { headers } = await signer.sign()
      if (cache.size > MAX_SIGNING_KEYS) cache.clear()
      return { target: path, fields: [...onlyFields(fields, PASSED_ON), ...[...headers].flat()] }
    },

    answered(response) {
      const { status } = response
      if (status >= 300 && status < 400 && status !== 304) {
        void drained(response)
        throw new CdnError(
          'CDN_ORIGIN_PROTOCOL',
          `${origin} answered ${status}: the bucket is elsewhere; see its url and s3.region`,
        )
      }
      if (status < 400) return { ...response, fields: withoutInternals(response.fields) }
      // What explains the error names the bucket, and may name our access key.
      void drained(response)
      return empty(status, onlyFields(response.fields, OF_AN_ERROR))
    },
  }
}

const OF_AN_ERROR: ReadonlySet<string> = new Set(['date', 'retry-after', 'content-range'])

/** The path of an object in the one spelling that signatures know, without the query. `undefined`: there can be no such object. */
function objectPath(target: string): string | undefined {
  const [path = ''] = target.split('?', 1)
  try {
    const key = decodeURIComponent(path)
    // A URL with such segments means another one (RFC 3986 §5.2.4).
    return key === '/' || key.split('/').some((part) => part === '.' || part === '..') ? undefined : encoded(key)
  } catch {
    // Not UTF-8, and keys are (RFC 3986 §2.5).
    return undefined
  }
}

/** Everything but unreserved characters and "/" escaped. */
function encoded(path: string): string {
  return encodeURIComponent(path)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Such bodies are short; their connections are used again. */
async function drained({ body }: OriginResponse): Promise<void> {
  let seen = 0
  try {
    for await (const chunk of body) {
      seen += chunk.byteLength
      if (seen > 64 * 1024) return
    }
  } catch {
    // Nobody wanted it.
  }
}

function withoutInternals(fields: Fields): Fields {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase()
    if (!name.startsWith('x-amz-') || name.startsWith('x-amz-meta-')) kept.push(fields[at] as string, fields[at + 1] as string)
  }
  return kept
}

/** "20140606T000000Z". */
function basicDate(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function empty(status: number, fields: Fields = []): OriginResponse {
  return { status, fields: [...fields, 'Content-Length', '0'], body: (async function* () {})() }
}
