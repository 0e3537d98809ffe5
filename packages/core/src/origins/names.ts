// What IP addresses a host name has: looked up now and then, however long connections stay open.
import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { Clock, Millis } from '../http/time.ts'

/** All IP addresses of a host, in the order in which to try them. Rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

/** As the operating system answers: with its hosts file, and in its order. */
export const systemResolve: Resolve = (host) => {
  const { promise, resolve, reject } = Promise.withResolvers<readonly LookupAddress[]>()
  lookup(host, { all: true, order: 'verbatim' }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)))
  return promise
}

/** More addresses of one host are not tried. */
const MAX_ADDRESSES = 64

export interface NameOptions {
  /** How long an answer counts, in milliseconds. After that it still does while there is no other. */
  readonly everyMs: Millis
  readonly resolve: Resolve
  readonly clock: Clock
  /** An IP address that connections may be open to is no longer one of this host. */
  readonly moved: () => void
}

/** One host name. It asks once at a time, and remembers one answer. */
export class Name {
  readonly #host: string
  readonly #options: NameOptions
  readonly #isFixed: boolean
  #known: readonly LookupAddress[] = []
  #askedAt: Millis = Number.NEGATIVE_INFINITY
  #asking: Promise<readonly LookupAddress[]> | undefined

  constructor(host: string, options: NameOptions) {
    this.#host = host
    this.#options = options
    this.#isFixed = isIP(host) !== 0
  }

  /** For `net.connect()`, which tries what it gets in turn, IPv6 and IPv4 alternating (RFC 8305). */
  readonly lookup: LookupFunction = (_host, { all }, callback) => {
    this.#current().then(
      (addresses) => {
        const [first] = addresses as LookupAddress[]
        if (all) callback(null, [...addresses])
        else callback(null, first?.address as string, first?.family)
      },
      (error) => callback(error, []),
    )
  }

  /** Looks whether the answer is too old, and asks anew behind the caller's back. */
  refresh(): void {
    if (this.#isFixed || this.#known.length === 0 || !this.#isOld) return
    void this.#ask().catch(() => undefined)
  }

  get #isOld(): boolean {
    return this.#options.clock.now() - this.#askedAt >= this.#options.everyMs
  }

  async #current(): Promise<readonly LookupAddress[]> {
    if (this.#known.length > 0 && !this.#isOld) return this.#known
    return this.#ask()
  }

  /** A failure counts as an answer for as long as one would, when there is an older one: a broken resolver breaks nothing. */
  #ask(): Promise<readonly LookupAddress[]> {
    this.#asking ??= this.#answered().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #answered(): Promise<readonly LookupAddress[]> {
    const { resolve, clock, moved } = this.#options
    const before = this.#known
    try {
      const addresses = (await resolve(this.#host)).slice(0, MAX_ADDRESSES)
      if (addresses.length === 0) throw Object.assign(new Error(`${this.#host} has no address`), { code: 'ENOTFOUND' })
      this.#known = addresses
    } catch (error) {
      if (before.length === 0) throw error
    } finally {
      this.#askedAt = clock.now()
    }
    if (before.some(({ address }) => !this.#known.some((each) => each.address === address))) moved()
    return this.#known
  }
}
