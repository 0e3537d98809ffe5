// PURGE on the public listener, as Varnish is asked: the URL of the request is purged, for whoever brings the token.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Http2StreamListener } from '@simple-cdn/core/node'
import type { Answer, PurgeApi } from './purge-api.ts'

/** Bearer, or as Fastly's API is asked. */
export function givenToken({ authorization, 'fastly-key': key }: IncomingHttpHeaders): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? (typeof key === 'string' ? key : undefined)
}

export function isSoft(headers: IncomingHttpHeaders): boolean {
  return headers['fastly-soft-purge'] === '1'
}

export interface PurgeMethod {
  request(request: IncomingMessage, response: ServerResponse): void
  readonly stream: Http2StreamListener
}

/** `token`: `undefined` refuses everybody. It may change. */
export function purgeMethod(api: PurgeApi, token: () => string | undefined): PurgeMethod {
  async function answer(
    authority: string | undefined,
    target: string,
    headers: IncomingHttpHeaders,
    from: string | undefined,
  ): Promise<Answer> {
    const caller = { from, via: 'PURGE' } as const
    if (!api.admits(givenToken(headers), [token()], caller)) {
      if (token() !== undefined) return { status: 401, body: { error: 'PURGE asks for a token' } }
      return { status: 403, body: { error: 'there is no PURGE here: the configuration names no `purge.token`' } }
    }
    const url = URL.parse(target.startsWith('/') ? `http://${authority}${target}` : target)
    if (authority === undefined || url === null) return { status: 400, body: { error: 'the target is not the path of a URL' } }
    const { status, body, ...rest } = await api.order({ purge: [{ url: url.href }], soft: isSoft(headers) }, caller)
    const id = (body as { purged?: readonly { id: string }[] }).purged?.[0]?.id
    return { status, body: status === 200 ? { status: 'ok', id } : body, ...rest }
  }

  return {
    request(request, response) {
      request.resume()
      const { url = '', headers, socket } = request
      void answer(headers.host, url, headers, socket.remoteAddress).then((answered) => {
        const { fields, text } = written(answered)
        response.writeHead(answered.status, fields).end(text)
      })
    },
    stream(stream, headers) {
      stream.on('error', () => undefined).resume()
      const authority = headers[':authority'] ?? headers.host
      void answer(authority?.toString(), String(headers[':path']), headers, stream.session?.socket.remoteAddress).then(
        (answered) => {
          if (stream.destroyed || stream.closed) return
          const { fields, text } = written(answered)
          stream.respond({ ':status': answered.status, ...fields })
          stream.end(text)
        },
      )
    },
  }
}

/** As it is sent; also by the admin listener. */
export function written({ status, body, retryAfter }: Answer): {
  readonly fields: Readonly<Record<string, string | number>>
  readonly text: string
} {
  const isText = typeof body === 'string'
  const text = isText ? body : `${JSON.stringify(body)}\n`
  return {
    fields: {
      'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/json',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'no-store',
      ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
      ...(retryAfter !== undefined && { 'Retry-After': retryAfter }),
    },
    text,
  }
}
