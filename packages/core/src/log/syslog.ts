// A sink that speaks syslog: messages of RFC 5424, over TCP, TLS or UDP.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { integer, oneOf, options, shown, text } from '../checks.ts'
import { checkedSink, lineFormat, someText } from './checked.ts'
import type { LogFormat } from './formats/format.ts'
import { jsonLine } from './json-line.ts'
import { type QueueOptions, queueChecks, queued } from './queued.ts'
import type { LogSink } from './sink.ts'

export interface SyslogSinkOptions extends QueueOptions {
  host: string
  /** Default: 514, and 6514 over TLS. */
  port?: number
  /** Default: "tcp". */
  transport?: 'tcp' | 'tls' | 'udp'
  /** What a message says. Default: the entry as JSON. */
  format?: LogFormat
  /** The name of the program. Default: "simple-cdn". */
  app?: string
  /** Facility times 8 plus severity. Default: 134, local0 and informational. */
  priority?: number
}

const CONNECT_MS = 5_000

const check = options(
  {
    host: text((value) => (/^[\w.:-]+$/.test(value) ? undefined : `${shown(value)} is neither a name nor an address`)),
    port: integer(1, 65_535),
    transport: oneOf('tcp', 'tls', 'udp'),
    format: lineFormat,
    app: someText('the name of the program'),
    priority: integer(0, 191),
    ...queueChecks,
  },
  { host: 'the name or the address of a syslog server' },
)

/**
 * Over UDP nobody knows what arrives. Over TCP, what was on its way when a connection broke is sent again where that was noticed:
 * syslog has no acknowledgements. Where every line counts, use a sink behind `spooled()`.
 */
export function syslogSink(options: SyslogSinkOptions): LogSink & { readonly dropped: number } {
  return checkedSink('syslogSink', check, options, syslogSinkOf)
}

function syslogSinkOf({
  host,
  transport = 'tcp',
  port = transport === 'tls' ? 6514 : 514,
  format = jsonLine,
  app = 'simple-cdn',
  priority = 134,
  ...options
}: SyslogSinkOptions): LogSink & { readonly dropped: number } {
  let socket: Socket | undefined
  const udp = transport === 'udp' ? createSocket(host.includes(':') ? 'udp6' : 'udp4').unref() : undefined

  async function connected(): Promise<Socket> {
    if (socket !== undefined && !socket.destroyed && socket.writable) return socket
    const made = transport === 'tls' ? connectTls({ host, port, servername: host }) : connect({ host, port })
    // Told by the next write, if it matters.
    made.on('error', () => {})
    made.setTimeout(CONNECT_MS, () => made.connecting && made.destroy(new Error(`${host}:${port} does not answer`)))
    await once(made, transport === 'tls' ? 'secureConnect' : 'connect', { signal: AbortSignal.timeout(CONNECT_MS) })
    made.setTimeout(0)
    made.unref()
    // Nothing is expected from there; without a reader, its end would not be seen.
    made.resume()
    socket = made
    return made
  }

  return queued(
    {
      name: `syslog:${host}:${port}`,
      format: (entry) => {
        const head = `<${priority}>1 ${new Date(entry.at).toISOString()} ${token(entry.machine)} ${token(app)} ${process.pid} access - `
        return head + format(entry).slice(0, -1)
      },
      async send(messages) {
        if (udp !== undefined) {
          for (const message of messages) await new Promise<void>((sent) => udp.send(message, port, host, () => sent()))
          return
        }
        const to = await connected()
        // By length, since a message may hold anything (RFC 6587 §3.4.1).
        const framed = messages.map((message) => `${Buffer.byteLength(message)} ${message}`).join('')
        await new Promise<void>((sent, failed) => to.write(framed, (error) => (error ? failed(error) : sent())))
      },
      async close() {
        udp?.close()
        socket?.end()
      },
    },
    options,
  )
}

/** PRINTUSASCII of at most 48 characters (RFC 5424 §6). */
function token(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, 48) || '-'
}
