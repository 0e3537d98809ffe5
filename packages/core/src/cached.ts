// The shortest way in: an app that is its own origin.
import { toFetchHandler } from './adapters/fetch.ts'
import { createCdn } from './cdn.ts'
import type { CacheConfig, Size } from './config.ts'
import type { LogSink } from './log/sink.ts'
import type { App } from './origins/app.ts'
import type { Store } from './stores/store.ts'

export interface CachedOptions extends CacheConfig {
  /** Bound of the memory store. Default: "256mb". Not together with `store`. */
  memory?: Size
  store?: Store
  /** Default: none. */
  log?: readonly LogSink[]
}

/**
 * Wraps an app. The app is the origin; what it says in Cache-Control is obeyed. It has 30 seconds for each response.
 *
 * @throws CdnError CDN_CONFIG_INVALID when an option is wrong.
 */
export function cached(
  app: App,
  { memory, store, log = [], ...cache }: CachedOptions = {},
): (request: Request) => Promise<Response> {
  return toFetchHandler(
    createCdn({
      origins: { app },
      routes: [{ match: '/*', origin: 'app', cache }],
      log,
      ...(memory === undefined ? {} : { memory }),
      ...(store === undefined ? {} : { store }),
    }),
  )
}
