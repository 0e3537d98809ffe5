// A piece of a body whose write has failed has not been used: its memory may be on its way still, and is not to be written over.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { it, type TestContext } from 'node:test'
import type { CdnResponse } from '@simple-cdn/core'
import { answerAtHand, toUpgradeHandler } from '@simple-cdn/core/node'
import { rawClient } from '../support/raw-client.ts'
import { listening } from '../support/raw-origin.ts'

const PIECE = 16 * 1024 * 1024
const GET = 'GET / HTTP/1.1\r\nHost: site.test\r\n'

/** An answer without end, with what its adapter asks of its body. */
function answered() {
  const asked: string[] = []
  const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()]
  const body: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      asked.push('next')
      begun.resolve()
      return { done: false, value: new Uint8Array(PIECE) }
    },
    async return() {
      asked.push('return')
      return { done: true, value: undefined }
    },
  }
  const answer: CdnResponse = {
    status: 200,
    fields: ['Content-Length', String(100 * PIECE)],
    body,
    fail: () => answer,
    finished: (_bytes, complete) => over.resolve(complete),
  }
  return { answer, asked, begun: begun.promise, over: over.promise }
}

type Answered = ReturnType<typeof answered>

const adapters = {
  async 'at hand'(t: TestContext, { answer }: Answered) {
    const tcp = createTcpServer(answerAtHand({ handleNow: () => answer }, createServer()).accept)
    t.after(() => tcp.close())
    return { port: await listening(tcp), request: `${GET}\r\n` }
  },
  async 'in place of another protocol'(t: TestContext, { answer }: Answered) {
    const server = createServer().on('upgrade', toUpgradeHandler({ handle: () => answer }))
    t.after(() => server.close())
    return { port: await listening(server), request: `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n` }
  },
}

for (const [name, serve] of Object.entries(adapters))
  it(`of an answer ${name} is the last that its body is asked for`, async (t) => {
    const made = answered()
    const { port, request } = await serve(t, made)
    const client = await rawClient(port)
    client.socket.pause()
    client.send(request)
    await made.begun
    client.reset()
    assert.equal(await made.over, false)
    assert.deepEqual(made.asked, ['next', 'return'])
  })
