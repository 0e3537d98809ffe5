// Whether what was served has landed: the ledgers of a day against the objects of that day.

import { createHash } from 'node:crypto'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { LedgerDay, Numbers, Verified } from '@simple-cdn/core/log'
import type { S3Client } from './client.ts'
import type { KeyFacts, Keys } from './key.ts'

type Gap = readonly [first: number, last: number]

interface Landed extends KeyFacts {
  readonly key: string
}

/** `read` has every object read, and its text compared with its checksum and its numbers; otherwise names are believed. */
export async function verify(
  client: S3Client,
  keys: Keys,
  ledgerPrefix: string,
  date: string,
  read: boolean,
): Promise<readonly Verified[]> {
  const boots = new Map<string, { day?: LedgerDay; landed: Landed[] }>()
  const of = (boot: string) => {
    const found = boots.get(boot) ?? { landed: [] }
    boots.set(boot, found)
    return found
  }
  for await (const { key } of client.list(`${ledgerPrefix}${date}/`)) {
    const day = JSON.parse((await client.get(key)).body.toString()) as LedgerDay
    of(`${day.machine} ${day.boot}`).day = day
  }
  const named = new Map([...boots].map(([name, { day }]) => [`${day?.boot}`, name]))
  for await (const { key } of client.list(keys.prefixOf(date))) {
    const facts = keys.parse(key)
    // A boot is unique by itself; the machine may be spelled otherwise in a key.
    if (facts !== undefined) of(named.get(facts.boot) ?? `${facts.machine} ${facts.boot}`).landed.push({ ...facts, key })
  }
  const verified: Verified[] = []
  for (const { day, landed } of boots.values()) {
    const damaged: string[] = []
    if (read) for (const object of landed) if (!(await isWhole(client, object, day?.dropped ?? []))) damaged.push(object.key)
    verified.push({ ...compared(day, landed), damaged })
  }
  return verified.sort((a, b) => (a.region + a.machine + a.boot < b.region + b.machine + b.boot ? -1 : 1))
}

function compared(day: LedgerDay | undefined, landed: readonly Landed[]): Omit<Verified, 'damaged'> {
  const objects = landed.toSorted((a, b) => a.first - b.first)
  const dropped = day?.dropped ?? []
  const gaps: Gap[] = []
  const twice: Gap[] = []
  let next = day?.first ?? objects[0]?.first ?? 0
  const start = next
  let count = 0
  for (const { first, last } of objects) {
    if (first > next) gaps.push(...without([next, first - 1], dropped))
    if (first < next) twice.push([first, Math.min(last, next - 1)])
    count += last - Math.max(first, next) + 1
    next = Math.max(next, last + 1)
  }
  if (day !== undefined && day.next > next) gaps.push(...without([next, day.next - 1], dropped))
  const { machine, region, boot } = day ?? (objects[0] as Landed)
  const lost = dropped.reduce((sum, [, , each]) => sum + each, 0)
  const inObjects = objects.reduce((sum, { first, last }) => sum + within(dropped, first, last), 0)
  return {
    machine,
    region,
    boot,
    served: day === undefined ? undefined : Math.max(day.next, next) - start,
    landed: Math.max(0, count) - inObjects,
    dropped: lost,
    gaps,
    twice,
    open: day === undefined || !day.ended,
    heardAt: day?.at,
  }
}

/** How many numbers of these are between both ends. */
function within(numbers: readonly Numbers[], first: number, last: number): number {
  return numbers.reduce((sum, [from, to, count]) => sum + (from >= first && to <= last ? count : 0), 0)
}

/** What is left of a gap when those that were given up, and counted, are taken away. */
function without([first, last]: Gap, dropped: readonly Numbers[]): Gap[] {
  const left: Gap[] = []
  let next = first
  for (const [from, to] of dropped.toSorted((a, b) => a[0] - b[0])) {
    if (to < next || from > last) continue
    if (from > next) left.push([next, from - 1])
    next = Math.max(next, to + 1)
  }
  if (next <= last) left.push([next, last])
  return left
}

async function isWhole(client: S3Client, { key, first, last, checksum }: Landed, dropped: readonly Numbers[]): Promise<boolean> {
  try {
    const text = await textOf(client, key)
    let lines = 0
    for (let at = text.indexOf(10); at >= 0; at = text.indexOf(10, at + 1)) lines++
    return (
      createHash('sha256').update(text).digest('hex').startsWith(checksum) &&
      lines === last - first + 1 - within(dropped, first, last)
    )
  } catch {
    return false
  }
}

/** The lines of an object, whatever it was compressed with. */
export async function textOf(client: S3Client, key: string): Promise<Buffer> {
  const { body, headers } = await client.get(key)
  if (headers['content-encoding'] === 'gzip' || key.endsWith('.gz')) return gunzipSync(body)
  return headers['content-encoding'] === 'zstd' || key.endsWith('.zst') ? zstdDecompressSync(body) : body
}
