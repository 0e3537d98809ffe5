// An origin that answers what a test tells it to, and remembers what it was asked.
import { type Body, CdnError, type Fields, type Origin, type OriginRequest } from '@simple-cdn/core'

/** One answer. Without `status`: 200. */
export interface Scripted {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Body
  /** No response at all: as if the connection had been refused, or had run into its timeout. */
  readonly fails?: 'CDN_ORIGIN_UNREACHABLE' | 'CDN_ORIGIN_TIMEOUT' | 'CDN_ORIGIN_PROTOCOL'
  /** The head comes when this resolves. */
  readonly after?: Promise<unknown>
  /** Interim responses before it. */
  readonly interim?: readonly { readonly status: number; readonly headers?: Readonly<Record<string, string>> }[]
}

export interface ScriptedOrigin extends Origin {
  /** What it was asked so far, in order. */
  readonly requests: readonly OriginRequest[]
  /** What to answer from now on: the same always, or according to the request. */
  answer(script: Scripted | ((request: OriginRequest) => Scripted)): void
}

export function scriptedOrigin(name = 'origin'): ScriptedOrigin {
  const requests: OriginRequest[] = []
  let script: Scripted | ((request: OriginRequest) => Scripted) = {}
  return {
    name,
    requests,
    answer(next) {
      script = next
    },
    async fetch(request, signal) {
      requests.push(request)
      for await (const _ of request.body ?? []) if (signal.aborted) break
      const scripted = typeof script === 'function' ? script(request) : script
      if (scripted.after !== undefined) await Promise.race([scripted.after, aborted(signal)])
      for (const { status, headers = {} } of scripted.interim ?? []) request.onInterim?.(status, flat(headers))
      if (scripted.fails !== undefined) throw new CdnError(scripted.fails, name)
      const { status = 200, body = '' } = scripted
      const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
      const headers =
        bytes instanceof Uint8Array && status !== 304
          ? { 'Content-Length': String(bytes.byteLength), ...scripted.headers }
          : scripted.headers
      return { status, fields: flat(headers ?? {}), body: bytes instanceof Uint8Array ? once(bytes) : bytes }
    },
  }
}

function flat(headers: Readonly<Record<string, string | readonly string[]>>): Fields {
  return Object.entries(headers).flatMap(([name, value]) =>
    typeof value === 'string' ? [name, value] : value.flatMap((line) => [name, line]),
  )
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const gone = (): void => reject(new CdnError('CDN_CLIENT_GONE'))
    if (signal.aborted) gone()
    else signal.addEventListener('abort', gone, { once: true })
  })
}
