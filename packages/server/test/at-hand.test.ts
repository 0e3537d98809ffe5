// The public listener with what is at hand answered on the connection, beside one where node:http answers everything.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as soon } from 'node:timers/promises'
import { type Cdn, createCdn } from '@simple-cdn/core'
import { toNodeHandler } from '@simple-cdn/core/node'
import fc from 'fast-check'
import { coming, pieces } from '../../core/test/support/pieces.ts'
import { listen } from '../src/listen.ts'
import { rawClient } from './support/raw-client.ts'

const AT = Date.UTC(2014, 5, 6)
const request = (target: string, fields = '', method = 'GET'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: site.test\r\n${fields}\r\n`
const LAST = request('/text', 'Connection: close\r\n')

function cache(): Cdn {
  return createCdn(
    {
      origins: {
        app: {
          name: 'app',
          async fetch({ target, body }) {
            let posted = ''
            for await (const chunk of body ?? []) posted += Buffer.from(chunk).toString('latin1')
            if (target === '/slow') for (let turn = 0; turn < 20; turn++) await soon()
            const text = `${target} ${posted}`
            return {
              status: 200,
              fields: ['Cache-Control', target === '/page' ? 'max-age=60' : 'no-store', 'Content-Length', `${text.length}`],
              body: (async function* () {
                yield Buffer.from(text)
              })(),
            }
          },
        },
      },
      routes: [
        { match: '/text', respond: { status: 200, body: 'hello' } },
        { match: '/*', origin: 'app' },
      ],
      log: [],
    },
    { clock: { now: () => AT, after: () => () => undefined } },
  )
}

async function listener(t: TestContext, cdn: Cdn, now: Cdn['handleNow']): Promise<string> {
  const listening = await listen(
    { now, request: toNodeHandler(cdn), upgrade: (_, socket) => void socket.destroy(), stream: () => undefined },
    {
      ...{ host: '127.0.0.1', port: 0, certificate: undefined, isProxy: undefined, onError: () => undefined },
      ...{ maxConnections: 100, maxHeadBytes: 16_384, headTimeoutMs: 10_000, idleTimeoutMs: 10_000, bodyTimeoutMs: 10_000 },
    },
  )
  t.after(() => listening.stop(0))
  return listening.url
}

async function answers(t: TestContext, url: string, texts: readonly string[]): Promise<string> {
  const client = await rawClient(t, url)
  for (const text of texts) {
    client.send(text)
    for (let turn = 0; turn < 3; turn++) await soon()
  }
  return (await client.end()).replaceAll(/^Date: (?!Fri, 06 Jun 2014).*\r\n/gm, 'Date: now\r\n')
}

describe('whatever is asked, in whatever pieces', () => {
  it('the answers are those of node:http, what is wrong included', async (t) => {
    const cdn = cache()
    t.after(() => cdn.close({ graceMs: 0 }))
    const url = await listener(t, cdn, (asked) => cdn.handleNow(asked))
    const plainUrl = await listener(t, cdn, () => undefined)
    await answers(t, plainUrl, [request('/page'), LAST])
    const requests = fc.constantFrom(
      request('/page'),
      request('/page', 'Accept: text/html\r\nUser-Agent: somebody\r\n'),
      request('/page', '', 'HEAD'),
      request('/page', 'Range: bytes=1-2\r\n'),
      request('/never'),
      request('/slow'),
      request('/text'),
      request('/text', 'X-Two:  spaces \r\n'),
      `\r\n${request('/text')}`,
      `${request('/never', 'Content-Length: 3\r\n', 'POST')}abc`,
      `${request('/never', 'Transfer-Encoding: chunked\r\n', 'POST')}3\r\nabc\r\n0\r\n\r\n`,
      // What ends the connection.
      request('/text').replace('HTTP/1.1', 'HTTP/1.0'),
      request('/page', 'Connection: close\r\n'),
      'GET /text HTTP/1.1\r\n\r\n',
      request('/page', 'Host: another.test\r\n'),
      request('/page', 'A : b\r\n'),
      request('/page', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'),
      request('/page#fragment'),
      'nonsense\r\n\r\n',
    )
    await fc.assert(
      fc.asyncProperty(coming(requests), async (all) => {
        const texts = [...pieces(all), LAST]
        assert.equal(await answers(t, url, texts), await answers(t, plainUrl, texts))
      }),
      { seed: Number(process.env.SEED ?? 20140606), numRuns: 200 },
    )
  })
})
