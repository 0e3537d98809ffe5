// An app in this process as the origin.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type App, appOrigin, type CdnError, type OriginRequest, type OriginResponse } from '@simple-cdn/core'
import { settled } from '@simple-cdn/testing'

const plain: OriginRequest = { method: 'GET', scheme: 'https', authority: 'site.test', target: '/a?b', fields: [] }

function ask(app: App, request: Partial<OriginRequest> = {}, signal = new AbortController().signal): Promise<OriginResponse> {
  return appOrigin('app', app).fetch({ ...plain, ...request }, signal)
}

async function textOf({ body }: OriginResponse): Promise<string> {
  let text = ''
  for await (const chunk of body) text += Buffer.from(chunk)
  return text
}

function failure(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => 'none',
    (error: CdnError) => error.code,
  )
}

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

function silentBody(): { stream: ReadableStream; cancelled: () => boolean } {
  let cancelled = false
  const cancel = (): void => {
    cancelled = true
  }
  return { stream: new ReadableStream({ cancel }), cancelled: () => cancelled }
}

const silence: App = () => new Promise(() => undefined)

describe('an app', () => {
  it('is given the request as the client made it', async () => {
    let seen: Request | undefined
    const app: App = async (request) => {
      seen = request
      return new Response(await request.text())
    }
    const fields = ['X-A', '1', 'x-a', '2', 'Cookie', 'a=1; b=2']
    assert.equal(await textOf(await ask(app, { method: 'PUT', fields, body: pieces('hel', 'lo') })), 'hello')
    assert.deepEqual([seen?.method, seen?.url, seen?.redirect], ['PUT', 'https://site.test/a?b', 'manual'])
    assert.deepEqual([seen?.headers.get('x-a'), seen?.headers.get('cookie')], ['1, 2', 'a=1; b=2'])
  })

  it('is asked with GET and HEAD though a Request cannot have a body with them', async () => {
    for (const method of ['GET', 'HEAD']) {
      const body = pieces('ignored')
      assert.equal(await textOf(await ask(({ method }) => new Response(method), { method, body })), method)
    }
  })

  it('answers with any status and any fields, several cookies among them', async () => {
    const headers = new Headers([
      ['Set-Cookie', 'a=1'],
      ['X-A', '1'],
      ['Set-Cookie', 'b=2'],
    ])
    const { status, fields } = await ask(() => new Response(null, { status: 418, headers }))
    assert.deepEqual([status, fields], [418, ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'x-a', '1']])
    assert.equal((await ask(() => Response.redirect('https://other.test/', 301))).status, 301)
    assert.equal(await textOf(await ask(() => new Response(null))), '')
  })

  it('is unreachable when it throws, rejects, or answers with something else than a Response', async () => {
    const apps: readonly App[] = [
      () => {
        throw new Error('broken')
      },
      () => Promise.reject(new Error('broken')),
      () => undefined as unknown as Response,
      () => {
        throw undefined
      },
    ]
    for (const app of apps) assert.equal(await failure(ask(app)), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(await failure(ask(() => new Response(), { method: 'TRACE' })), 'CDN_ORIGIN_UNREACHABLE')
  })

  it('took too long when it does not answer in time, and is told', async () => {
    let request: Request | undefined
    const app: App = (given) => {
      request = given
      return silence(given)
    }
    const asked = failure(appOrigin('app', app, { headTimeoutMs: 50 }).fetch(plain, new AbortController().signal))
    assert.equal(await asked, 'CDN_ORIGIN_TIMEOUT')
    assert.equal(request?.signal.aborted, true)
  })

  it('is not waited for when the client has gone, and is told; what it answers then is let go', async () => {
    const client = new AbortController()
    const { promise, resolve } = Promise.withResolvers<Response>()
    let request: Request | undefined
    const { stream, cancelled } = silentBody()
    const asked = failure(
      ask(
        (given) => {
          request = given
          return promise
        },
        {},
        client.signal,
      ),
    )
    await settled()
    client.abort()
    assert.equal(await asked, 'CDN_CLIENT_GONE')
    assert.equal(request?.signal.aborted, true)
    resolve(new Response(stream))
    await settled()
    assert.equal(cancelled(), true)
    assert.equal(await failure(ask(silence, {}, AbortSignal.abort())), 'CDN_CLIENT_GONE')
  })

  it('is told when nobody reads its body any more, however long it has been silent', async () => {
    const { stream, cancelled } = silentBody()
    let request: Request | undefined
    const { body } = await ask((given) => {
      request = given
      return new Response(stream)
    })
    const reader = body[Symbol.asyncIterator]()
    const waiting = reader.next()
    await reader.return?.()
    assert.equal((await waiting).done, true)
    assert.equal(cancelled(), true)
    assert.equal(request?.signal.aborted, true)
  })

  it('is not told that somebody left when its body had been read', async () => {
    let request: Request | undefined
    const { body } = await ask((given) => {
      request = given
      return new Response('hello')
    })
    const reader = body[Symbol.asyncIterator]()
    while (!(await reader.next()).done);
    await reader.return?.()
    assert.equal(request?.signal.aborted, false)
  })

  it('breaks off when its body is something else than bytes', async () => {
    const body = new ReadableStream({ start: (controller) => controller.enqueue('text') })
    await assert.rejects(ask(() => new Response(body)).then(textOf), TypeError)
  })
})
