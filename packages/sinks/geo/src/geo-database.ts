// geoDatabase(): places of addresses, from a file in MaxMind's format that somebody else keeps up to date.
import { readFile, stat } from 'node:fs/promises'
import { type Clock, systemClock } from '@simple-cdn/core'
import { callable, having, integer, options } from '@simple-cdn/core/config'
import { type Geo, type GeoSource, milliseconds, refuseMistakes, someText } from '@simple-cdn/core/log'
import { LRUCache } from 'lru-cache'
import { type CityResponse, Reader } from 'mmdb-lib'

export interface GeoDatabaseOptions {
  /** "GeoLite2-City.mmdb", or any other with cities or countries. */
  file: string
  /** How often to look whether the file has changed, in milliseconds; 0 for never. Default: 60,000. */
  checkMs?: number
  /** The language of names, where the database has it; else English. Default: "en". */
  language?: string
  /** How many addresses are remembered. Default: 10,000. */
  remembered?: number
  /** Takes what an operator should read. Default: nobody. */
  onMessage?: (message: string) => void
  clock?: Clock
}

export interface GeoDatabase extends GeoSource {
  /** When the database was made, in milliseconds since 1970. */
  readonly builtAt: number
  /** Looks for a change now. A file that cannot be read leaves what there was. */
  check(): Promise<void>
  close(): void
}

interface Loaded {
  readonly reader: Reader<CityResponse>
  readonly stamp: string
}

/** Read once to decode it, then remembered: a place costs microseconds to look up. */
type Known = Geo | 'unknown'

const check = options(
  {
    file: someText('the path of a database'),
    checkMs: milliseconds(0),
    language: someText('one such as "en"'),
    remembered: integer(1, 10_000_000),
    onMessage: callable('a function that takes a line of text'),
    clock: having('now after', 'a clock, such as systemClock'),
  },
  { file: 'the path of a database, such as "GeoLite2-City.mmdb"' },
)

/**
 * @throws Error that lists every mistake of the options; and one when the file is not there, or is no such database: at the start, rather than
 * for every entry.
 */
export async function geoDatabase(options: GeoDatabaseOptions): Promise<GeoDatabase> {
  refuseMistakes('geoDatabase', check, options)
  return opened(options)
}

async function opened({
  file,
  checkMs = 60_000,
  language = 'en',
  remembered = 10_000,
  onMessage = () => {},
  clock = systemClock,
}: GeoDatabaseOptions): Promise<GeoDatabase> {
  let loaded = await load(file)
  const known = new LRUCache<string, Known>({ max: remembered })
  let isClosed = false
  let cancel = (): void => {}

  async function check(): Promise<void> {
    try {
      if ((await stampOf(file)) === loaded.stamp) return
      loaded = await load(file)
      known.clear()
      onMessage(`${file} has changed: places are now those of ${loaded.reader.metadata.buildEpoch.toISOString()}`)
    } catch (error) {
      onMessage(`${file} cannot be read: ${(error as Error).message}; places are still those of before`)
    }
  }

  function checkLater(): void {
    if (checkMs === 0 || isClosed) return
    cancel = clock.after(checkMs, () => void check().then(checkLater))
  }
  checkLater()

  function found(address: string): Known {
    try {
      const record = loaded.reader.get(address.startsWith('::ffff:') ? address.slice(7) : address)
      return record === null ? 'unknown' : placeOf(record, language)
    } catch {
      // Not an address, or one of a kind that the database has not.
      return 'unknown'
    }
  }

  return {
    get builtAt() {
      return loaded.reader.metadata.buildEpoch.getTime()
    },
    lookup(address) {
      let place = known.get(address)
      if (place === undefined) {
        place = found(address)
        known.set(address, place)
      }
      return place === 'unknown' ? undefined : place
    },
    check,
    close() {
      isClosed = true
      cancel()
    },
  }
}

async function load(file: string): Promise<Loaded> {
  const stamp = await stampOf(file)
  return { stamp, reader: new Reader<CityResponse>(await readFile(file)) }
}

/** Changes when the file does, also when another takes its place. */
async function stampOf(file: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(file)
  return `${ino} ${size} ${mtimeMs}`
}

function placeOf({ city, country, registered_country, continent, location }: Partial<CityResponse>, language: string): Geo {
  const named = (names: object | undefined): string | undefined => {
    const all = names as Readonly<Record<string, string>> | undefined
    return all?.[language] ?? all?.en
  }
  const land = country ?? registered_country
  return {
    city: named(city?.names),
    countryCode: land?.iso_code,
    country: named(land?.names),
    continent: continent?.code,
    latitude: location?.latitude,
    longitude: location?.longitude,
  }
}
