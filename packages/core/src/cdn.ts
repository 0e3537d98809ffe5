// The roof: createCdn(config) puts the parts together.
import type { CdnConfig, OriginsConfig } from './config.ts'
import { Engine, type EngineStats, type Explanation, type PurgeOptions } from './engine/engine.ts'
import type { Settings } from './engine/generation.ts'
import type { Findings, FindOptions } from './engine/look-through.ts'
import type { CdnRequest, Handler } from './engine/messages.ts'
import type { PurgeStatus } from './engine/purge-bus.ts'
import type { PurgeWhat } from './engine/purge-what.ts'
import type { Purge } from './engine/purges.ts'
import type { PurgeJournal } from './engine/purging.ts'
import { type Clock, type Millis, systemClock } from './http/time.ts'
import { stdoutSink } from './log/stdout.ts'
import { type AnyConfig, resolveConfig, resolveSettings } from './resolve-config.ts'

export type { Explanation, PurgeOptions } from './engine/engine.ts'
export type { Findings, FindOptions } from './engine/look-through.ts'
export type { PurgeBus, PurgeBusStats, PurgeReceipt, PurgeStatus, PurgeSubscriber } from './engine/purge-bus.ts'
export type { PurgeWhat } from './engine/purge-what.ts'
export { PURGE_KINDS, type Purge, type PurgeKind } from './engine/purges.ts'
export type { PurgeJournal, PurgeStats } from './engine/purging.ts'
export type CdnStats = EngineStats

export interface Cdn extends Handler {
  /** As in Cache-Status, Via and CDN-Loop. */
  readonly name: string

  /** What `handle` would decide now, and why. Asks the store, never the origin. */
  explain(request: Pick<CdnRequest, 'method' | 'scheme' | 'authority' | 'target' | 'fields'>): Promise<Explanation>

  stats(): CdnStats

  /**
   * What was asked for until now under a URL, with a surrogate key, under a prefix, or at all, is not reused any more as soon as this has been
   * called; what is under way neither. When it resolves it is in the journal, or on the bus and so on its way to every machine. It costs
   * the same for one response or a million.
   *
   * @throws TypeError when it names nothing: a URL that is none, a route that there is not. Nothing has been purged.
   * @throws Error when journal or bus cannot take it: it holds on this machine, but would not outlive this process, or reach others.
   */
  purge(what: PurgeWhat, options?: PurgeOptions): Promise<Purge>

  /**
   * Which machines have applied a purge, and when. With `waitMs`, resolves when all have, or after that time.
   *
   * @throws Error when the bus cannot be asked.
   */
  purgeStatus(id: string, options?: { waitMs?: Millis }): Promise<PurgeStatus>

  /**
   * What a purge of all these would concern: how many, and some of them. It takes 10 s at most. `undefined`: the store cannot be looked through.
   *
   * @throws TypeError when one names nothing.
   */
  find(whats: readonly PurgeWhat[], options?: FindOptions): Promise<Findings | undefined>

  /**
   * Replaces routes, origins, `name`, `semantics`, `slice`, `trustedProxies` and `maxRequestBody` by those of another configuration. Requests that
   * are under way end as they began; their origins are closed after them. Store, disk, memory and log stay as they are, whatever it says.
   * With mistakes in it, everything stays.
   *
   * @throws CdnError CDN_CONFIG_INVALID, naming every mistake of the configuration at once.
   */
  reconfigure<const Origins extends OriginsConfig>(config: CdnConfig<Origins>): void

  /**
   * Refuses new requests with 503, finishes what is under way, at most `graceMs` (default 30,000), then aborts the
   * rest and closes origins, store and sinks, in that order.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

export interface CdnOptions {
  /** Where time comes from. Tests pass a fake one. */
  clock?: Clock
  /** Where purges outlive the process. Wanted as soon as what is stored does. */
  purges?: PurgeJournal
  /** Takes what log sinks have to say to an operator: in words, on one line. Default: nobody. */
  onMessage?: (message: string) => void
}

/** @throws CdnError CDN_CONFIG_INVALID, naming every mistake of the configuration at once. */
export function createCdn<const Origins extends OriginsConfig>(config: CdnConfig<Origins>, options: CdnOptions = {}): Cdn {
  const clock = options.clock ?? systemClock
  const resolved = resolveConfig(config, clock)
  const engine = new Engine({
    ...resolved,
    log: resolved.log ?? [stdoutSink()],
    purges: options.purges,
    clock,
    onMessage: options.onMessage ?? (() => {}),
  })
  let current: { readonly config: AnyConfig; readonly settings: Settings } = { config, settings: resolved }
  return Object.assign(engine, {
    reconfigure<const Next extends OriginsConfig>(next: CdnConfig<Next>): void {
      current = { config: next, settings: resolveSettings(next, clock, current) }
      engine.replace(current.settings)
    },
  })
}
