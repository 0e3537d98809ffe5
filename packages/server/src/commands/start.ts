// simple-cdn start: loads the configuration, serves, and stops when it is told to.
import { dirname } from 'node:path'
import { integer } from '@simple-cdn/core/config'
import type { ServerConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { findConfig, loadConfig } from '../load-config.ts'
import { stderrLog } from '../log.ts'
import { stopOnSignal } from '../signals.ts'
import { type RunningServer, startServer } from '../start-server.ts'
import { checked } from './check.ts'
import { CONFIG_OPTION, type Command, type Values } from './command.ts'

export const start: Command = {
  usage: 'simple-cdn start [--config PATH] [--host HOST] [--port PORT]',
  summary: 'Serves what cdn.config.ts says.',
  help: `Loads cdn.config.ts (or .mts, .js, .mjs, .json) from the current folder and serves it until SIGTERM or SIGINT; then it
finishes what is under way and stops. A second signal stops it at once.

  -c, --config PATH   another configuration file
      --host HOST     name or address to listen on, in place of server.host
  -p, --port PORT     port to listen on, in place of $PORT and server.port

Requests are logged to standard output, the server itself to standard error.
CDN_ADMIN_TOKEN sets the token of the admin listener, in place of server.admin.token.
`,
  options: { ...CONFIG_OPTION, host: { type: 'string' }, port: { type: 'string', short: 'p' } },
  operands: [],
  async run(values) {
    const path = findConfig(values.config, process.cwd())
    const config = checked(path, await loadConfig(path))
    const log = stderrLog()
    let server: RunningServer
    try {
      server = await startServer({ config, folder: dirname(path), log, ...overrides(values, config.server ?? {}) })
    } catch (error) {
      throw explained(error)
    }
    return stopOnSignal(server, log)
  },
}

/** What the command line and the environment say, in this order. */
function overrides({ host, port = process.env.PORT }: Values, { admin }: ServerConfig): ServerConfig {
  const token = process.env.CDN_ADMIN_TOKEN
  return {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined || port === '' ? {} : { port: portNumber(port) }),
    ...(token === undefined || token === '' || admin === false ? {} : { admin: { ...admin, token } }),
  }
}

function portNumber(written: string): number {
  const port = /^\d{1,5}$/.test(written) ? Number(written) : written
  const [mistake] = integer(0, 65_535)(port, 'the port')
  if (mistake !== undefined) throw new Failure(`${mistake.path} ${mistake.message}`, 2)
  return port as number
}

/** What commonly keeps a server from listening, in words; anything else as it is. */
function explained(error: unknown): unknown {
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const where = `${address ?? 'this host'}${port === undefined ? '' : `, port ${port}`}`
  if (code === 'EADDRINUSE') return new Failure(`another program listens on ${where}; end it, or choose another with --port`)
  if (code === 'EACCES') return new Failure(`this user may not listen on ${where}; ports below 1024 need a privilege`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new Failure(`this machine has no ${where}; choose another with --host`)
  return error
}
