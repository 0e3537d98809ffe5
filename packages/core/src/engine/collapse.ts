// Many requests for one key, one of them asks the origin; the others wait for what it finds out (RFC 9211 §2.6).
import { CdnError } from '../errors.ts'
import type { StoredHead } from '../http/stored-response.ts'
import type { OriginResponse } from '../origins/origin.ts'
import type { Assembly } from './assembly.ts'

/** What came of asking the origin. */
export type Landing =
  /** A response that is being stored, and can be read along. `release` lets it end when nobody reads. */
  | { readonly kind: 'fill'; readonly assembly: Assembly; readonly release: () => void }
  /** The origin confirmed what is stored (304). */
  | { readonly kind: 'freshened'; readonly meta: StoredHead; readonly updated: readonly string[] }
  /** A response for the one who asked, and for nobody else. */
  | { readonly kind: 'unshared'; readonly response: OriginResponse }
  /** No response, or one that a stale one is better than. */
  | { readonly kind: 'failed'; readonly error: CdnError }

/** One request to the origin on behalf of everybody who wants the same. It is given up when all of them have left. */
export class Flight {
  readonly #landed = Promise.withResolvers<Landing>()
  readonly #controller = new AbortController()
  #interested: number
  #over = false

  /** `unattended`: goes on though no client waits for it. */
  constructor({ unattended = false } = {}) {
    this.#interested = unattended ? 1 : 0
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Counts somebody in, until `leave` is called or the client has gone. */
  join(client: AbortSignal): { leave(): void } {
    this.#interested++
    let inside = true
    const leave = (): void => {
      client.removeEventListener('abort', leave)
      if (!inside) return
      inside = false
      if (--this.#interested === 0 && !this.#over) this.#controller.abort()
    }
    if (client.aborted) leave()
    else client.addEventListener('abort', leave, { once: true })
    return { leave }
  }

  land(landing: Landing): void {
    this.#over = true
    this.#landed.resolve(landing)
  }

  /** Resolves with the landing, or rejects with CDN_CLIENT_GONE. The origin's timeouts bound the wait. */
  landing(client: AbortSignal): Promise<Landing> {
    const { promise, resolve, reject } = Promise.withResolvers<Landing>()
    const gone = (): void => reject(new CdnError('CDN_CLIENT_GONE'))
    if (client.aborted) gone()
    client.addEventListener('abort', gone, { once: true })
    void this.#landed.promise.then(resolve).finally(() => client.removeEventListener('abort', gone))
    return promise
  }

  abort(): void {
    this.#controller.abort()
  }
}
