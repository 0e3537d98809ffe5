// Purges through a real NATS server: in order, to everybody, also to who was away; or who was away is told.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AckPolicy, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type Clock, type Purge, type PurgeBus, type PurgeStatus, systemClock } from '@simple-cdn/core'
import { dnsMachines, type NatsBusOptions, nats } from '../src/index.ts'
import { machineOf, orderText, tokenOf } from '../src/messages.ts'
import { type NatsServers, natsIsMissing, startNats } from './nats-server.ts'

const missing = natsIsMissing()

function purge(id: string, value = id): Purge {
  return { id, at: systemClock.now(), soft: false, kind: 'surrogate-key', value }
}

/** A server is as fast as it is, so a clock that stands still would not do: this one runs so many times faster. */
function hurried(times: number): Clock {
  const begun = systemClock.now()
  return {
    now: () => begun + times * (systemClock.now() - begun),
    after: (ms, callback) => systemClock.after(ms / times, callback),
  }
}

interface Machine {
  readonly bus: PurgeBus
  /** Ids, or "gap", in the order in which they came. */
  readonly heard: readonly string[]
  readonly said: readonly string[]
  readonly cursor: string | undefined
  readonly isCurrent: boolean
  /** How many it had heard each time that it became current. */
  readonly currentAt: readonly number[]
}

async function until(what: () => boolean, ms = 20_000): Promise<void> {
  const end = systemClock.now() + ms
  while (!what()) {
    if (systemClock.now() > end) assert.fail(`has not come true within ${ms} ms: ${what}`)
    await sleep(5)
  }
}

/** "a behind"; "b applied then", where it is known when. */
function statesOf({ machines }: PurgeStatus): readonly string[] {
  return machines.map(({ machine, state, appliedAt }) => `${machine} ${state}${appliedAt === undefined ? '' : ' then'}`)
}

