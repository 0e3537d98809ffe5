// Where a client is: what a database of addresses says about it, added to log entries.
import { having } from '../checks.ts'
import { checkedWrapper } from './checked.ts'
import type { LogEntry } from './entry.ts'
import type { LogSink } from './sink.ts'

export interface Geo {
  readonly city?: string | undefined
  /** Two letters (ISO 3166-1). */
  readonly countryCode?: string | undefined
  readonly country?: string | undefined
  /** Two letters: AF, AN, AS, EU, NA, OC, SA. */
  readonly continent?: string | undefined
  /** Degrees, north and east being positive. */
  readonly latitude?: number | undefined
  readonly longitude?: number | undefined
}

export interface GeoSource {
  /** `undefined`: nothing is known about this address. It is asked for every entry, and never throws. */
  lookup(address: string): Geo | undefined
}

const lookingUp = having('lookup', 'a source of places, such as await geoDatabase({ file })')

/** Entries reach `sink` with `geo`, where `source` knows something. */
export function located(source: GeoSource, sink: LogSink): LogSink {
  return checkedWrapper(
    'located',
    (value) => lookingUp(value, 'source'),
    source,
    sink,
    (source) => (entry: LogEntry) => {
      const geo = entry.clientAddress === undefined ? undefined : source.lookup(entry.clientAddress)
      sink.write(geo === undefined ? entry : { ...entry, geo })
    },
  )
}
