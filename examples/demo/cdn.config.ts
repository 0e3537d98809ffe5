// The whole CDN of the demo's site: what goes where, and what the cache may do where the origin does not say.
import { defineConfig } from 'simple-cdn'

export default defineConfig({
  origins: {
    // Where `npm start` has started it; `node origin.ts` alone listens on 8081.
    site: { url: process.env.DEMO_ORIGIN ?? 'http://127.0.0.1:8081', host: 'client' },
  },
  routes: [
    // Answered here: the origin never hears of these.
    { match: '/health', respond: { status: 204 } },
    { match: '/rss', redirect: '/feed.xml', status: 301 },

    // Recordings lie there like files in a bucket, without a word about caching.
    { match: '/audio/*', methods: ['GET', 'HEAD'], origin: 'site', cache: { defaultTtl: '30d', staleIfError: '7d' } },

    // What switches the demo's failures on and off is never cached.
    { match: '/demo/*', origin: 'site', cache: false },

    // Everything else obeys the origin. Who has logged in is served by the origin, whatever is stored.
    { match: '/*', origin: 'site', cache: { bypassCookies: ['session'], staleIfError: '1h' } },
  ],
})
