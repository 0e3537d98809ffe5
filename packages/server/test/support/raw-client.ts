// A client on a bare socket that goes with its test, and reads status lines.
import type { TestContext } from 'node:test'
import { rawClient as connected, type RawClient } from '../../../core/test/support/raw-client.ts'

export type { RawClient }

/** `text` is sent at once. `halfOpen`: that the server ends its side does not end the client's. */
export async function rawClient(t: TestContext, url: string, text = '', { halfOpen = false } = {}): Promise<RawClient> {
  const client = await connected(Number(new URL(url).port), text, { allowHalfOpen: halfOpen })
  t.after(() => client.socket.destroy())
  return client
}

/** Of the answers in what a client has received. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
}
