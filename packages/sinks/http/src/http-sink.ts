// httpSink(): batches of lines to whoever takes them over HTTP, from a queue on disk.
import { below, callable, httpUrl, type Mistake, oneOf, options } from '@simple-cdn/core/config'
import {
  type BatchSink,
  checkedSink,
  compressed,
  DeliveryError,
  type LogBatch,
  type LogFormat,
  type LogSink,
  lineFormat,
  milliseconds,
  type SpoolOptions,
  someText,
  spoolCheck,
  spooled,
} from '@simple-cdn/core/log'
import { Agent, request } from 'undici'
import { fieldValue, headers, secrets } from './checks.ts'

/** What a service wants: where to, which lines, and how lines become a body. */
export interface HttpTarget {
  readonly name: string
  /** What is wrong with the options that it was made of. A sink with such a target refuses entries. */
  readonly mistakes?: readonly Mistake[]
  /** One for all batches, or one for each. */
  readonly url: string | ((batch: LogBatch) => string)
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string
  /** Lines of which a body is made. */
  readonly format: LogFormat
  /** Default: the lines as they are. */
  readonly body?: (batch: LogBatch) => Uint8Array
  /** What is wrong with a response that is a success by its status; `undefined` when nothing is. */
  readonly complaint?: (response: string) => string | undefined
}

export interface HttpSinkOptions {
  /** One of `honeycomb()`, `axiom()`, `loki()`, `betterStack()`, `clickHouse()`, or your own. */
  target: HttpTarget
  /** The queue before it. A batch is a request, so files are small and often: 1 MiB and 5 s by default. */
  spool: SpoolOptions
  /** Default: "gzip". */
  compress?: 'none' | 'gzip'
  /** Longest silence of the server, in milliseconds. Default: 30,000. */
  timeoutMs?: number
  /** Default: the target's. */
  name?: string
}

/** Nothing about the same batch would be better the next time. Wrong credentials and wrong names are for an operator to mend. */
const FINAL: ReadonlySet<number> = new Set([400, 413, 415, 422])
const MAX_ANSWER = 4 * 1024 * 1024

const url = httpUrl('https://logs.example.com/ingest')

const targetOptions = options(
  {
    name: someText('what the service is called'),
    url: (value, path) => (typeof value === 'function' ? [] : url(value, path)),
    headers,
    contentType: fieldValue,
    format: lineFormat,
    body: callable('a function that makes a body of a batch'),
    complaint: callable('a function that says what is wrong with a response'),
  },
  {
    name: 'what the service is called',
    url: 'where batches are sent to',
    headers: '{} when it wants none',
    contentType: 'one such as "application/x-ndjson"',
    format: 'a format, such as jsonLine',
  },
)

const target = secrets((value, path) => {
  const { mistakes } = value as HttpTarget
  return Array.isArray(mistakes) ? below(path, mistakes) : targetOptions(value, path)
}, 'a target, such as axiom({ token, dataset })')

const check = options(
  {
    target,
    spool: spoolCheck,
    compress: oneOf('none', 'gzip'),
    timeoutMs: milliseconds(1),
    name: someText('a name, or leave it out'),
  },
  { target: 'a target, such as axiom({ token, dataset })', spool: '{ folder } with the path of a folder' },
)

/**
 * At least once: when a reply is lost, the batch is sent again, and only `clickHouse()` and `loki()` know it for the same. What a
 * service refuses for good is set aside in the queue's folder.
 */
export function httpSink(options: HttpSinkOptions): LogSink & { readonly dropped: number } {
  return checkedSink('httpSink', check, options, httpSinkOf)
}

function httpSinkOf({
  target,
  spool,
  compress = 'gzip',
  timeoutMs = 30_000,
  name = target.name,
}: HttpSinkOptions): LogSink & { readonly dropped: number } {
  let agent: Agent | undefined
  const batches: BatchSink = {
    name,
    format: target.format,
    // Uncompressed, a server that answers before it has read all would get to see what comes next.
    copies: compress !== 'none',
    async deliver(batch, signal) {
      agent ??= new Agent({ connections: 2, connect: { timeout: timeoutMs }, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
      const body = await compressed(target.body?.(batch) ?? batch.text, compress)
      const url = typeof target.url === 'string' ? target.url : target.url(batch)
      const response = await request(url, {
        method: 'POST',
        headers: {
          ...target.headers,
          'Content-Type': target.contentType,
          ...(compress === 'gzip' ? { 'Content-Encoding': 'gzip' } : {}),
        },
        body: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
        dispatcher: agent,
        signal,
      })
      let text = ''
      for await (const chunk of response.body) if (text.length < MAX_ANSWER) text += String(chunk)
      const { statusCode } = response
      const said = statusCode < 300 ? target.complaint?.(text) : `${statusCode} ${text.slice(0, 200)}`
      if (said === undefined) return url
      const retryAfter = Number(response.headers['retry-after'])
      throw new DeliveryError(said, {
        retry: !FINAL.has(statusCode) && statusCode >= 300,
        retryAfterMs: retryAfter > 0 ? retryAfter * 1000 : undefined,
      })
    },
    async close() {
      await agent?.close()
    },
  }
  const { rotateBytes = 1024 * 1024, rotateMs = 5_000 } = spool
  return spooled(batches, { ...spool, rotateBytes, rotateMs })
}
