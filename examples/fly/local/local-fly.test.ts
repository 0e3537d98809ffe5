// Three machines for half a minute: one killed, one stopped and resumed, all deployed, purges all the while. Nothing fails, nothing is old, every line lands.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { natsIsMissing, startNats } from '../../../packages/bus-nats/test/nats-server.ts'
import { fakeS3 } from '../../../packages/sinks/s3/test/fake-s3.ts'
import { faults, runLocalFly } from './run.ts'

test('a machine that fails, one that is away, and a deployment cost nobody an answer', async (t) => {
  const s3 = await fakeS3()
  t.after(() => s3.close())
  const missing = natsIsMissing()
  if (missing !== undefined) t.diagnostic(`without a bus: ${missing}`)
  const nats = missing === undefined ? await startNats() : undefined
  t.after(() => nats?.stop())
  const figures = await runLocalFly({
    regions: ['iad', 'fra', 'nrt'],
    seconds: 15,
    purges: 20,
    perSecond: 40,
    bucket: { endpoint: s3.url, name: 'logs', accessKeyId: 'id', secretAccessKey: 'secret' },
    nats: nats?.urls[0],
    say: (what) => t.diagnostic(what),
  })
  const { traffic, proxy, log, purges } = figures
  assert.deepEqual(faults(figures), [], traffic.examples.join('\n'))
  assert.ok(traffic.requests > 300, `${traffic.requests} requests`)
  assert.equal(purges, 20)
  // Three machines, of which one was killed, one stopped, and all deployed.
  assert.equal(log.length, 8)
  assert.ok(proxy.failed < 20, `${proxy.failed} were under way on the machine that was killed`)
})
