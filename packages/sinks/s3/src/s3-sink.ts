// s3Sink(): log entries as objects, each under a key of its own that tells what is in it, and never written over.
import { httpUrl, integer, oneOf, options, shown, text } from '@simple-cdn/core/config'
import {
  type BatchSink,
  COMPRESSIONS,
  type Compression,
  checkedSink,
  compressed,
  DeliveryError,
  jsonLine,
  type LogBatch,
  type LogFormat,
  type LogSink,
  lineFormat,
  milliseconds,
  refuseMistakes,
  type SpoolOptions,
  someText,
  spoolCheck,
  spooled,
} from '@simple-cdn/core/log'
import { S3Client, S3Error, type S3Options } from './client.ts'
import { DEFAULT_KEY, keyComplaint, keys as keysOf, nameOf } from './key.ts'
import { textOf, verify } from './verify.ts'

export interface S3SinkOptions extends S3Options {
  /** The queue before it: its folder, and its bounds. */
  spool: SpoolOptions
  /** Default: JSON lines. */
  format?: LogFormat
  /**
   * Of {date}, {time}, {hour}, {region}, {machine}, {boot}, {first}, {last}, {checksum}; all but {time}, {hour} and {region} are
   * needed. Default: "{date}T{time}+0000-{region}-{machine}-{boot}-{first}-{last}-{checksum}.log".
   */
  key?: string
  /** Adds its ending to the key. Default: "none". */
  compress?: Compression
  /** Where ledgers are kept, for `simple-cdn logs verify`. Default: "_ledger/". */
  ledgerPrefix?: string
  /** Larger objects go in parts of this size, at least 5 MiB. Default: 64 MiB. */
  partBytes?: number
  /** In stats and messages. Default: "s3:" and the bucket. */
  name?: string
}

/** What S3 takes as a part of an object. */
const MIN_PART = 5 * 1024 * 1024
const MAX_PART = 5 * 1024 ** 3
/** What no later attempt would change: the object itself is at fault. */
const FINAL_CODES: ReadonlySet<string> = new Set(['EntityTooLarge', 'KeyTooLongError', 'MetadataTooLarge', 'InvalidDigest'])

const bucketName = text((value) =>
  // Amazon allows less, others and older buckets more.
  /^[\w.:-]{3,255}$/.test(value)
    ? undefined
    : `${shown(value)} is not the name of a bucket; these have at least 3 letters, digits, "-", "_" and "."`,
)

const batchChecks = {
  endpoint: httpUrl('https://ACCOUNT.r2.cloudflarestorage.com'),
  bucket: bucketName,
  region: text((value) =>
    /^[\w-]+$/.test(value) ? undefined : `${shown(value)} is not a region; write one such as "eu-central-1", or "auto"`,
  ),
  accessKeyId: someText('it, or leave it out for $AWS_ACCESS_KEY_ID'),
  secretAccessKey: someText('it, or leave it out for $AWS_SECRET_ACCESS_KEY'),
  sessionToken: someText('it, or leave it out for $AWS_SESSION_TOKEN'),
  timeoutMs: milliseconds(1),
  format: lineFormat,
  key: text(keyComplaint),
  compress: oneOf('none', 'gzip', 'zstd'),
  ledgerPrefix: text((value) => (/\p{Cc}/u.test(value) ? `${shown(value)} is more than one line` : undefined)),
  partBytes: integer(MIN_PART, MAX_PART),
  name: someText('a name, or leave it out'),
}

const required = { bucket: 'the name of a bucket' }
const batchCheck = options(batchChecks, required)
const check = options({ ...batchChecks, spool: spoolCheck }, { ...required, spool: '{ folder } with the path of a folder' })

/** Entries are in S3 once each: behind a queue on disk, with keys that no other object has. See docs/logs.md. */
export function s3Sink(options: S3SinkOptions): LogSink & { readonly dropped: number } {
  return checkedSink('s3Sink', check, options, ({ spool, ...options }) => spooled(s3BatchesOf(options), spool))
}

/** The part that uploads, without its queue. @throws Error that lists every mistake of the options. */
export function s3Batches(options: Omit<S3SinkOptions, 'spool'>): BatchSink {
  refuseMistakes('s3Batches', batchCheck, options)
  return s3BatchesOf(options)
}

function s3BatchesOf({
  format = jsonLine,
  key: template = DEFAULT_KEY,
  compress = 'none',
  ledgerPrefix = '_ledger/',
  partBytes = 64 * 1024 * 1024,
  name,
  ...options
}: Omit<S3SinkOptions, 'spool'>): BatchSink {
  const { extension, encoding } = COMPRESSIONS[compress]
  const keys = keysOf(template, extension)
  const client = new S3Client(options)

  async function put(key: string, batch: LogBatch, signal: AbortSignal): Promise<void> {
    const body = await compressed(batch.text, compress)
    const headers = {
      // On a second attempt, 412 says that the first one arrived though its reply did not.
      'If-None-Match': '*',
      'Content-Type': 'text/plain; charset=utf-8',
      ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
      'x-amz-meta-first': String(batch.first),
      'x-amz-meta-last': String(batch.last),
      'x-amz-meta-entries': String(batch.entries),
      'x-amz-meta-machine': nameOf(batch.machine),
      'x-amz-meta-region': nameOf(batch.region),
      'x-amz-meta-boot': batch.boot,
      'x-amz-meta-sha256': batch.sha256,
    }
    if (body.byteLength > partBytes) await client.putParts(key, body, partBytes, { headers, signal })
    else await client.put(key, body, { headers, signal, sha256: body === batch.text ? batch.sha256 : undefined })
  }

  return {
    name: name ?? `s3:${options.bucket}`,
    format,
    copies: true,
    async deliver(batch, signal) {
      const key = keys.of(batch)
      try {
        await put(key, batch, signal)
      } catch (error) {
        if (!(error instanceof S3Error)) throw error
        if (error.status === 412) {
          const { headers } = await client.head(key, signal)
          if (headers['x-amz-meta-sha256'] === batch.sha256) return key
          throw new DeliveryError(`${key} is there already, with another content`, { retry: false, cause: error })
        }
        throw new DeliveryError(error.message, {
          retry: !FINAL_CODES.has(error.code),
          retryAfterMs: error.retryAfterMs,
          cause: error,
        })
      }
      return key
    },
    async publish(day, signal) {
      const key = `${ledgerPrefix}${day.date}/${nameOf(day.region)}-${nameOf(day.machine)}-${day.boot}.json`
      await client.put(key, Buffer.from(`${JSON.stringify(day)}\n`), { headers: { 'Content-Type': 'application/json' }, signal })
    },
    close: () => client.close(),
    verify: (date, { read = false } = {}) => verify(client, keys, ledgerPrefix, date, read),
    async *read(date) {
      for await (const { key } of client.list(keys.prefixOf(date)))
        if (keys.parse(key) !== undefined) yield (await textOf(client, key)).toString()
    },
  }
}
