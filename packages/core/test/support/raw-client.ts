// A client on a bare socket: what it sends is what a test says, and it keeps every byte it gets.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { watched } from './watched.ts'

export interface RawClient {
  readonly socket: Socket
  /** Everything that came so far, one character a byte. */
  readonly received: () => string
  /** Whether the other side has ended, properly or not. */
  readonly ended: () => boolean
  send(text: string): void
  /** Resolves with everything so far when that holds, or the connection has ended. */
  until(condition: string | ((received: string) => boolean)): Promise<string>
  /** Resolves with everything when the connection has ended. */
  end(): Promise<string>
  /** Leaves at once, without a word. */
  reset(): void
}

export async function rawClient(port: number, text = '', options: { allowHalfOpen?: boolean } = {}): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  let received = ''
  let ended = false
  const { happened, until } = watched()
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
    happened()
  })
  socket.on('error', () => undefined)
  for (const event of ['end', 'close'])
    socket.on(event, () => {
      ended = true
      happened()
    })
  await once(socket, 'connect')
  const client: RawClient = {
    socket,
    received: () => received,
    ended: () => ended,
    send: (more) => void socket.write(more, 'latin1'),
    async until(condition) {
      const holds = typeof condition === 'string' ? (all: string) => all.includes(condition) : condition
      await until(() => ended || holds(received))
      return received
    },
    end: () => client.until(() => false),
    reset: () => void socket.resetAndDestroy(),
  }
  client.send(text)
  return client
}
