// After a purge: fetches again what it took, within bounds, and compares it with what was there.
import type { Cdn, CdnRequest, Fields, StoredMeta } from '@simple-cdn/core'

export interface Refreshed {
  readonly url: string
  /** 0: no answer. */
  readonly status: number
  /**
   * "new": another version than was stored. "old": the origin still has the version that was purged. "unknown": neither version says
   * which it is, the origin failed, or the answer came out of the store, as a soft purge may have it. Without it: nothing was stored.
   */
  readonly version?: 'new' | 'old' | 'unknown' | undefined
}

/** Of what a purge took, so many are fetched again at most. */
export const MAX_REFRESHED = 100
const AT_A_TIME = 4
const TIMEOUT_MS = 30_000

/** A stored response, or a URL that may be stored. */
export type Wanted = StoredMeta | string

/** Resolves within 30 seconds. Each request is logged like any other. */
export async function refresh(cdn: Pick<Cdn, 'handle'>, wanted: readonly Wanted[]): Promise<readonly Refreshed[]> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const refreshed: Refreshed[] = []
  const left = wanted.slice(0, MAX_REFRESHED)
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) refreshed.push(await one(cdn, next, signal))
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  return refreshed
}

async function one(cdn: Pick<Cdn, 'handle'>, wanted: Wanted, signal: AbortSignal): Promise<Refreshed> {
  const url = typeof wanted === 'string' ? wanted : wanted.key
  if (signal.aborted) return { url, status: 0 }
  const answer = await cdn.handle(requestFor(wanted, signal))
  let bytes = 0
  let broken: unknown
  try {
    if (answer.body instanceof Uint8Array) bytes = answer.body.byteLength
    else for await (const chunk of answer.body ?? []) bytes += chunk.byteLength
  } catch (error) {
    broken = error
  }
  answer.finished(bytes, broken === undefined, broken)
  if (broken !== undefined) return { url, status: 0 }
  const { status, fields } = answer
  return typeof wanted === 'string' ? { url, status } : { url, status, version: versionOf(wanted, status, fields) }
}

function requestFor(wanted: Wanted, signal: AbortSignal): CdnRequest {
  const { protocol, host, pathname, search } = new URL(typeof wanted === 'string' ? wanted : wanted.key)
  // What chose between variants; cookies stand for people.
  const selecting = typeof wanted === 'string' ? [] : wanted.selecting
  return {
    method: 'GET',
    scheme: protocol === 'https:' ? 'https' : 'http',
    authority: host,
    target: pathname + search,
    httpVersion: '1.1',
    fields: [
      ...['Host', host, 'User-Agent', 'simple-cdn (refresh)'],
      ...selecting.flatMap(([name, value]) => (value === null || name.includes(':') ? [] : [name, value])),
    ],
    signal,
  }
}

function versionOf(stored: StoredMeta, status: number, fields: Fields): Refreshed['version'] {
  if (status >= 500 || /; hit\b/.test(lineOf(fields, 'cache-status', 'last') ?? '')) return 'unknown'
  if (status !== stored.status) return 'new'
  for (const name of ['etag', 'last-modified']) {
    const [before, now] = [lineOf(stored.fields, name), lineOf(fields, name)]
    if (before !== undefined || now !== undefined) return before === now ? 'old' : 'new'
  }
  return 'unknown'
}

function lineOf(fields: Fields, name: string, which: 'first' | 'last' = 'first'): string | undefined {
  const isIt = (each: string, index: number): boolean => index % 2 === 0 && each.toLowerCase() === name
  const at = which === 'first' ? fields.findIndex(isIt) : fields.findLastIndex(isIt)
  return at < 0 ? undefined : fields[at + 1]
}
