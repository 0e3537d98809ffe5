// Several HTTP origins on bare sockets that answer with their names, and one origin before them all.
import type { TestContext } from 'node:test'
import { type HttpOriginOptions, httpOrigin, type Origin } from '@simple-cdn/core'
import type { Answer } from './http-site.ts'
import { type RawOrigin, rawOrigin } from './raw-origin.ts'

/** A whole response whose body is this text. */
export function saying(text: string, status = 200): string {
  return `HTTP/1.1 ${status} Some Reason\r\nContent-Length: ${text.length}\r\n\r\n${text}`
}

/** A port on which nobody listens, as a URL. */
export async function nowhere(): Promise<string> {
  const gone = await rawOrigin('')
  await gone.close()
  return gone.url
}

export async function raws(t: TestContext, ...answers: readonly Answer[]): Promise<readonly RawOrigin[]> {
  const all = await Promise.all(answers.map((answer) => rawOrigin(answer)))
  t.after(() => Promise.all(all.map((raw) => raw.close())))
  return all
}

/** With timeouts that no test waits for by mistake, and closed at the end. */
export function before(t: TestContext, options: Partial<HttpOriginOptions> & Pick<HttpOriginOptions, 'url'>): Origin {
  const origin = httpOrigin({ name: 'app', headTimeoutMs: 5_000, bodyTimeoutMs: 5_000, ...options })
  t.after(() => origin.close?.())
  return origin
}
