// The certificate of this server: read from its files, and again when they change.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { configError, type Mistake } from '@simple-cdn/core/config'
import type { HttpsConfig } from './config.ts'
import type { Certificate } from './front.ts'
import type { Log } from './log.ts'
import { watchFiles } from './watch-files.ts'

/** @throws ConfigError CDN_CONFIG_INVALID when a file cannot be read, or the two do not fit each other. */
export function readCertificate({ cert, key }: HttpsConfig, folder: string): Certificate {
  const mistakes: Mistake[] = []
  const read = (name: string, path: string): string => {
    try {
      return readFileSync(resolve(folder, path), 'utf8')
    } catch (error) {
      mistakes.push({ path: `server.tls.${name}`, message: `cannot be read: ${(error as Error).message}` })
      return ''
    }
  }
  const certificate = { cert: read('cert', cert), key: read('key', key) }
  if (mistakes.length > 0) throw configError(mistakes)
  try {
    createSecureContext(certificate)
  } catch (error) {
    throw configError([{ path: 'server.tls', message: `is no certificate with its key: ${(error as Error).message}` }])
  }
  return certificate
}

export interface CertificateFiles {
  /** Reads them again, at once. Those of another configuration, from now on. */
  reread(tls?: HttpsConfig): void
  stop(): void
}

/** Gives a certificate that has changed to `use`. While files do not fit each other, as in the middle of a renewal, the one there is stays. */
export function certificateFiles(
  tls: HttpsConfig,
  folder: string,
  use: (certificate: Certificate) => void,
  log: Log,
): CertificateFiles {
  let { cert, key } = tls
  let used = readCertificate(tls, folder)
  const reread = (next?: HttpsConfig): void => {
    if (next !== undefined) ({ cert, key } = next)
    try {
      const found = readCertificate({ cert, key }, folder)
      if (found.cert === used.cert && found.key === used.key) return
      use(found)
      used = found
      log.info({ cert }, 'the next handshake has the new certificate')
    } catch (error) {
      log.error({ error: (error as Error).message }, 'the certificate stays as it was')
    }
  }
  const watching = watchFiles(
    () => new Set([resolve(folder, cert), resolve(folder, key)]),
    () => reread(),
    log,
  )
  return {
    reread(next) {
      reread(next)
      watching.look()
    },
    stop: () => watching.stop(),
  }
}
