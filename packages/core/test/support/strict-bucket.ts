// A bucket that checks signatures itself, by the words of AWS's specification and not with the signer under test.
import { createHash, createHmac } from 'node:crypto'
import type { TestContext } from 'node:test'
import { type RawOrigin, rawOrigin } from './raw-origin.ts'

export const credentials = {
  region: 'eu-test-1',
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}

export interface StrictBucket extends RawOrigin {
  /** Keys that were asked for with a good signature, in order. */
  readonly keys: readonly string[]
  /** Why others were refused. */
  readonly refusals: readonly string[]
}

/** Objects by key, path style, in the bucket "files". `now` is its clock, in milliseconds. */
export async function strictBucket(
  t: TestContext,
  objects: Readonly<Record<string, string>>,
  now: () => number = Date.now,
): Promise<StrictBucket> {
  const keys: string[] = []
  const refusals: string[] = []
  const raw = await rawOrigin(({ head, socket }) => {
    const refusal = wrongSignature(head, now())
    if (refusal !== undefined) {
      refusals.push(refusal)
      const body = `<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>${credentials.accessKeyId}</AWSAccessKeyId></Error>`
      return socket.write(response(403, body))
    }
    const path = decodeURIComponent(head.split(' ')[1] ?? '')
    const key = path.slice('/files/'.length)
    keys.push(key)
    const object = path.startsWith('/files/') ? objects[key] : undefined
    if (object === undefined) return socket.write(response(404, `<Error><Key>${key}</Key><BucketName>files</BucketName></Error>`))
    const etag = `"${createHash('md5').update(object).digest('hex')}"`
    const common = [`ETag: ${etag}`, 'Accept-Ranges: bytes', 'x-amz-request-id: 4442587FB7D0A2F9', 'x-amz-meta-own: 1']
    if (fieldsOf(head).get('if-none-match') === etag) return socket.write(response(304, '', common))
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(fieldsOf(head).get('range') ?? '') ?? []
    const isHead = head.startsWith('HEAD ')
    if (first === undefined) return socket.write(response(200, object, common, isHead))
    const end = Math.min(Number(last) + 1, object.length)
    const range = `Content-Range: bytes ${first}-${end - 1}/${object.length}`
    return socket.write(response(206, object.slice(Number(first), end), [...common, range], isHead))
  })
  t.after(() => raw.close())
  return { ...raw, keys, refusals }
}

function response(status: number, body: string, lines: readonly string[] = [], bodiless = false): string {
  const length = Buffer.byteLength(body, 'latin1')
  const head = [`HTTP/1.1 ${status} Some Reason`, ...lines, ...(status === 304 ? [] : [`Content-Length: ${length}`])]
  return `${head.join('\r\n')}\r\n\r\n${bodiless ? '' : body}`
}

function fieldsOf(head: string): Map<string, string> {
  const lines = head.trimEnd().split('\r\n').slice(1)
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
}

/** "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", step by step. */
function wrongSignature(head: string, now: number): string | undefined {
  const fields = fieldsOf(head)
  const [method = '', target = ''] = head.split(' ')
  const authorization =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
  const [, id, day = '', region = '', signed = '', signature] = authorization.exec(fields.get('authorization') ?? '') ?? []
  if (signature === undefined) return `no signature: ${fields.get('authorization')}`
  if (id !== credentials.accessKeyId || region !== credentials.region) return 'another key or region'
  if (fields.has('cookie')) return 'a cookie'

  const names = signed.split(';')
  const unsigned = [...fields.keys()].filter((name) => (name === 'host' || name.startsWith('x-amz-')) && !names.includes(name))
  if (unsigned.length > 0) return `not signed: ${unsigned.join(', ')}`
  const date = fields.get('x-amz-date') ?? ''
  const [, y, m, d, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const at = Date.UTC(Number(y), Number(m) - 1, Number(d), Number(hour), Number(minute), Number(second))
  if (!(Math.abs(at - now) <= 15 * 60_000) || !date.startsWith(day)) return `RequestTimeTooSkewed: ${date}`
  if (fields.get('x-amz-content-sha256') !== createHash('sha256').digest('hex')) return 'another payload than none'

  const [path = '', query = ''] = target.split('?')
  const bytes = Buffer.from(
    path.replace(/%([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  const uri = [...bytes]
    .map((byte) => String.fromCharCode(byte))
    .map((character) =>
      /[A-Za-z0-9\-._~/]/.test(character) ? character : `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('')
  const canonical = [
    method,
    uri,
    query.split('&').sort().join('&'),
    ...names.toSorted().map((name) => `${name}:${(fields.get(name) ?? '').replace(/ +/g, ' ')}`),
    '',
    signed,
    fields.get('x-amz-content-sha256'),
  ].join('\n')
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${credentials.secretAccessKey}`, day), region))
  const scope = `${day}/${region}/s3/aws4_request`
  const digest = createHash('sha256').update(canonical).digest('hex')
  const expected = hmac(key, ['AWS4-HMAC-SHA256', date, scope, digest].join('\n')).toString('hex')
  return expected === signature ? undefined : `SignatureDoesNotMatch for\n${canonical}`
}
