// Recorded requests, each with the size of what was asked for: read from files `NAME.csv.gz` with the columns t, id, size.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

export interface Trace {
  readonly name: string
  /** What was asked for, in order: numbers of objects. */
  readonly requests: readonly number[]
  /** Bytes of each object, by its number. */
  readonly sizes: readonly number[]
}

/** A trace without sizes has 1 for each: as many bytes as a small page are put in its place. */
const UNKNOWN_BYTES = 10 * 1024

export function readTraces(folder: string): Trace[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((file) => file.endsWith('.csv.gz') && !file.endsWith('.objects.csv.gz'))
    .sort()
    .map((file) => {
      const [, ...lines] = gunzipSync(readFileSync(join(folder, file)))
        .toString()
        .trim()
        .split('\n')
      const requests: number[] = []
      const sizes: number[] = []
      for (const line of lines) {
        const [, id, size] = line.split(',').map(Number) as [number, number, number]
        requests.push(id)
        sizes[id] = size
      }
      const known = sizes.some((size) => size > 1)
      return { name: file.slice(0, -'.csv.gz'.length), requests, sizes: known ? sizes : sizes.map(() => UNKNOWN_BYTES) }
    })
}
