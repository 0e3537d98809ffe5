// The few requests to an S3 server that a log needs, signed with Signature Version 4.
import { createHash } from 'node:crypto'
import { AwsV4Signer } from 'aws4fetch'
import { Agent, request } from 'undici'

export interface S3Options {
  /** Default: Amazon's of `region`. "https://ACCOUNT.r2.cloudflarestorage.com", "https://fly.storage.tigris.dev". */
  endpoint?: string
  bucket: string
  /** Default: $AWS_REGION, or "auto". */
  region?: string
  /** Default: $AWS_ACCESS_KEY_ID. */
  accessKeyId?: string
  /** Default: $AWS_SECRET_ACCESS_KEY. */
  secretAccessKey?: string
  /** Default: $AWS_SESSION_TOKEN, if there is one. */
  sessionToken?: string
  /** Longest silence of the server, in milliseconds. Default: 30,000. */
  timeoutMs?: number
}

/** An answer that is no success. */
export class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly status: number
  /** S3's own, such as "SlowDown"; empty when it gave none. */
  readonly code: string
  readonly retryAfterMs: number | undefined

  constructor(what: string, status: number, code: string, retryAfterMs: number | undefined) {
    super(`${what}: ${status}${code === '' ? '' : ` ${code}`}`)
    this.status = status
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}

export interface Answer {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface Put {
  readonly headers?: Readonly<Record<string, string>>
  /** Of the body, in hexadecimal, when it is known. */
  readonly sha256?: string | undefined
  readonly signal?: AbortSignal | undefined
}

const EMPTY = Buffer.alloc(0)
const digest = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')
/** No answer of a server is held beyond this: objects are of the size that was written. */
const MAX_BODY = 256 * 1024 * 1024

export class S3Client {
  readonly #options: S3Options
  #agent: Agent | undefined

  constructor(options: S3Options) {
    this.#options = options
  }

  put(key: string, body: Uint8Array, put: Put = {}): Promise<Answer> {
    return this.#ask('PUT', key, '', { body, ...put })
  }

  /** In parts of `partBytes`; nobody sees the object before it is complete. */
  async putParts(key: string, body: Uint8Array, partBytes: number, { headers = {}, signal }: Put = {}): Promise<void> {
    const { 'If-None-Match': condition, ...rest } = headers
    const begun = await this.#ask('POST', key, 'uploads=', { headers: rest, signal })
    const id = textOf(begun.body, 'UploadId')
    const upload = `uploadId=${encodeURIComponent(id)}`
    try {
      const parts: string[] = []
      for (let at = 0, part = 1; at < body.byteLength; at += partBytes, part++) {
        const { headers: got } = await this.#ask('PUT', key, `partNumber=${part}&${upload}`, {
          body: body.subarray(at, at + partBytes),
          signal,
        })
        parts.push(`<Part><PartNumber>${part}</PartNumber><ETag>${String(got.etag)}</ETag></Part>`)
      }
      const list = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`)
      const done = await this.#ask('POST', key, upload, {
        body: list,
        signal,
        headers: condition === undefined ? {} : { 'If-None-Match': condition },
      })
      // The status is sent before the work is done; what went wrong is in the body.
      const failed = textOf(done.body, 'Code')
      if (failed !== '') throw new S3Error(`complete ${key}`, 500, failed, undefined)
    } catch (error) {
      await this.#ask('DELETE', key, upload, {}).catch(() => {})
      throw error
    }
  }

  get(key: string, signal?: AbortSignal): Promise<Answer> {
    return this.#ask('GET', key, '', { signal })
  }

  head(key: string, signal?: AbortSignal): Promise<Answer> {
    return this.#ask('HEAD', key, '', { signal })
  }

  /** All keys that begin so, in order. */
  async *list(prefix: string): AsyncGenerator<{ readonly key: string; readonly size: number }> {
    let token = ''
    do {
      const query = new URLSearchParams({ 'list-type': '2', prefix, ...(token === '' ? {} : { 'continuation-token': token }) })
      const { body } = await this.#ask('GET', '', `${query}`.replaceAll('+', '%20'), {})
      const xml = body.toString()
      for (const [, contents = ''] of xml.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g))
        yield { key: textOf(contents, 'Key'), size: Number(textOf(contents, 'Size')) }
      token = textOf(xml, 'NextContinuationToken')
    } while (token !== '')
  }

  async createBucket(): Promise<void> {
    await this.#ask('PUT', '', '', {})
  }

  async close(): Promise<void> {
    await this.#agent?.close()
    this.#agent = undefined
  }

  async #ask(
    method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE',
    key: string,
    query: string,
    { body = EMPTY, headers = {}, signal, sha256 = digest(body) }: { body?: Uint8Array } & Put,
  ): Promise<Answer> {
    const { env } = process
    const { bucket, region = env.AWS_REGION ?? 'auto', timeoutMs = 30_000 } = this.#options
    const { endpoint = `https://s3.${region}.amazonaws.com` } = this.#options
    const path = key.split('/').map(encodeURIComponent).join('/')
    const signed = await new AwsV4Signer({
      method,
      url: `${endpoint.replace(/\/$/, '')}/${bucket}/${path}${query === '' ? '' : `?${query}`}`,
      service: 's3',
      region,
      accessKeyId: this.#options.accessKeyId ?? env.AWS_ACCESS_KEY_ID ?? '',
      secretAccessKey: this.#options.secretAccessKey ?? env.AWS_SECRET_ACCESS_KEY ?? '',
      ...((this.#options.sessionToken ?? env.AWS_SESSION_TOKEN)
        ? { sessionToken: this.#options.sessionToken ?? env.AWS_SESSION_TOKEN }
        : {}),
      headers: { ...headers, 'X-Amz-Content-Sha256': sha256 },
    } as ConstructorParameters<typeof AwsV4Signer>[0]).sign()
    this.#agent ??= new Agent({
      connections: 4,
      connect: { timeout: timeoutMs },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    })
    const response = await request(signed.url, {
      method,
      headers: Object.fromEntries(signed.headers),
      ...(method === 'PUT' || method === 'POST' ? { body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) } : {}),
      dispatcher: this.#agent,
      signal: signal ?? null,
    })
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of response.body) {
      length += chunk.length
      if (length > MAX_BODY) throw new Error(`${method} ${key}: the answer is longer than ${MAX_BODY} bytes`)
      chunks.push(chunk)
    }
    const answer = Buffer.concat(chunks)
    if (response.statusCode < 300) return { headers: response.headers, body: answer }
    const retryAfter = Number(response.headers['retry-after'])
    throw new S3Error(
      `${method} ${bucket}/${key}`,
      response.statusCode,
      textOf(answer, 'Code'),
      retryAfter > 0 ? retryAfter * 1000 : undefined,
    )
  }
}

/** The text of the first element of that name; empty when there is none. */
function textOf(xml: Buffer | string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml.toString())?.[1] ?? ''
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}
