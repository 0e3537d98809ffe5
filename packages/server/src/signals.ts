// SIGTERM and SIGINT: first finish what is under way, then go; the second time, go. SIGHUP: the configuration, again.
import { constants } from 'node:os'
import type { Log } from './log.ts'
import type { Reloader } from './reload.ts'
import type { RunningServer } from './start-server.ts'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const
/** After an error that nobody caught, what is under way gets this long. */
const GRACE_AFTER_ERROR_MS = 5_000

/** Waits for a signal, or for an error that nobody caught, and stops the server. Resolves to the exit code. */
export async function stopOnSignal(server: Pick<RunningServer, 'close'>, log: Log): Promise<number> {
  const { promise: ended, resolve: end } = Promise.withResolvers<number>()
  let stopping = false

  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (stopping) {
        log.warn({ signal }, 'stopped at once')
        process.exit(128 + constants.signals[signal])
      }
      stopping = true
      log.info({ signal }, `${signal}: stopping; a second one stops at once`)
      server.close().then(() => end(0), failed)
    })
  }

  process.on('uncaughtException', (error, origin) => {
    log.fatal({ error: error.stack ?? String(error), origin }, 'an error that nobody caught: stopping')
    if (stopping) return end(1)
    stopping = true
    server.close({ graceMs: GRACE_AFTER_ERROR_MS }).then(() => end(1), failed)
  })

  function failed(error: unknown): void {
    log.fatal({ error: String(error) }, 'stopping failed')
    end(1)
  }

  const exitCode = await ended
  // Whatever else still runs, such as a timer of an app in this process, does not keep it.
  setTimeout(() => process.exit(exitCode), 1_000).unref()
  return exitCode
}

/**
 * From now on, as soon as there is something to reload. In a terminal, SIGHUP is how a program learns that its window has been closed: there it ends the program, as the system has it.
 */
export function reloadOnSignal(reloading: Promise<Pick<Reloader, 'reload'>>): void {
  if (!process.stdin.isTTY) process.on('SIGHUP', () => void reloading.then(({ reload }) => reload('SIGHUP')))
}
