// The demo's origin: a podcast's site on node:http, with something to see for each thing that a cache does.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { png, svg } from './site/artwork.ts'
import { wav } from './site/audio.ts'
import { type Answer, type Content, contentOf, entityTag, send } from './site/content.ts'
import { EPISODES, type Episode } from './site/episodes.ts'
import { feed } from './site/feed.ts'
import * as pages from './site/pages.ts'

export interface DemoOriginOptions {
  /** Default: any free port. */
  port?: number
  /** How long /slow takes, in milliseconds. Default: 2000. */
  slowMs?: number
  /** Called when a response is out, or was cut off. */
  onAnswer?: (answered: Answered) => void
}

export interface Answered {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly status: number
  /** The connection was dropped before the response was complete: by the client, or by us after `POST /demo/break?how=drop`. */
  readonly dropped: boolean
  readonly ms: number
}

export interface DemoOrigin {
  readonly url: string
  /** Ends every connection. */
  close(): Promise<void>
}

/** Listens on 127.0.0.1 only. Rejects with EADDRINUSE when the port is taken. */
export async function startDemoOrigin({ port = 0, slowMs = 2000, onAnswer }: DemoOriginOptions = {}): Promise<DemoOrigin> {
  const handle = createSite(slowMs)
  const server = createServer((request, response) => {
    const began = performance.now()
    response.once('close', () => {
      const { method = '', url: target = '' } = request
      onAnswer?.({
        method,
        target,
        status: response.statusCode,
        dropped: !response.writableFinished,
        ms: performance.now() - began,
      })
    })
    // A client that leaves in the middle of a body is the only thing that can go wrong here.
    handle(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const YEAR = 'public, max-age=31536000, immutable'
/** Browsers ask every time, the CDN keeps it for a minute and has a day to get over an origin that fails (RFC 9213). */
const PAGE = { 'cache-control': 'no-cache', 'cdn-cache-control': 'max-age=60, stale-while-revalidate=600, stale-if-error=86400' }
const PERSONAL = { 'cache-control': 'private, no-store' }

type Resource = (visit: pages.Visit, request: IncomingMessage) => Answer | Promise<Answer>
type Fields = Answer['fields']

function createSite(slowMs: number): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const style = asset('style.css', 'text/css; charset=utf-8')
  const script = asset('ask.js', 'text/javascript; charset=utf-8')
  const assets: pages.Assets = { style: style.path, script: script.path }
  const audio = new Map(EPISODES.map((episode) => [episode, wav(episode)]))
  const audioBytes = (episode: Episode): number => audio.get(episode)?.length ?? 0

  const page = (content: pages.Page, visit: pages.Visit, fields: Fields, status = 200): Answer =>
    document(status, { 'content-type': 'text/html; charset=utf-8', ...fields }, pages.layout(content, visit, fields, assets))

  const resources = new Map<string, Resource>([
    ['/', (visit) => page(pages.home(visit), visit, visit.name === undefined ? PAGE : PERSONAL)],
    ['/try', (visit) => page(pages.tryPage(visit), visit, PAGE)],
    [style.path, () => style.answer],
    [script.path, () => script.answer],
    [
      '/images/cover.png',
      once(() =>
        document(200, { 'content-type': 'image/png', 'cache-control': 'public, max-age=86400' }, png(1400, [8, 12, 16, 12, 8])),
      ),
    ],
    [
      '/feed.xml',
      ({ base }) => {
        const fields = { 'content-type': 'application/rss+xml; charset=utf-8', 'last-modified': newest().toUTCString() }
        const cacheControl = 'public, max-age=60, stale-while-revalidate=3600, stale-if-error=604800'
        return document(200, { ...fields, 'cache-control': cacheControl }, feed(base, audioBytes))
      },
    ],
    [
      '/api/now',
      ({ at, batch }) => {
        const fields = { 'content-type': 'application/json', 'cache-control': 'public, max-age=5, stale-while-revalidate=30' }
        return document(
          200,
          fields,
          `${JSON.stringify({ bakedAt: at.toISOString(), batch, listening: 12 + ((batch * 7) % 31) })}\n`,
        )
      },
    ],
    [
      '/slow',
      async (visit) => {
        await sleep(slowMs)
        const text = `This page took ${slowMs / 1000} seconds to bake. Whoever asks in the next ten has it at once.`
        return page(pages.plain('Slow dough', text), visit, { 'cache-control': 'public, max-age=10' })
      },
    ],
    [
      '/flaky',
      (visit) => {
        const text =
          'The oven works. Break it on the page “Try the cache”, then come back: within the hour this page will still be here.'
        return page(pages.plain('An oven with moods', text), visit, { 'cache-control': 'public, max-age=2, stale-if-error=3600' })
      },
    ],
    [
      '/hello',
      (visit, request) => {
        const language = preferred(request.headers['accept-language'])
        const fields = { 'cache-control': 'public, max-age=60', vary: 'Accept-Language', 'content-language': language }
        const [title, text] = GREETINGS[language]
        return page(pages.plain(title, text), visit, fields)
      },
    ],
    [
      '/private',
      (visit) => {
        const text = 'A page for one browser: it may be kept there for a minute, and nowhere on the way.'
        return page(pages.plain('Reserved', text), visit, { 'cache-control': 'private, max-age=60' })
      },
    ],
    [
      '/no-store',
      (visit) => {
        const thrown = 1 + Math.floor(Math.random() * 6)
        return page(pages.plain(`Thrown: ${thrown}`, 'Another page each time; nobody may keep it.'), visit, {
          'cache-control': 'no-store',
        })
      },
    ],
    ['/login', (visit) => page(pages.loginPage(), visit, PAGE)],
    [
      '/account',
      (visit) => (visit.name === undefined ? seeOther('/login') : page(pages.accountPage(visit.name), visit, PERSONAL)),
    ],
  ])
  for (const episode of EPISODES) {
    const published = { 'last-modified': episode.published.toUTCString() }
    resources.set(`/episodes/${episode.slug}`, (visit) => page(pages.episodePage(episode, audioBytes(episode)), visit, PAGE))
    resources.set(
      `/images/${episode.slug}.svg`,
      once(() =>
        document(200, { 'content-type': 'image/svg+xml', 'cache-control': 'public, max-age=86400', ...published }, svg(episode)),
      ),
    )
    // Like a bucket, which says nothing about caching: the route of the CDN does.
    const fields = { 'content-type': 'audio/wav', etag: `"${episode.slug}-1"`, ...published }
    resources.set(`/audio/${episode.slug}.wav`, () => ({ status: 200, fields, content: audio.get(episode) as Content }))
  }
  const notFound: Resource = (visit) => {
    const text = 'Nothing of that name was ever baked here.'
    return page(pages.plain('Not found', text), visit, { 'cache-control': 'public, max-age=10' }, 404)
  }

  let failure: 'error' | 'drop' | undefined
  const actions = new Map<string, (url: URL, request: IncomingMessage) => Answer | Promise<Answer>>([
    ['/login', async (_, request) => session((await form(request)).get('name')?.slice(0, 40) || 'Ada')],
    ['/logout', () => session(undefined)],
    [
      '/demo/break',
      (url) => {
        failure = url.searchParams.get('how') === 'drop' ? 'drop' : 'error'
        return note(failure === 'drop' ? 'The origin drops every connection now.' : 'The origin answers everything with 503 now.')
      },
    ],
    [
      '/demo/mend',
      () => {
        failure = undefined
        return note('The origin works again.')
      },
    ],
  ])

  const batches = new Map<string, number>()
  return async (request, response) => {
    const { method, headers } = request
    const base = `http://${headers.host ?? '127.0.0.1'}`
    const url = URL.parse(request.url ?? '/', base)
    if (url === null) return send(request, response, note('What address is that?', 400))

    const action = actions.get(url.pathname)
    if (method === 'POST' && action !== undefined) return send(request, response, await action(url, request))
    if (failure === 'drop') return void request.socket.destroy()
    if (failure === 'error') return send(request, response, note('The oven is cold.', 503))

    const resource = resources.get(url.pathname)
    const allowed = [...(resource === undefined ? [] : ['GET', 'HEAD']), ...(action === undefined ? [] : ['POST'])]
    if (allowed.length > 0 && !allowed.includes(method ?? ''))
      return send(request, response, note('Not like this.', 405, { allow: allowed.join(', ') }))

    // Bounded by what exists: what does not is not counted.
    const batch = (batches.get(url.pathname) ?? 0) + 1
    if (resource !== undefined) batches.set(url.pathname, batch)
    const visit = { base, path: url.pathname, name: sessionName(headers.cookie), at: new Date(), batch }
    return send(request, response, await (resource ?? notFound)(visit, request))
  }
}

/** An answer whose bytes are at hand: with a strong entity tag, if it is a 200. */
function document(status: number, fields: Fields, data: string | Buffer): Answer {
  return { status, fields: status === 200 ? { etag: entityTag(data), ...fields } : fields, content: contentOf(data) }
}

/** A sentence for people at a terminal. */
function note(text: string, status = 200, fields: Fields = {}): Answer {
  return document(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', ...fields }, `${text}\n`)
}

function seeOther(location: string, fields: Fields = {}): Answer {
  return document(303, { location, 'cache-control': 'private, no-store', ...fields }, '')
}

/** The name is all there is to a session: a demo has nothing to protect. */
function session(name: string | undefined): Answer {
  const value = name === undefined ? '; Max-Age=0' : `${encodeURIComponent(name)}; Max-Age=3600`
  return seeOther(name === undefined ? '/' : '/account', { 'set-cookie': `session=${value}; Path=/; HttpOnly; SameSite=Lax` })
}

function sessionName(cookie: string | undefined): string | undefined {
  const value = /(?:^|;\s*)session=([^;]+)/.exec(cookie ?? '')?.[1]
  if (value === undefined) return undefined
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** The fields of a submitted form, of which it reads 4 KiB at most. */
async function form(request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > 4096) break
  }
  return new URLSearchParams(text)
}

/** A file of the site whose name changes with its bytes, so that it may be kept for ever. */
function asset(name: string, type: string): { path: string; answer: Answer } {
  const data = readFileSync(new URL(`site/${name}`, import.meta.url))
  const answer = document(200, { 'content-type': type, 'cache-control': YEAR }, data)
  const [stem, extension] = name.split('.')
  return { path: `/assets/${stem}.${answer.fields.etag?.slice(1, 9)}.${extension}`, answer }
}

function once(make: () => Answer): Resource {
  let answer: Answer | undefined
  return () => {
    answer ??= make()
    return answer
  }
}

function newest(): Date {
  return new Date(Math.max(...EPISODES.map(({ published }) => published.getTime())))
}

const GREETINGS = {
  en: ['Good morning', 'What will it be today?'],
  de: ['Guten Morgen', 'Was darf es heute sein?'],
  fr: ['Bonjour', 'Qu’est-ce que ce sera aujourd’hui ?'],
  ja: ['おはようございます', '今日は何にしましょうか。'],
} as const

type Language = keyof typeof GREETINGS

/** The language with the highest weight among those there are; English when there is none (RFC 9110 §12.5.4). */
function preferred(field: string | undefined): Language {
  let best: { language: Language; weight: number } = { language: 'en', weight: 0 }
  for (const member of (field ?? '').split(',')) {
    const [range = '', ...parameters] = member.split(';').map((part) => part.trim())
    const language = range.toLowerCase().split('-')[0] ?? ''
    const weight = Number(parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2) ?? 1)
    if (Object.hasOwn(GREETINGS, language) && weight > best.weight) best = { language: language as Language, weight }
  }
  return best.language
}

if (import.meta.main) {
  const { url } = await startDemoOrigin({
    port: 8081,
    onAnswer: ({ method, target, status }) => console.log(method, target, status),
  })
  console.log(`The demo's origin, without a cache: ${url}/`)
}
