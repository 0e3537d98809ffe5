// What a machine missed reaches it when it comes back, in as many requests as its admin listener asks for.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import type { Machine } from './machines.ts'
import { adminPurger } from './purger.ts'

/** An admin listener that takes 1,000 at once, and every other time asks to be asked again. */
async function fakeMachine(t: TestContext) {
  const taken: unknown[][] = []
  let asked = 0
  const server = createServer(async (request, response) => {
    const { purge } = JSON.parse(await text(request)) as { purge: unknown[] }
    if (purge.length > 1_000) return void response.writeHead(413).end()
    if (asked++ % 2 === 1) return void response.writeHead(429, { 'Retry-After': '0' }).end()
    taken.push(purge)
    response.end('{}')
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  let state = 'stopped'
  const machine = { id: 'm', adminUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, state: () => state }
  return {
    taken,
    machine: machine as unknown as Machine,
    start() {
      state = 'started'
    },
  }
}

for (const [missed, requests] of [
  [1, [1]],
  [2_500, [1_000, 1_000, 500]],
  [10_001, [1]],
] as const)
  test(`a machine that has missed ${missed} purges is told of them in ${requests.length} requests`, async (t) => {
    const { taken, machine, start } = await fakeMachine(t)
    const purger = adminPurger([machine], 'token')
    for (let page = 0; page < missed; page++) await purger.purge(`https://cdn.example.com/${page}`)
    start()
    await purger.returned(machine)
    assert.deepEqual(
      taken.map((purge) => purge.length),
      requests,
    )
    const first = missed > 10_000 ? { everything: true } : { url: 'https://cdn.example.com/0' }
    assert.deepEqual(taken[0]?.[0], first)
    await purger.returned(machine)
    assert.equal(taken.length, requests.length)
  })
