// Purges of other machines come over a bus: each is applied by one's own clock, and who cannot hear does not claim to know.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  createCdn,
  memoryStore,
  type Purge,
  type PurgeBus,
  type PurgeConfig,
  type PurgeJournal,
  type PurgeSubscriber,
} from '@simple-cdn/core'
import { fakeClock, requestFor, scriptedOrigin, settled } from '@simple-cdn/testing'

const DAY_MS = 86_400_000

function bus() {
  const published: Purge[] = []
  const state = { published, isDown: false, machine: undefined as PurgeSubscriber | undefined }
  const made: PurgeBus = {
    name: 'test',
    subscribe(subscriber) {
      state.machine = subscriber
    },
    async publish(purge) {
      if (state.isDown) throw new Error('nobody answers')
      published.push(purge)
    },
    status: async (id) => ({ id, machines: [] }),
    stats: () => ({ connected: !state.isDown, behind: 0, published: published.length, failed: 0, gaps: 0 }),
    close: async () => undefined,
  }
  return Object.assign(state, {
    bus: made,
    to: () => state.machine as PurgeSubscriber,
    /** As it comes from a machine whose clock is behind by a day. */
    send: (value: string, cursor = '1') =>
      state.machine?.apply({ id: value, at: -DAY_MS, soft: false, kind: 'surrogate-key', value }, cursor),
  })
}

interface Line {
  readonly purge: Purge
  readonly cursor: string | undefined
}

function site({ trustFor, cursor }: { trustFor?: PurgeConfig['trustFor']; cursor?: string } = {}) {
  const shared = bus()
  const lines: Line[] = []
  const journal: PurgeJournal = {
    load: () => ({ purges: lines.map(({ purge }) => purge), gapUntil: undefined, cursor }),
    append: async (purge, _, at) => void lines.push({ purge, cursor: at }),
    close: async () => undefined,
  }
  const store = memoryStore({ maxBytes: 1_000_000 })
  const [clock, app] = [fakeClock(), scriptedOrigin('app')]
  app.answer(({ target }) => ({ headers: { 'Cache-Control': 'max-age=86400', 'Surrogate-Key': target.slice(1) }, body: 'x' }))
  const start = () =>
    createCdn(
      {
        origins: { app },
        routes: [{ match: '/*', origin: 'app' }],
        store: { ...store, close: async () => undefined },
        log: [],
        purge: { bus: shared.bus, ...(trustFor !== undefined && { trustFor }) },
      },
      { clock, purges: journal },
    )
  let cdn = start()
  return {
    shared,
    lines,
    clock,
    cdn: () => cdn,
    restart() {
      cdn = start()
    },
    async isHit(path: string): Promise<boolean> {
      await clock.advance(1)
      const answer = await cdn.handle(requestFor(path))
      for await (const _ of (answer.body ?? []) as AsyncIterable<Uint8Array>);
      answer.finished(0, true)
      await settled()
      return /; hit/.test(answer.fields.join())
    },
  }
}

describe('a purge of another machine', () => {
  it('takes what was asked for before this machine heard of it, whatever the clock of the other says', async () => {
    const { shared, isHit, clock } = site()
    shared.to().hears(true)
    for (const path of ['/a', '/b']) await isHit(path)
    await clock.advance(1)
    await shared.send('a')
    assert.deepEqual([await isHit('/a'), await isHit('/b'), await isHit('/a')], [false, true, true])
  })

  it('is kept together with its place on the bus', async () => {
    const { shared, lines } = site()
    await shared.send('a', 'place 7')
    assert.deepEqual(
      lines.map(({ purge: { id }, cursor }) => [id, cursor]),
      [['a', 'place 7']],
    )
  })

  it('that may be missing purges everything', async () => {
    const { shared, isHit, lines } = site()
    shared.to().hears(true)
    await isHit('/a')
    await shared.to().gap('place 9')
    assert.deepEqual([await isHit('/a'), await isHit('/a')], [false, true])
    assert.deepEqual([lines[0]?.purge.kind, lines[0]?.cursor], ['everything', 'place 9'])
  })
})

describe('a purge of this machine', () => {
  it('is safe with the bus, is written down with its place when it comes back, and is not applied a second time', async () => {
    const { shared, isHit, cdn, lines } = site()
    shared.to().hears(true)
    await isHit('/a')
    const purge = await cdn().purge({ surrogateKey: 'a' })
    assert.deepEqual([shared.published, lines], [[purge], []])
    assert.deepEqual([await isHit('/a'), await isHit('/a')], [false, true])
    await shared.to().apply(purge, 'place 1')
    assert.equal(await isHit('/a'), true)
    assert.deepEqual(lines, [{ purge, cursor: 'place 1' }])
  })

  it('that the bus does not take holds here, outlives a restart, and fails with its id and what to do', async () => {
    const { shared, isHit, cdn, lines } = site()
    shared.to().hears(true)
    await isHit('/a')
    shared.isDown = true
    await assert.rejects(
      cdn().purge({ surrogateKey: 'a' }, { id: 'mine' }),
      /on this machine only, as mine: test did not take it \(nobody answers\); try again/,
    )
    assert.equal(await isHit('/a'), false)
    assert.deepEqual(
      lines.map(({ purge: { id }, cursor }) => [id, cursor]),
      [['mine', undefined]],
    )
  })
})

describe('a machine that cannot hear the bus', () => {
  it('reuses nothing of before its start until it does, says why, and then everything that was not purged meanwhile', async () => {
    const { shared, isHit, restart, cdn, clock } = site()
    shared.to().hears(true)
    for (const path of ['/a', '/b', '/c']) await isHit(path)
    await clock.advance(1)
    restart()
    assert.equal(cdn().stats().purges.current, false)
    assert.equal(await isHit('/c'), false)
    assert.equal(await isHit('/c'), true, 'what was asked for since the start is used')
    const request = { method: 'GET', scheme: 'http', authority: 'cdn.test', target: '/a', fields: [] } as const
    assert.match((await cdn().explain(request)).lines.join('\n'), /may have been purged while this machine could not hear of it/)
    await shared.send('a')
    shared.to().hears(true)
    assert.deepEqual([await isHit('/a'), await isHit('/b')], [false, true])
    assert.equal(cdn().stats().purges.current, true)
  })

  it('goes on with what it has when it is cut off later, as the configuration does not say otherwise', async () => {
    const { shared, isHit, clock } = site()
    shared.to().hears(true)
    await isHit('/a')
    shared.to().hears(false)
    await clock.advance(DAY_MS / 2)
    assert.equal(await isHit('/a'), true)
  })

  it('asks the origin for everything once it has been cut off for longer than it may trust', async () => {
    const { shared, isHit, clock } = site({ trustFor: '1m' })
    shared.to().hears(true)
    await isHit('/a')
    shared.to().hears(false)
    await clock.advance(30_000)
    shared.to().hears(false)
    assert.equal(await isHit('/a'), true)
    await clock.advance(30_000)
    assert.deepEqual([await isHit('/a'), await isHit('/a')], [false, false])
    shared.to().hears(true)
    assert.equal(await isHit('/a'), true)
    // Heard again in time, it begins anew.
    shared.to().hears(false)
    await clock.advance(59_000)
    shared.to().hears(true)
    await clock.advance(DAY_MS / 2)
    assert.equal(await isHit('/a'), true)
  })

  it('tells the bus where it stands, as its journal says', () => {
    const { shared } = site({ cursor: 'place 3' })
    assert.equal(shared.to().cursor, 'place 3')
  })
})
