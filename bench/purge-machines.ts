// Purges across machines when something is wrong: a machine that was away, a stream that has forgotten, a leader that is killed.
import { parseArgs } from 'node:util'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { natsIsMissing, startNats } from '../packages/bus-nats/test/nats-server.ts'
import { type Machine, machines, startVersionedOrigin, until } from './lib/machines.ts'
import { Missing } from './lib/tools.ts'

const { values: options } = parseArgs({ options: { only: { type: 'string' } } })

const PURGES = 1_000
/** Of each kind: those that a purge names, and those that none does. */
const PAGES = 100

const missing = natsIsMissing()
if (missing !== undefined) throw new Missing(missing)

const purgedPages = Array.from({ length: PAGES }, (_, page) => `/purged/k${page}`)
const otherPages = Array.from({ length: PAGES }, (_, page) => `/other/o${page}`)
const since = (begun: number): string => `${((performance.now() - begun) / 1000).toFixed(2)} s`

let failures = 0
function expect(isTrue: boolean, what: string): void {
  console.log(`  ${isTrue ? 'yes' : 'NO '}  ${what}`)
  if (!isTrue) failures++
}

/** Both kinds of pages in the cache of a machine. */
async function fill(machine: Machine): Promise<void> {
  for (const page of [...purgedPages, ...otherPages]) await machine.get(page)
  // On the disk, too, before it is stopped.
  await until(async () =>
    (await Promise.all([...purgedPages, ...otherPages].map((page) => machine.get(page)))).every(({ hit }) => hit),
  )
}

async function away(keepPurges: number): Promise<void> {
  const nats = await startNats()
  const origin = await startVersionedOrigin()
  const all = machines(origin.url, { servers: nats.urls, keepPurges })
  try {
    const [first, second] = [await all.start('m1'), await all.start('m2')]
    for (const machine of [first, second]) await until(async () => (await machine.stats()).purges.current)
    await fill(second)
    await second.stop()
    origin.version = 2
    for (let purge = 0; purge < PURGES; purge++) await first.purge({ purge: [{ surrogateKey: `k${purge}` }] })

    const begun = performance.now()
    const again = await all.start('m2')
    const listening = since(begun)
    let old = 0
    let firstHit = ''
    let appliedThen = 0
    // From its first moment on, all pages again and again until everything is as it should be.
    for (let round = 0; round < 20; round++) {
      const got = await Promise.all(purgedPages.map((page) => again.get(page)))
      old += got.filter(({ version }) => version === 1).length
      const others = await Promise.all(otherPages.map((page) => again.get(page)))
      if (firstHit === '' && others.some(({ hit, version }) => hit && version === 1)) {
        appliedThen = (await again.stats()).purges.applied
        firstHit = since(begun)
      }
    }
    await until(async () => (await again.stats()).purges.current)
    const stats = (await again.stats()).purges
    console.log(`  listening after ${listening}, first answer from the old cache after ${firstHit === '' ? '(never)' : firstHit}`)
    expect(old === 0, `none of ${20 * PAGES} requests for purged pages got the old version (${old})`)
    if (keepPurges >= PURGES) {
      expect(appliedThen === PURGES, `all ${PURGES} were applied before the first answer from the old cache (${appliedThen})`)
      expect(firstHit !== '', 'what was not purged is used again')
      expect(stats.bus?.gaps === 0, 'nothing else counts as purged')
    } else {
      expect(firstHit === '', 'nothing that was stored before is used again')
      expect(stats.bus?.gaps === 1, 'the gap is counted')
      expect(/away for longer than the stream keeps purges/.test(again.said()), 'and the log says so')
    }
  } finally {
    await all.close()
    origin.close()
    await nats.stop()
  }
}

async function leaderKilled(): Promise<void> {
  const nats = await startNats(3)
  const origin = await startVersionedOrigin()
  const all = machines(origin.url, { servers: nats.urls, replicas: 3 })
  try {
    const started: Machine[] = []
    for (let machine = 1; machine <= 4; machine++) started.push(await all.start(`m${machine}`))
    for (const machine of started) await until(async () => (await machine.stats()).purges.current)
    const before = await Promise.all(started.map(async (machine) => (await machine.stats()).purges.applied))
    const [first] = started as [Machine]
    const nc = await connect({ servers: nats.urls as string[] })
    const leader = (await (await jetstreamManager(nc)).streams.info('simple-cdn')).cluster?.leader
    await nc.close()
    const server = nats.servers.find(({ name }) => name === leader)
    if (server === undefined) throw new Error(`nobody leads the stream: ${leader}`)

    let longest = 0
    let last = ''
    const begun = performance.now()
    for (let purge = 0; purge < PURGES; purge++) {
      if (purge === 300) await server.signal('SIGKILL')
      const at = performance.now()
      const { purged } = await first.purge({ purge: [{ surrogateKey: `k${purge}` }] })
      last = purged[0]?.id as string
      longest = Math.max(longest, performance.now() - at)
    }
    const published = performance.now()
    await until(async () => {
      const counts = await Promise.all(started.map(async (machine) => (await machine.stats()).purges.applied))
      return counts.every((count, index) => count - (before[index] as number) >= PURGES)
    })
    console.log(
      `  ${PURGES} purges in ${((published - begun) / 1000).toFixed(2)} s, the longest ${Math.round(longest)} ms; all machines have the last (${last.slice(0, 8)}) ${Math.round(performance.now() - published)} ms after it was acknowledged`,
    )
    const stats = await Promise.all(started.map(async (machine) => (await machine.stats()).purges))
    const counts = stats.map(({ applied }, index) => applied - (before[index] as number))
    expect(
      counts.every((count) => count === PURGES),
      `each of ${started.length} machines has applied each purge once (${counts.join(', ')})`,
    )
    expect(
      stats.every(({ bus }) => bus?.gaps === 0),
      'nobody has missed any, so that everything would count as purged',
    )
    expect(
      stats.every(({ bus }) => bus?.failed === 0),
      'none failed to be published',
    )
    await until(async () => (await Promise.all(started.map((machine) => machine.stats()))).every(({ purges }) => purges.current))
    expect(true, 'all machines hear the bus again')
  } finally {
    await all.close()
    origin.close()
    await nats.stop()
  }
}

const scenes: Readonly<Record<string, readonly [title: string, play: () => Promise<void>]>> = {
  away: [`A machine is stopped, ${PURGES} purges are made, it is started again:`, () => away(1_000_000)],
  forgotten: [`The same, and the stream keeps ${PURGES / 2} of them:`, () => away(PURGES / 2)],
  leader: [`kill -9 of the stream's leader, one of three, during ${PURGES} purges:`, leaderKilled],
}
for (const [name, [title, play]] of Object.entries(scenes)) {
  if (options.only !== undefined && options.only !== name) continue
  console.log(title)
  await play()
}
process.exit(failures === 0 ? 0 : 1)
