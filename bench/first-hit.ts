// From nothing to the first cached response, as a new user has it: `npm run bench:first-hit`, after `npm run build`. An empty home, an empty cache of
// npm, the packed packages, the machine's own (old) Node if it has one; in a terminal, answering nothing but the origin.
import { performance } from 'node:perf_hooks'
import { freePort } from '../packages/core/test/support/free-port.ts'
import { answered, createInTerminal, hasTerminal, oldNode, registry, site, user } from '../test/packed/support.ts'

const GOAL_S = 90

const [packed, origin] = [await registry(), await site()]
const old = oldNode()
const me = user(packed.url, { bin: old?.bin, isNew: true })
const steps: [what: string, seconds: number][] = []

async function timed<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  const began = performance.now()
  const result = await work()
  steps.push([what, (performance.now() - began) / 1000])
  return result
}

try {
  const create = 'npx --yes create-simple-cdn my-cdn'
  await timed(create, () => (hasTerminal ? createInTerminal(me, origin.url) : me.run(`${create} --yes --origin ${origin.url}`)))
  await timed('npm install', () => me.run('npm install', { in: 'my-cdn' }))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  const cacheStatus = await timed('npm run dev, curl, curl', async () => {
    const dev = me.start('npm run dev', { in: 'my-cdn', env: { PORT: String(port) } })
    await (await answered(url, dev)).text()
    const response = await fetch(url)
    await response.text()
    return response.headers.get('Cache-Status') ?? ''
  })
  const total = steps.reduce((sum, [, seconds]) => sum + seconds, 0)
  const isHit = cacheStatus.includes('; hit')
  console.log(
    `Node ${old?.version ?? process.version}, nothing downloaded before${hasTerminal ? ', answering nothing but the origin' : ''}`,
  )
  for (const [what, seconds] of steps) console.log(`${seconds.toFixed(1).padStart(6)} s  ${what}`)
  console.log(`${total.toFixed(1).padStart(6)} s  in all: Cache-Status: ${cacheStatus}; the goal is ${GOAL_S} s`)
  process.exitCode = isHit && total < GOAL_S ? 0 : 1
} finally {
  await me.end()
  packed.close()
  origin.close()
}