describe('purges through NATS', { skip: missing ?? false }, () => {
  let server: NatsServers
  let names = 0
  before(async () => {
    if (missing === undefined) server = await startNats()
  })
  after(() => server?.stop())

  /** A stream of its own for each test. */
  function group(t: TestContext, shared: Partial<NatsBusOptions> = {}) {
    const name = `test-${names++}`
    const open = async (
      machine: string,
      { cursor, keep = async () => undefined, clock = systemClock }: Start = {},
      wait = true,
    ): Promise<Machine> => {
      const bus = nats({ servers: server.urls, name, machine, ...shared })
      t.after(() => bus.close())
      const [heard, said]: [string[], string[]] = [[], []]
      const currentAt: number[] = []
      const state = { bus, heard, said, cursor, isCurrent: false, currentAt }
      bus.subscribe({
        cursor,
        machine: 'host',
        clock,
        async apply({ id }, at) {
          heard.push(id)
          await keep(id)
          state.cursor = at
        },
        async gap(at) {
          heard.push('gap')
          state.cursor = at
        },
        hears: (isCurrent) => {
          if (isCurrent && !state.isCurrent) currentAt.push(heard.length)
          state.isCurrent = isCurrent
        },
        onMessage: (message) => said.push(message),
      })
      if (wait) await until(() => state.isCurrent)
      return state
    }
    return { name, open }
  }

  interface Start {
    readonly cursor?: string | undefined
    readonly keep?: (id: string) => Promise<void>
    readonly clock?: Clock
  }

  test('reach every machine, in one order, with receipts that say who and when', async (t) => {
    const { open } = group(t)
    const machines = [await open('ams.1'), await open('fra 2'), await open('nrt')]
    const [first] = machines as [Machine]
    for (let id = 0; id < 20; id++) await first.bus.publish(purge(`p${id}`))
    const { machines: receipts } = await first.bus.status('p19', { waitMs: 5_000 })
    assert.deepEqual(
      receipts.map(({ machine, state, appliedAt }) => [machine, state, appliedAt !== undefined]),
      [
        ['ams.1', 'applied', true],
        ['fra 2', 'applied', true],
        ['nrt', 'applied', true],
      ],
    )
    const all = ['gap', ...Array.from({ length: 20 }, (_, id) => `p${id}`)]
    for (const { heard } of machines) assert.deepEqual(heard, all)
  })

  test('can be asked about later, from any machine, also one that was not there yet', async (t) => {
    const { open } = group(t)
    const [first, second] = [await open('a'), await open('b')]
    await first.bus.publish(purge('p'))
    await until(() => second.heard.includes('p'))
    assert.deepEqual(statesOf(await second.bus.status('p')), ['a applied then', 'b applied then'])
    assert.deepEqual((await second.bus.status('never heard of')).machines, [])
    const third = await open('c')
    const begun = systemClock.now()
    assert.deepEqual(statesOf(await third.bus.status('p', { waitMs: 20_000 })), ['a applied then', 'b applied then', 'c applied'])
    assert.ok(systemClock.now() - begun < 4_000)
  })

  test('published twice with the same id are one', async (t) => {
    const { open } = group(t)
    const { bus, heard } = await open('a')
    await bus.publish(purge('p'))
    await bus.publish(purge('p'))
    await bus.publish(purge('q'))
    await until(() => heard.includes('q'))
    assert.deepEqual(heard, ['gap', 'p', 'q'])
  })

  test('that a machine was away for are the first that it hears, and before that it does not count as current', async (t) => {
    const { open } = group(t)
    const [first, away] = [await open('a'), await open('b')]
    await first.bus.publish(purge('before'))
    await until(() => away.heard.includes('before'))
    await away.bus.close()
    for (let id = 0; id < 50; id++) await first.bus.publish(purge(`p${id}`))
    const states = (await first.bus.status('p49')).machines.map(({ machine, state }) => `${machine} ${state}`)
    assert.deepEqual(states, ['a applied', 'b away'])
    const again = await open('b', { cursor: away.cursor }, false)
    await until(() => again.isCurrent)
    assert.deepEqual(again.currentAt, [50])
    assert.deepEqual(again.heard[0], 'p0')
  })

  test('more of which came than the stream keeps make everything count as purged', async (t) => {
    const { open } = group(t, { keepPurges: 10 })
    const [first, away] = [await open('a'), await open('b')]
    await first.bus.publish(purge('before'))
    await until(() => away.heard.includes('before'))
    await away.bus.close()
    for (let id = 0; id < 30; id++) await first.bus.publish(purge(`p${id}`))
    const again = await open('b', { cursor: away.cursor })
    assert.deepEqual(again.heard, ['gap', ...Array.from({ length: 10 }, (_, id) => `p${id + 20}`)])
    assert.match(again.said.join('\n'), /away for longer than the stream keeps purges/)
    assert.equal(again.bus.stats().gaps, 1)
  })

  test('of a stream that is another one than before make everything count as purged', async (t) => {
    const { open } = group(t)
    const { bus, heard, said } = await open('a', { cursor: '2014-06-06T00:00:00Z/17' })
    assert.deepEqual(heard, ['gap'])
    assert.match(said.join('\n'), /another one than before/)
    await bus.publish(purge('p'))
    await until(() => heard.includes('p'))
  })

  test('that somebody deletes from the stream are missed', async (t) => {
    const { open, name } = group(t)
    const [first, away] = [await open('a'), await open('b')]
    await away.bus.close()
    for (const id of ['p', 'q', 'r']) await first.bus.publish(purge(id))
    const nc = await connect({ servers: server.urls as string[] })
    await (await jetstreamManager(nc)).streams.deleteMessage(name, 2)
    await nc.close()
    const again = await open('b', { cursor: away.cursor })
    assert.deepEqual(again.heard, ['p', 'gap', 'r'])
  })

  test('that cannot be read count as purges of everything', async (t) => {
    const { open, name } = group(t)
    const { bus, heard, cursor } = await open('a')
    const nc = await connect({ servers: server.urls as string[] })
    nc.publish(`${name}.purges`, '{"v":2,"kind":"of a later version"}')
    await nc.flush()
    await nc.close()
    await bus.publish(purge('p'))
    await until(() => heard.includes('p'))
    assert.deepEqual(heard, ['gap', 'gap', 'p'])
    assert.notEqual(cursor, undefined)
  })

  test('that were not kept come again', async (t) => {
    const { open } = group(t)
    let isFull = true
    const keep = async (id: string) => {
      if (isFull && id === 'q') throw new Error('no space left')
    }
    const { bus, heard, said } = await open('a', { keep })
    for (const id of ['p', 'q', 'r']) await bus.publish(purge(id))
    await until(() => said.some((line) => /no space left/.test(line)))
    isFull = false
    await until(() => heard.filter((id) => id === 'q').length === 2 && heard.at(-1) === 'r')
    assert.deepEqual(heard.slice(-2), ['q', 'r'])
  })

  test('that fail to be kept, time and again, are said once; and once more when it had been well in between', async (t) => {
    const { open } = group(t)
    let isFull = true
    const keep = async () => {
      if (isFull) throw new Error('no space left')
    }
    const { bus, heard, said } = await open('a', { keep, clock: hurried(20) })
    const lines = (): number => said.filter((line) => /no space left/.test(line)).length
    const come = (): number => heard.filter((id) => id === 'p').length
    await bus.publish(purge('p'))
    await until(() => come() >= 5)
    assert.equal(lines(), 1)
    isFull = false
    const before = come()
    await until(() => come() > before)
    // Until it has looked at the stream, which it does every 5 s.
    await sleep(500)
    isFull = true
    await bus.publish(purge('q'))
    await until(() => lines() === 2)
    isFull = false
  })

  test('do not pass a machine by whose consumer stands further than it does, as after going back to an older disk', async (t) => {
    const { open } = group(t)
    const before = await open('a')
    await before.bus.publish(purge('p'))
    await until(() => before.heard.includes('p'))
    const { cursor } = before
    await before.bus.publish(purge('q'))
    await until(() => before.cursor !== cursor)
    await sleep(50)
    await before.bus.close()
    const again = await open('a', { cursor })
    assert.deepEqual(again.heard, ['q'])
  })

  test('do not pass a machine by either whose consumer begins further than it does, and has acknowledged nothing', async (t) => {
    const { open } = group(t)
    const first = await open('a')
    const { cursor } = first
    for (const id of ['p', 'q']) await first.bus.publish(purge(id))
    await until(() => first.heard.includes('q'))
    const second = await open('b')
    await second.bus.close()
    const again = await open('b', { cursor })
    assert.deepEqual(again.heard, ['p', 'q'])
  })

  test('name the machines that are expected and have not been heard of', async (t) => {
    const { open } = group(t, { machines: async () => ['a', 'never started'] })
    const { bus } = await open('a')
    await bus.publish(purge('p'))
    const { machines } = await bus.status('p', { waitMs: 100 })
    assert.deepEqual(
      machines.map(({ machine, state }) => `${machine} ${state}`),
      ['a applied', 'never started missing'],
    )
  })

  test('do not wait for machines that are gone for good, where it is known which there are', async (t) => {
    const { open } = group(t, { machines: ['a', 'b'] })
    const [a, , gone] = [await open('a'), await open('b'), await open('gone')]
    await gone.bus.close()
    await a.bus.publish(purge('p'))
    const begun = systemClock.now()
    const { machines } = await a.bus.status('p', { waitMs: 10_000 })
    assert.ok(systemClock.now() - begun < 5_000)
    assert.deepEqual(
      machines.map(({ machine, state }) => `${machine} ${state}`),
      ['a applied', 'b applied'],
    )
  })

  /** `b` cannot keep what it hears until it is released; `a` has published "p". */
  async function stuck(t: TestContext, clock: Clock, shared: Partial<NatsBusOptions> = {}) {
    const { open } = group(t, shared)
    const { promise, resolve: release } = Promise.withResolvers<void>()
    const [a, b] = [await open('a', { clock }), await open('b', { clock, keep: () => promise })]
    await a.bus.publish(purge('p'))
    await until(() => b.heard.includes('p'))
    return { open, a, b, release }
  }

  test('are not waited for any longer, when a machine goes meanwhile and does not come back', async (t) => {
    const clock = hurried(10)
    const { a, b } = await stuck(t, clock)
    const begun = clock.now()
    const waiting = a.bus.status('p', { waitMs: 200_000 })
    await sleep(100)
    await b.bus.close()
    assert.deepEqual(statesOf(await waiting), ['a applied then', 'b away'])
    assert.ok(clock.now() - begun < 50_000)
  })

  test('are waited for while a machine restarts', async (t) => {
    const clock = hurried(5)
    const { open, a, b } = await stuck(t, clock)
    const waiting = a.bus.status('p', { waitMs: 100_000 })
    await sleep(100)
    await b.bus.close()
    await sleep(300)
    await open('b', { clock, cursor: b.cursor })
    assert.deepEqual(statesOf(await waiting), ['a applied then', 'b applied then'])
  })

  test('are waited for on a machine that did not publish them, too', async (t) => {
    const { open, a, b, release } = await stuck(t, systemClock)
    const c = await open('c')
    await c.bus.publish(purge('q'))
    const waiting = [a, b].map(({ bus }) => bus.status('q', { waitMs: 20_000 }))
    await until(() => b.heard.includes('q'))
    assert.deepEqual(statesOf(await a.bus.status('q')), ['a applied then', 'b behind', 'c applied then'])
    const begun = systemClock.now()
    release()
    for (const status of waiting) assert.deepEqual(statesOf(await status), ['a applied then', 'b applied then', 'c applied then'])
    assert.ok(systemClock.now() - begun < 10_000)
  })

  test('are waited for where it is not known yet that they were published, and not for long where nobody has published them', async (t) => {
    const clock = hurried(2)
    const { open } = group(t)
    const { promise: keeping, resolve: release } = Promise.withResolvers<void>()
    const [a, b] = [await open('a', { clock, keep: () => keeping }), await open('b', { clock, keep: () => keeping })]
    await a.bus.publish(purge('p'))
    const waiting = b.bus.status('p', { waitMs: 40_000 })
    // Until it has asked all, and nobody has answered.
    await sleep(1_300)
    release()
    assert.deepEqual(statesOf(await waiting), ['a applied then', 'b applied then'])
    const begun = clock.now()
    assert.deepEqual(statesOf(await b.bus.status('q', { waitMs: 40_000 })), [])
    assert.ok(clock.now() - begun < 20_000)
  })

  test('are not waited for any longer when the bus is closed', async (t) => {
    const { a } = await stuck(t, systemClock)
    const waiting = a.bus.status('p', { waitMs: 30_000 })
    await sleep(100)
    const closing = a.bus.close().then(() => 'closed')
    assert.notEqual(await Promise.race([waiting, closing]), 'closed')
    assert.deepEqual(statesOf(await waiting), ['a applied then', 'b behind'])
  })

  test('are not waited for by somebody who only looks on at the stream', async (t) => {
    const { open, name } = group(t)
    const { bus } = await open('a')
    const nc = await connect({ servers: server.urls as string[] })
    t.after(() => nc.close())
    await (await jetstreamManager(nc)).consumers.add(name, { ack_policy: AckPolicy.None })
    await bus.publish(purge('p'))
    assert.deepEqual(statesOf(await bus.status('p', { waitMs: 5_000 })), ['a applied then'])
  })

  test('say once that it is not known which machines there are, and expect those that were known before', async (t) => {
    let isKnown = true
    const machines = async () => {
      if (!isKnown) throw new Error('no DNS')
      return ['a', 'b', 'never started']
    }
    const { a, release } = await stuck(t, hurried(10), { machines })
    const expected = ['a applied then', 'b behind', 'never started missing']
    assert.deepEqual(statesOf(await a.bus.status('p')), expected)
    isKnown = false
    assert.deepEqual(statesOf(await a.bus.status('p', { waitMs: 4_000 })), expected)
    assert.equal(a.said.filter((line) => /no DNS/.test(line)).length, 1)
    isKnown = true
    await a.bus.status('p')
    isKnown = false
    release()
    await a.bus.status('p', { waitMs: 4_000 })
    assert.equal(a.said.filter((line) => /no DNS/.test(line)).length, 2)
  })

  test('survive a restart of the server while they are published: none is lost, none comes twice', async (t) => {
    const own = await startNats()
    t.after(() => own.stop())
    const { open } = group(t, { servers: own.urls })
    const [first, second] = [await open('a'), await open('b')]
    const publishing = (async () => {
      for (let id = 0; id < 60; id++) {
        await first.bus.publish(purge(`p${id}`))
        await sleep(10)
      }
    })()
    await sleep(200)
    await own.servers[0]?.signal('SIGTERM')
    await sleep(1_000)
    await own.servers[0]?.restart()
    await publishing
    for (const { heard } of [first, second]) {
      await until(() => heard.includes('p59'))
      assert.deepEqual(heard, ['gap', ...Array.from({ length: 60 }, (_, id) => `p${id}`)])
    }
    await until(() => first.isCurrent && second.isCurrent)
  })

  test('do not keep a machine from starting when there is no server: it says so, and hears them when there is', async (t) => {
    const own = await startNats()
    t.after(() => own.stop())
    await own.servers[0]?.signal('SIGKILL')
    const { open } = group(t, { servers: own.urls })
    const machine = await open('a', {}, false)
    await until(() => machine.said.length > 0)
    assert.match(machine.said.join(), /NATS cannot be reached at nats:\/\/127\.0\.0\.1:\d+/)
    assert.equal(machine.isCurrent, false)
    await own.servers[0]?.restart()
    await until(() => machine.isCurrent)
    await machine.bus.publish(purge('p'))
    await until(() => machine.heard.includes('p'))
  })

  test('cannot be heard while the network is cut, and are heard when it is healed', async (t) => {
    const own = await startNats()
    t.after(() => own.stop())
    const { open } = group(t, { servers: own.urls, connection: { pingInterval: 300, maxPingOut: 1 } })
    const machine = await open('a')
    await own.servers[0]?.signal('SIGSTOP')
    await until(() => !machine.isCurrent)
    await own.servers[0]?.signal('SIGCONT')
    await until(() => machine.isCurrent)
    await machine.bus.publish(purge('p'))
    await until(() => machine.heard.includes('p'))
  })

  test('of a time when a machine was cut off are all heard before it counts as current again', async (t) => {
    const own = await startNats()
    t.after(() => own.stop())
    const { open, name } = group(t, { servers: own.urls, connection: { reconnectTimeWait: 4_000, reconnectJitter: 0 } })
    const machine = await open('a')
    const ofConnection = (): string[] => machine.said.filter((line) => /cut off|connected/.test(line))
    assert.deepEqual([machine.bus.stats().connected, ofConnection()], [true, []])
    await own.servers[0]?.signal('SIGKILL')
    await until(() => !machine.isCurrent)
    assert.equal(machine.bus.stats().connected, false)
    const published = (async () => {
      // While the machine waits before it connects again.
      const nc = await connect({ servers: own.urls as string[], waitOnFirstConnect: true, reconnectTimeWait: 1 })
      for (let id = 0; id < 300; id++) nc.publish(`${name}.purges`, orderText(purge(`p${id}`), 'b'))
      await nc.flush()
      await nc.close()
    })()
    await own.servers[0]?.restart()
    await published
    await until(() => machine.heard.includes('p299') && machine.isCurrent)
    assert.deepEqual(machine.currentAt, [1, 301])
    assert.equal(machine.bus.stats().connected, true)
    assert.deepEqual(ofConnection(), [`purges (${name}): cut off from NATS`, `purges (${name}): connected again`])
    await machine.bus.close()
    assert.equal(machine.bus.stats().connected, false)
    assert.equal(ofConnection().length, 2)
  })

  test('that a machine has yet to apply are still counted while it is cut off', async (t) => {
    const own = await startNats()
    t.after(() => own.stop())
    const { open, name } = group(t, { servers: own.urls })
    // A disk that takes nothing: no more than 1,000 purges come before one is safe.
    const { promise: never } = Promise.withResolvers<void>()
    const { bus } = await open('a', { keep: () => never, clock: hurried(10) })
    const nc = await connect({ servers: own.urls as string[] })
    for (let id = 0; id < 1_100; id++) nc.publish(`${name}.purges`, orderText(purge(`p${id}`), 'b'))
    await nc.flush()
    await nc.close()
    await until(() => bus.stats().behind > 0)
    await own.servers[0]?.signal('SIGKILL')
    await until(() => !bus.stats().connected)
    assert.ok(bus.stats().behind > 0)
  })
})

test('machines are named by the first word of each member of a TXT record, as Fly writes them', async () => {
  const machines = dnsMachines('all.vms.app.internal', async (name) => {
    assert.equal(name, 'all.vms.app.internal')
    return [['148e fra,', '3d8d nrt'], ['148e fra'], ['']]
  })
  assert.deepEqual(await machines(), ['148e', '3d8d'])
})

test('a name becomes one that NATS takes, and the same again', () => {
  for (const name of ['web-1.example.com', 'zwölf', 'a b*>', '=2e', '148e4']) {
    assert.match(tokenOf(name), /^[\w=-]+$/)
    assert.equal(machineOf(tokenOf(name)), name)
  }
})

test('options that NATS would not take are refused at once', () => {
  for (const wrong of [{ name: 'a.b' }, { keepDays: 0 }, { keepPurges: 1.5 }])
    assert.throws(() => nats({ servers: 'nats://127.0.0.1:1', ...wrong }), RangeError)
})
