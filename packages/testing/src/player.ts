// A play: script the origin, advance the clock, get, expect. No network, no sleeping.
import {
  type Cdn,
  type CdnConfig,
  type CdnRequest,
  createCdn,
  type Fields,
  type LogEntry,
  type Origin,
  type OriginsConfig,
} from '@simple-cdn/core'
import { type FakeClock, fakeClock, settled } from './fake-clock.ts'

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string
  /** Where it comes from. Default: 192.0.2.1. */
  readonly clientAddress?: string
  readonly signal?: AbortSignal
  readonly onInterim?: CdnRequest['onInterim']
}

export interface Got {
  readonly status: number
  readonly fields: Fields
  /** Lines of the same name combined; "" when absent. */
  header(name: string): string
  readonly bytes: Uint8Array
  /** The same as UTF-8. */
  readonly text: string
  /** `undefined`, or what ended the body before its end. */
  readonly brokenOff: unknown
}

export interface Player {
  readonly cdn: Cdn
  readonly clock: FakeClock
  /** One entry for each request that is finished. */
  readonly entries: readonly LogEntry[]
  /** Asks the CDN for a path or an absolute URL, and reads the answer to its end. */
  get(url: string, asked?: Asked): Promise<Got>
  close(): Promise<void>
}

/** Puts a CDN on a clock that stands still. `config.log` is replaced by `entries`. */
export function play<const Origins extends OriginsConfig>(config: CdnConfig<Origins>): Player {
  const clock = fakeClock()
  const entries: LogEntry[] = []
  const sink = {
    name: 'test',
    write: (entry: LogEntry) => void entries.push(entry),
    flush: async () => {},
    close: async () => {},
  }
  const cdn = createCdn({ ...config, log: [sink] }, { clock })
  return {
    cdn,
    clock,
    entries,
    async get(url, asked = {}) {
      const answer = await cdn.handle(requestFor(url, asked))
      const got = await readWhole(answer.body)
      answer.finished(got.bytes.byteLength, got.brokenOff === undefined, got.brokenOff)
      // Fills and revalidations that were only waiting for their turn get it before the next line of the play.
      await settled()
      const { status, fields } = answer
      return {
        status,
        fields,
        header: (name) => combined(fields, name),
        bytes: new Uint8Array(got.bytes),
        text: new TextDecoder().decode(got.bytes),
        brokenOff: got.brokenOff,
      }
    },
    close: () => cdn.close({ graceMs: 0 }),
  }
}

/**
 * The same with what a configuration file exports: `await playConfig(config, { app: scriptedOrigin() })`. Options of the program
 * (`server`, `memory`, `disk`, `purge`) do not matter here. A function is called with `env`.
 *
 * @throws Error when an origin of the configuration is not among `origins`: the test would reach into the network.
 */
export async function playConfig(
  config: object,
  origins: Readonly<Record<string, Origin>>,
  { env = process.env }: { readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Player> {
  const exported = typeof config === 'function' ? await config(env) : config
  const { server: _, memory: __, disk: ___, purge: ____, ...cache } = exported
  const missing = Object.keys(cache.origins ?? {}).filter((name) => !Object.hasOwn(origins, name))
  if (missing.length > 0) throw new Error(`nothing is scripted for the origins ${missing.join(', ')}`)
  return play({ ...cache, origins: Object.fromEntries(Object.keys(cache.origins ?? {}).map((name) => [name, origins[name]])) })
}

/** A request as an adapter would hand it over. */
export function requestFor(
  url: string,
  { method = 'GET', headers = {}, body, clientAddress = '192.0.2.1', signal, onInterim }: Asked = {},
): CdnRequest {
  const { protocol, host, pathname, search } = new URL(url, 'http://cdn.test')
  const bytes = body === undefined ? undefined : new TextEncoder().encode(body)
  return {
    method,
    scheme: protocol === 'https:' ? 'https' : 'http',
    authority: host,
    target: pathname + search,
    httpVersion: '1.1',
    fields: [
      'Host',
      host,
      ...Object.entries(headers).flatMap(([name, value]) =>
        typeof value === 'string' ? [name, value] : value.flatMap((line) => [name, line]),
      ),
    ],
    body: bytes && ReadableStream.from([bytes]),
    clientAddress,
    signal: signal ?? new AbortController().signal,
    onInterim,
  }
}

async function readWhole(
  body: Uint8Array | AsyncIterable<Uint8Array> | undefined,
): Promise<{ bytes: Uint8Array; brokenOff: unknown }> {
  const chunks: Uint8Array[] = []
  try {
    if (body instanceof Uint8Array) chunks.push(body)
    else for await (const chunk of body ?? []) chunks.push(new Uint8Array(chunk))
  } catch (error) {
    return { bytes: Buffer.concat(chunks), brokenOff: error }
  }
  return { bytes: Buffer.concat(chunks), brokenOff: undefined }
}

function combined(fields: Fields, name: string): string {
  return fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name.toLowerCase()).join(', ')
}
