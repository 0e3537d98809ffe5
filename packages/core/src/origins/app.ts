// An origin in this process: a Fetch-style app, such as Hono's `app.fetch`.
import { CdnError } from '../errors.ts'
import type { Origin } from './origin.ts'

/** What Hono, h3, Bun, Deno and service workers call a handler. */
export type App = (request: Request) => Response | Promise<Response>

/** What the app throws becomes CDN_ORIGIN_UNREACHABLE, so that a stale response may stand in for it. */
export function appOrigin(name: string, app: App): Origin {
  return {
    name,
    async fetch({ method, scheme, authority, target, fields, body }, signal) {
      const headers = new Headers()
      for (let at = 0; at < fields.length; at += 2) headers.append(fields[at] as string, fields[at + 1] as string)
      const init: RequestInit & { duplex?: 'half' } = { method, headers, signal, redirect: 'manual' }
      if (body !== undefined) {
        init.body = ReadableStream.from(body)
        init.duplex = 'half'
      }
      try {
        const response = await app(new Request(`${scheme}://${authority}${target}`, init))
        return { status: response.status, fields: [...response.headers].flat(), body: response.body ?? nothing() }
      } catch (error) {
        throw new CdnError('CDN_ORIGIN_UNREACHABLE', `${name}: ${error instanceof Error ? error.message : String(error)}`, error)
      }
    },
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
