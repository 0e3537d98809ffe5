// A server on this machine with an origin that a test tells what to answer, and what both have to say afterwards.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CdnConfig, LogEntry, Origin } from '@simple-cdn/core'
import { type Scripted, type ScriptedOrigin, scriptedOrigin } from '@simple-cdn/testing'
import { type Log, type RunningServer, type ServerConfig, startServer } from 'simple-cdn'
import { type Watched, watched } from '../../../core/test/support/watched.ts'
import type { ListenerStats } from '../../src/listen.ts'

export interface Served {
  readonly url: string
  readonly server: RunningServer
  readonly origin: ScriptedOrigin
  /** What was logged of requests, so far. */
  readonly entries: readonly LogEntry[]
  /** What the server said of itself, so far. */
  readonly said: readonly Said[]
  /** Looks whenever an entry or a message is logged, or a request has reached the origin. */
  readonly until: Watched['until']
  /** The listener's figures, as the admin listener tells them. */
  figures(): Promise<ListenerStats>
  /** Resolves when what was sent before has been read: another connection has been made, and answered, since then. */
  turns(): Promise<void>
}

export interface Said {
  readonly level: keyof Log
  readonly message: string
  readonly facts: Readonly<Record<string, unknown>>
}

export interface ServeOptions extends ServerConfig {
  /** What the configuration says beside origins, routes and log. */
  cache?: Pick<CdnConfig, 'maxRequestBody' | 'memory' | 'trustedProxies'>
  /** In place of the one that `answer` is for. */
  origin?: Origin
  /** Default: whatever was asked for is not cached, and the body says what it was. */
  answer?: Scripted | ((request: { readonly method: string; readonly target: string }) => Scripted)
}

/** Everything goes to the one origin. Gone with the test. */
export async function serve(t: TestContext, { cache, origin, answer, ...server }: ServeOptions = {}): Promise<Served> {
  const entries: LogEntry[] = []
  const said: Said[] = []
  const { happened, until } = watched()
  const noting =
    <Line>(lines: Line[]) =>
    (line: Line): void => {
      lines.push(line)
      happened()
    }
  const scripted = scriptedOrigin()
  scripted.answer((request) => {
    happened()
    if (typeof answer === 'function') return answer(request)
    return answer ?? { headers: { 'Cache-Control': 'no-store' }, body: `${request.method} ${request.target}` }
  })
  const running = await startServer({
    config: {
      origins: { origin: origin ?? scripted },
      routes: [{ match: '/*', origin: 'origin' }],
      log: [sink(noting(entries))],
      disk: false,
      ...cache,
    },
    folder: temporaryFolder(t),
    log: logger(noting(said)),
    host: '127.0.0.1',
    port: 0,
    ...server,
  })
  t.after(() => running.close({ graceMs: 0 }))
  const figures = async (): Promise<ListenerStats> => {
    const response = await fetch(`${running.adminUrl}/stats`, { headers: { Authorization: `Bearer ${running.adminToken}` } })
    return ((await response.json()) as { listener: ListenerStats }).listener
  }
  return {
    url: running.url,
    server: running,
    origin: scripted,
    entries,
    said,
    until,
    figures,
    async turns() {
      for (let turn = 0; turn < 3; turn++) await figures()
    },
  }
}

export async function* nothing(): AsyncGenerator<Uint8Array> {}

/** A body whose second part comes after that. */
export async function* inTwo(between: Promise<unknown>): AsyncGenerator<Uint8Array> {
  yield Buffer.from('first')
  await between
  yield Buffer.from('second')
}

/** Gone with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-server-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function logger(said: (line: Said) => void): Log {
  const level =
    (name: keyof Log) =>
    (facts: object, message: string): void =>
      said({ level: name, message, facts: { ...facts } })
  return { info: level('info'), warn: level('warn'), error: level('error'), fatal: level('fatal') }
}

function sink(write: (entry: LogEntry) => void) {
  return { name: 'test', write, flush: async () => undefined, close: async () => undefined }
}
