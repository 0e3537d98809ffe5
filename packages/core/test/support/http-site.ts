// An HTTP origin before one on a bare socket, and what a test asks it.
import type { TestContext } from 'node:test'
import { type CdnError, type HttpOriginOptions, httpOrigin, type Origin, type OriginRequest } from '@simple-cdn/core'
import { type RawOrigin, type RawRequest, rawOrigin } from './raw-origin.ts'

export type Answer = string | ((request: RawRequest) => unknown)

export async function site(
  t: TestContext,
  answer: Answer,
  options: Partial<HttpOriginOptions> = {},
): Promise<{ raw: RawOrigin; origin: Origin }> {
  const raw = await rawOrigin(answer)
  const origin = httpOrigin({ name: 'app', url: raw.url, headTimeoutMs: 5_000, bodyTimeoutMs: 5_000, ...options })
  t.after(async () => {
    await origin.close?.()
    await raw.close()
  })
  return { raw, origin }
}

export interface Got {
  readonly status: number
  readonly fields: readonly string[]
  readonly text: string
  /** What ended the body before its end. */
  readonly broke: string | undefined
}

export const plain: OriginRequest = { method: 'GET', scheme: 'http', authority: 'site.test', target: '/', fields: [] }

export async function get(
  origin: Origin,
  request: Partial<OriginRequest> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Got> {
  const { status, fields, body } = await origin.fetch({ ...plain, ...request }, signal)
  let text = ''
  try {
    for await (const chunk of body) text += Buffer.from(chunk).toString('latin1')
  } catch (error) {
    return { status, fields, text, broke: (error as CdnError).code }
  }
  return { status, fields, text, broke: undefined }
}

export function failure(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    (got) => `no failure, but ${JSON.stringify(got)}`,
    (error: CdnError) => error.code,
  )
}

export async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text, 'latin1')
}

export const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'
