// The other way round: what a program asks others for, by undici, is kept as far as they allow. `node client.ts https://…`.
import { Readable } from 'node:stream'
import { cached } from '@simple-cdn/core'
import { request } from 'undici'

/** A `fetch` with a shared cache: whoever it asks is the origin. */
export const cachedFetch = cached(
  async ({ url, method, headers, signal }) => {
    // Not undici's fetch, which decompresses what it gets and says that it has not.
    const { statusCode, headers: fields, body } = await request(url, { method, headers, signal })
    const lines = Object.entries(fields).flatMap(([name, value = '']) =>
      [value].flat().map((line) => [name, line] as [string, string]),
    )
    const hasBody = method !== 'HEAD' && ![204, 205, 304].includes(statusCode)
    return new Response(hasBody ? (Readable.toWeb(body) as ReadableStream) : null, { status: statusCode, headers: lines })
  },
  { staleIfError: '1h', memory: '64mb' },
)

const [url] = process.argv.slice(2)
if (url !== undefined)
  for (const _ of [1, 2]) {
    const response = await cachedFetch(new Request(url))
    console.log(response.status, response.headers.get('Cache-Status'), (await response.text()).length, 'characters')
  }
