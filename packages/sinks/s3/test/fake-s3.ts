// A strict S3 server in memory, for faults that no real one shows on demand: it refuses what S3 refuses, and fails as it is told.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What happens to a PUT of an object instead of, or after, the write. */
export type Fault = '503' | '409' | 'lost-reply' | 'stall' | 'reset'

interface Stored {
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string>>
}

export interface FakeS3 {
  readonly url: string
  readonly objects: ReadonlyMap<string, Stored>
  /** For the next PUTs, one each. */
  readonly faults: Fault[]
  /** Bytes that were received for each key that was written, as often as it was. */
  readonly writes: string[]
  /** Every request is answered with 503 while it is. */
  isDown: boolean
  put(key: string, body: string): void
  delete(key: string): void
  close(): Promise<void>
}

export async function fakeS3(port = 0): Promise<FakeS3> {
  const objects = new Map<string, Stored>()
  const uploads = new Map<string, Map<number, Buffer>>()
  const faults: Fault[] = []
  const writes: string[] = []
  const state = { isDown: false }

  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const url = new URL(request.url ?? '', 'http://s3')
    const [, bucket, ...rest] = url.pathname.split('/').map(decodeURIComponent)
    const key = rest.join('/')
    const fail = (status: number, code: string): void =>
      void response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`)
    if (state.isDown) return fail(503, 'ServiceUnavailable')
    if (
      !/^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[^/]+\/s3\/aws4_request, SignedHeaders=[^,]*host[^,]*, Signature=[0-9a-f]{64}$/.test(
        request.headers.authorization ?? '',
      )
    )
      return fail(403, 'AccessDenied')
    if (request.headers['x-amz-content-sha256'] !== createHash('sha256').update(body).digest('hex'))
      return fail(400, 'XAmzContentSHA256Mismatch')
    if (bucket !== 'logs') return fail(404, 'NoSuchBucket')
    const { searchParams: query } = url
    const upload = query.get('uploadId')
    if (request.method === 'PUT' || (request.method === 'POST' && upload !== null)) {
      const fault = faults.shift()
      if (fault === '503') return fail(503, 'SlowDown')
      if (fault === '409') return fail(409, 'ConditionalRequestConflict')
      if (fault === 'stall') return
      if (fault === 'reset') return void request.socket.destroy()
      const part = query.get('partNumber')
      if (upload !== null && part !== null) {
        if (body.byteLength < 5 * 1024 * 1024 && Number(part) > 10_000) return fail(400, 'InvalidPart')
        uploads.get(upload)?.set(Number(part), body)
        return void response.writeHead(200, { ETag: `"${part}"` }).end()
      }
      if (request.headers['if-none-match'] === '*' && objects.has(key)) return fail(412, 'PreconditionFailed')
      const whole =
        upload === null
          ? body
          : Buffer.concat([...(uploads.get(upload) as Map<number, Buffer>)].sort(([a], [b]) => a - b).map(([, bytes]) => bytes))
      const kept = Object.entries(upload === null ? request.headers : {}).filter(([name]) => /^(content-|x-amz-meta-)/.test(name))
      objects.set(key, { body: whole, headers: Object.fromEntries(kept) as Record<string, string> })
      writes.push(key)
      if (fault === 'lost-reply') return void request.socket.destroy()
      return void response
        .writeHead(200, { ETag: '"1"' })
        .end(upload === null ? '' : '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>')
    }
    if (request.method === 'POST' && query.has('uploads')) {
      const id = `u${uploads.size}`
      uploads.set(id, new Map())
      return void response.end(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
    }
    if (request.method === 'DELETE') return void response.writeHead(204).end()
    if (query.get('list-type') === '2') {
      const prefix = query.get('prefix') ?? ''
      const after = query.get('continuation-token') ?? ''
      const found = [...objects.keys()].filter((each) => each.startsWith(prefix) && each > after).sort()
      const page = found.slice(0, 100)
      const contents = page.map(
        (each) => `<Contents><Key>${each}</Key><Size>${objects.get(each)?.body.byteLength}</Size></Contents>`,
      )
      const more = found.length > 100 ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
      return void response.end(`<ListBucketResult>${contents.join('')}${more}</ListBucketResult>`)
    }
    const stored = objects.get(key)
    if (stored === undefined) return fail(404, 'NoSuchKey')
    response.writeHead(200, { ...stored.headers, 'content-length': stored.body.byteLength })
    response.end(request.method === 'HEAD' ? undefined : stored.body)
  }

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    faults,
    writes,
    get isDown() {
      return state.isDown
    },
    set isDown(isDown) {
      state.isDown = isDown
    },
    put: (key, body) => void objects.set(key, { body: Buffer.from(body), headers: {} }),
    delete: (key) => void objects.delete(key),
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
