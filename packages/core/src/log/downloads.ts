// Downloads, counted from lines of a log in two ways: bytes sent over the size of the file, and listeners as the IAB counts them.
import type { Millis } from '../http/time.ts'
import { type AgentClass, agentClass } from './formats/agents.ts'
import { pathOf } from './formats/format.ts'

/** What a line says that matters for counting. */
export interface DownloadLine {
  readonly at: Millis
  readonly path: string
  readonly address: string
  readonly agent: string
  readonly status: number
  readonly bytes: number
  /** `undefined` where the format does not say: a HEAD has no bytes. */
  readonly method: string | undefined
  readonly sampleRate: number
}

export interface DownloadOptions {
  /** Milliseconds since 1970: what begins from here on is counted, up to `until`. What came up to a day before is needed, too. */
  readonly from: Millis
  readonly until: Millis
  /** Sizes of files by path, where they are known. Default: the largest response that was seen. */
  readonly sizes?: ReadonlyMap<string, number>
  /** What a minute of audio has at least. Default: 960,000 bytes, 128 kbit/s. */
  readonly minuteBytes?: number
}

export interface Downloads {
  readonly path: string
  readonly size: number
  /** Whether `size` was only guessed from what was sent. */
  readonly isSizeGuessed: boolean
  readonly bytes: number
  /** `bytes / size`, rounded to two decimals, robots included. */
  readonly byBytes: number
  /** Different addresses. */
  readonly addresses: number
  /** Addresses with an agent, robots left out, that got a minute of audio within 24 hours; each counts once in them. */
  readonly listeners: number
}

const DAY_MS = 86_400_000
/** A million listeners take some hundred megabytes; more than this belongs into a database. */
const MAX_LISTENERS = 2_000_000

interface Listener {
  since: Millis
  bytes: number
}

interface File {
  largest: number
  bytes: number
  readonly addresses: Set<string>
  listeners: number
  readonly open: Map<string, Listener>
}

/** Lines in the order of time, more or less; within a day, order changes no figure. */
export function downloadCounter({ from, until, sizes = new Map(), minuteBytes = 960_000 }: DownloadOptions) {
  const files = new Map<string, File>()
  const classes = new Map<string, AgentClass>()
  let listeners = 0

  function classOf(agent: string): AgentClass {
    const known = classes.get(agent) ?? agentClass(agent === '(null)' ? '' : agent)
    if (classes.size < 10_000) classes.set(agent, known)
    return known
  }

  function listened(file: File, { at, address, agent, bytes }: DownloadLine): void {
    const name = `${address} ${agent}`
    let listener = file.open.get(name)
    if (listener === undefined || at - listener.since >= DAY_MS) {
      if (listener === undefined && ++listeners > MAX_LISTENERS)
        throw new RangeError(`more than ${MAX_LISTENERS} listeners in two days: count them in a database`)
      listener = { since: at, bytes: 0 }
      file.open.set(name, listener)
    }
    const before = listener.bytes
    listener.bytes += bytes
    if (before < minuteBytes && listener.bytes >= minuteBytes && listener.since >= from && listener.since < until)
      file.listeners++
  }

  return {
    add(line: DownloadLine): void {
      const { at, path, status, bytes, method, address, sampleRate } = line
      if (bytes === 0 || (status !== 200 && status !== 206) || (method !== undefined && method !== 'GET')) return
      if (at < from - DAY_MS || at >= until) return
      const file = files.get(path) ?? { largest: 0, bytes: 0, addresses: new Set(), listeners: 0, open: new Map() }
      files.set(path, file)
      file.largest = Math.max(file.largest, bytes)
      if (at >= from) {
        file.bytes += bytes * sampleRate
        file.addresses.add(address)
      }
      if (classOf(line.agent) === 'other') listened(file, line)
    },
    report(): readonly Downloads[] {
      return [...files]
        .filter(([, { bytes }]) => bytes > 0)
        .map(([path, { largest, bytes, addresses, listeners: heard }]) => {
          const size = sizes.get(path) ?? largest
          const byBytes = Math.round((bytes / size) * 100) / 100
          return { path, size, isSizeGuessed: !sizes.has(path), bytes, byBytes, addresses: addresses.size, listeners: heard }
        })
        .sort((a, b) => b.byBytes - a.byBytes || (a.path < b.path ? -1 : 1))
    },
  }
}

/** A line of JSON, of flat JSON or of the twelve columns; `undefined` when it is none of them. */
export function readDownloadLine(line: string): DownloadLine | undefined {
  return line.startsWith('{') ? fromJson(line) : fromCsv(line)
}

function fromJson(line: string): DownloadLine | undefined {
  let entry: Readonly<Record<string, unknown>>
  try {
    entry = JSON.parse(line)
  } catch {
    return undefined
  }
  const { at, time, url, path, clientAddress, userAgent, status, bytes, method, sampleRate } = entry
  const when = typeof at === 'number' ? at : Date.parse(String(time))
  const where = typeof path === 'string' ? path : typeof url === 'string' ? pathOf(url) : undefined
  if (where === undefined || Number.isNaN(when) || typeof status !== 'number' || typeof bytes !== 'number') return undefined
  return {
    at: when,
    path: where,
    address: String(clientAddress ?? ''),
    agent: String(userAgent ?? ''),
    status,
    bytes,
    method: typeof method === 'string' ? method : undefined,
    sampleRate: typeof sampleRate === 'number' ? sampleRate : 1,
  }
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const COLUMNS =
  /^(?:<\d+>\S+ .*?: )?([^,"]*),\[(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d) \+0000\],("(?:[^"]|"")*"|[^,]*),(\d+),(\d+),("(?:[^"]|"")*"|[^,]*),/

function fromCsv(line: string): DownloadLine | undefined {
  const found = COLUMNS.exec(line)
  if (found === null) return undefined
  const [, address = '', day, month = '', year, hour, minute, second, path = '', bytes, status, agent = ''] = found
  const at = Date.UTC(Number(year), MONTHS.indexOf(month), Number(day), Number(hour), Number(minute), Number(second))
  return {
    at,
    path: unquoted(path),
    address,
    agent: unquoted(agent),
    status: Number(status),
    bytes: Number(bytes),
    method: undefined,
    sampleRate: 1,
  }
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text
}
