// simple-cdn start: loads the configuration, serves, and stops when it is told to.
import { dirname } from 'node:path'
import { type Check, mistakeLine } from '@simple-cdn/core/config'
import { host as hostCheck, memoryOf, port as portCheck, type ServerConfig, token as tokenCheck } from '../config.ts'
import { configSource } from '../config-source.ts'
import { Failure } from '../failure.ts'
import { findConfig } from '../load-config.ts'
import { stderrLog } from '../log.ts'
import { tuneCollector } from '../memory.ts'
import { type Reloader, reloader } from '../reload.ts'
import { reloadOnSignal, stopOnSignal } from '../signals.ts'
import { type RunningServer, startServer } from '../start-server.ts'
import { checked } from './check.ts'
import { CONFIG_OPTION, type Command, type Values } from './command.ts'

export const start: Command = {
  usage: 'simple-cdn start [--config PATH] [--host HOST] [--port PORT] [--no-watch]',
  summary: 'Serves what cdn.config.ts says.',
  help: `Loads cdn.config.ts (or .mts, .js, .mjs, .json) from the current folder and serves it until SIGTERM or SIGINT; then it
finishes what is under way and stops. A second signal stops it at once. On SIGHUP, and when the file or one that it imports
changes, it is loaded anew, without dropping a connection, a request, or anything stored; with mistakes, it stays as it was.

  -c, --config PATH   another configuration file
      --host HOST     name or address to listen on, in place of server.host
  -p, --port PORT     port to listen on, in place of $PORT and server.port
      --no-watch      loads the configuration anew on SIGHUP only

Requests are logged to standard output, the server itself to standard error.
CDN_ADMIN_TOKEN sets the token of the admin listener, in place of server.admin.token.
`,
  options: { ...CONFIG_OPTION, host: { type: 'string' }, port: { type: 'string', short: 'p' }, 'no-watch': { type: 'boolean' } },
  operands: [],
  async run(values) {
    const path = findConfig(values.config, process.cwd())
    const source = configSource(path)
    const config = checked(path, await source.load())
    tuneCollector(memoryOf(config).process)
    const log = stderrLog()
    const begun = Promise.withResolvers<Reloader>()
    const running = Promise.withResolvers<Pick<RunningServer, 'close'>>()
    // Whoever waits for it is told by what is thrown.
    running.promise.catch(() => undefined)
    reloadOnSignal(begun.promise)
    // From now on: who tells it to stop while it starts means it as well.
    const stopped = stopOnSignal({ close: async (options) => (await running.promise).close(options) }, log)
    let server: RunningServer
    try {
      server = await startServer({ config, folder: dirname(path), log, ...overrides(values, config.server ?? {}) })
    } catch (thrown) {
      const error = explained(thrown, config.server?.admin)
      running.reject(error)
      throw error
    }
    const isWatching = values['no-watch'] !== true && config.server?.watch !== false
    const reloading = reloader({ path, source, check: (loaded) => checked(path, loaded), server, log, isWatching })
    begun.resolve(reloading)
    running.resolve({
      async close(options) {
        reloading.stop()
        await server.close(options)
      },
    })
    return stopped
  },
}

/** What the command line and the environment say, in this order. */
function overrides({ host, port }: Values, { admin }: ServerConfig): ServerConfig {
  const { PORT = '', CDN_ADMIN_TOKEN: token = '' } = process.env
  return {
    ...(host === undefined ? {} : { host: fit('--host', host, hostCheck) }),
    ...(port === undefined && PORT !== '' ? { port: fit('PORT', asNumber(PORT), portCheck) } : {}),
    ...(port === undefined ? {} : { port: fit('--port', asNumber(port), portCheck) }),
    ...(token === '' || admin === false ? {} : { admin: { ...admin, token: fit('CDN_ADMIN_TOKEN', token, tokenCheck) } }),
  }
}

/** `value`, when the configuration might have said it. `name` is where it was written. */
function fit<Value>(name: string, value: Value, check: Check): Value {
  const [mistake] = check(value, name)
  if (mistake !== undefined) throw new Failure(mistakeLine(mistake), 2)
  return value
}

/** As it was written when it is none, so that the check can show it. */
function asNumber(written: string): number {
  return (/^\d+$/.test(written) ? Number(written) : written) as number
}

/** What commonly keeps a server from listening, in words; anything else as it is. */
function explained(error: unknown, admin: ServerConfig['admin']): unknown {
  const { code, port, ...failed } = error as NodeJS.ErrnoException & { address?: string; hostname?: string; port?: number }
  const host = failed.address ?? failed.hostname
  const where = port === undefined ? host : `${host}, port ${port}`
  const option = admin && admin.port === port ? 'server.admin.port' : '--port'
  if (code === 'CDN_CONFIG_INVALID') return new Failure((error as Error).message)
  if (code === 'EADDRINUSE') return new Failure(`another program listens on ${where}; end it, or choose another with ${option}`)
  if (code === 'EACCES') return new Failure(`this user may not listen on ${where}; ports below 1024 need a privilege`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return new Failure(`this machine has no ${where}; choose another host`)
  return error
}
