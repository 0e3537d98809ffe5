// A Fetch handler, (request) => Response: for whatever serves `export default { fetch }`, and for tests.
import { createCdn } from '@simple-cdn/core'
import { toFetchHandler } from '@simple-cdn/core/fetch'

const cdn = createCdn({
  // An origin may be a function, too.
  origins: { time: () => new Response(`${new Date().toISOString()}\n`) },
  routes: [{ match: '/*', origin: 'time', cache: { defaultTtl: '10s', staleWhileRevalidate: '1m' } }],
  log: [],
})

export default { fetch: toFetchHandler(cdn) }
