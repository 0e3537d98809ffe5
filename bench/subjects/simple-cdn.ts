// simple-cdn as a program would embed it. `simple-cdn.ts ORIGIN none|stdout|s3-csv|s3-json [S3]`: without a log, or with which.
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCdn, type LogEntry, type LogSink } from '@simple-cdn/core'
import { changelogCsv, jsonLine, located } from '@simple-cdn/core/log'
import { toNodeHandler } from '@simple-cdn/core/node'
import { s3Sink } from '@simple-cdn/sink-s3'
import { listen } from './listen.ts'

const [origin = '', log = 'stdout', endpoint = ''] = process.argv.slice(2)

let entries = 0
function toS3(): LogSink {
  const sink = s3Sink({
    ...{ endpoint, bucket: 'logs', region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 's' },
    format: log === 's3-csv' ? changelogCsv : jsonLine,
    spool: { folder: join(mkdtempSync(join(tmpdir(), 'simple-cdn-bench-log-')), 'spool') },
  })
  const place = { city: 'Berlin', countryCode: 'DE', country: 'Germany', continent: 'EU', latitude: 52.5, longitude: 13.4 }
  const placed = log === 's3-csv' ? located({ lookup: () => place }, sink) : sink
  return {
    ...placed,
    write(entry: LogEntry) {
      entries++
      placed.write(entry)
    },
  }
}

const sinks: Readonly<Record<string, () => readonly LogSink[]>> = {
  none: () => [],
  's3-csv': () => [toS3()],
  's3-json': () => [toS3()],
}
const chosen = sinks[log]?.()

const cdn = createCdn({
  origins: { app: origin },
  routes: [{ match: '/*', origin: 'app' }],
  ...(chosen && { log: chosen }),
})

process.on('message', () => {
  process.send?.({ logged: entries })
  entries = 0
})
listen(createServer(toNodeHandler(cdn)))
