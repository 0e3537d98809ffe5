// The CDN of a podcast company: an app, two buckets and an archive behind one address. Its two tables are files of their own.
import { defineConfig } from 'simple-cdn'
import { feeds } from './feeds.ts'
import { news } from './news.ts'

const { APP_URL, ASSETS_URL, FEEDS_URL, NIGHTLY_URL } = process.env
const stale = { staleWhileRevalidate: '1d', staleIfError: '7d' } as const
const feed = { overrideTtl: '12h', stripCookies: true, key: { query: 'none' } } as const
const asset = { overrideTtl: '1d', stripCookies: true } as const
const id = { 'X-Request-Id': '{id}' }
const read = ['GET', 'HEAD']

export default defineConfig({
  origins: {
    app: { url: APP_URL ?? 'https://changelog-2025-05-05.fly.dev', host: 'client', headTimeout: '300s' },
    assets: ASSETS_URL ?? 'https://changelog.place',
    feeds: FEEDS_URL ?? 'https://feeds.changelog.place',
    nightly: NIGHTLY_URL ?? 'https://changelog-nightly-2023-10-10.fly.dev',
  },
  trustedProxies: 'fly',
  defaults: { cache: { overrideTtl: '1m', key: { query: 'no-tracking' }, ...stale }, requestHeaders: id, responseHeaders: id },
  routes: [
    { match: '/health', respond: { status: 204 } },
    { match: '/app_health', origin: 'app', rewrite: '/health', cache: false },
    { match: '/assets_health', origin: 'assets', rewrite: '/health', cache: false },
    { match: '/feeds_health', origin: 'feeds', rewrite: '/health', cache: false },
    { match: '/nightly_health', origin: 'nightly', rewrite: '/health', cache: false },
    { match: 'http://*/*', redirect: 'https://{host}/*' },
    { match: '//www.changelog.com/*', redirect: 'https://changelog.com/*' },
    { match: '/*', redirect: news, status: 308 },
    { match: '/practicalai', redirect: 'https://practicalai.fm' },
    { match: '/practicalai/feed', redirect: 'https://feeds.transistor.fm/practical-ai-machine-learning-data-science-llm' },
    { match: '/feeds/plusplus', respond: { status: 404 } },
    { match: '//changelog.com/*', rewrite: feeds, origin: 'feeds', methods: read, keepQuery: false, cache: feed },
    { match: '//changelog.com/feeds/*', rewrite: '/*.xml', origin: 'feeds', methods: read, keepQuery: false, cache: feed },
    { match: '//cdn.changelog.com/*', origin: 'assets', methods: [...read, 'OPTIONS'], cors: true, cache: asset },
    { match: '//nightly.changelog.com/*', origin: 'nightly', methods: read, cors: true, cache: { stripCookies: true } },
    { match: '/*', origin: 'app', cache: { bypassCookies: ['_changelog_user'] } },
  ],
})
