// What one configuration says, from when it takes over until the last request that began under it is over.
import type { Clock } from '../http/time.ts'
import { type Place, thisPlace } from '../log/place.ts'
import type { Origin } from '../origins/origin.ts'
import type { Route } from '../policy/route.ts'
import { Router } from '../policy/router.ts'
import type { Trust } from './client.ts'
import type { Exchange } from './exchange.ts'
import { Repeats } from './repeats.ts'

/** What can be replaced while requests are under way. */
export interface Settings {
  readonly name: string
  readonly routes: readonly Route<Origin>[]
  readonly origins: readonly Origin[]
  readonly maxRequestBodyBytes: number
  /** Whose word about the client counts. */
  readonly trust: Trust
  /** Larger bodies are kept in slices of so many bytes. `undefined`: as memory allows. */
  readonly sliceBytes: number | undefined
}

export interface GenerationOptions {
  readonly settings: Settings
  readonly instance: string
  readonly clock: Clock
  /** Called once for each exchange. */
  ended(exchange: Exchange): void
  /** Nobody needs the origins of this generation any more. */
  over(generation: Generation): void
}

export class Generation {
  readonly name: string
  readonly instance: string
  readonly place: Place = thisPlace
  readonly clock: Clock
  readonly settings: Settings
  readonly router: Router<Origin>
  readonly repeats = new Repeats()
  readonly #options: GenerationOptions
  /** One for each exchange, each body on its way and each revalidation; and one until it is replaced. */
  #users = 1

  constructor(options: GenerationOptions) {
    this.#options = options
    this.settings = options.settings
    this.router = new Router(options.settings.routes)
    this.name = options.settings.name
    this.instance = options.instance
    this.clock = options.clock
  }

  /** Keeps the origins open until `release` is called. */
  hold(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users === 0) this.#options.over(this)
  }

  ended(exchange: Exchange): void {
    this.#options.ended(exchange)
    this.release()
  }
}
