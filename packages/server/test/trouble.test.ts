// Counters that should stand still: each growth is logged once, with how much it was.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { watchTrouble } from '../src/trouble.ts'
import { rawClient } from './support/raw-client.ts'
import { logger, type Said, serve } from './support/served.ts'

describe('trouble', () => {
  test('is logged when a counter has grown, once for each look, and not while it stands still', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const said: Said[] = []
    const counters = { dropped: 2, failed: 0 }
    const watch = watchTrouble(
      () => ({ ...counters }),
      logger((line) => said.push(line)),
      1_000,
    )
    const heard = () => said.splice(0).map(({ level, message, facts }) => [level, message, facts])

    t.mock.timers.tick(1_000)
    assert.deepEqual(heard(), [])
    counters.dropped += 5
    t.mock.timers.tick(999)
    assert.deepEqual(heard(), [])
    t.mock.timers.tick(1)
    assert.deepEqual(heard(), [['warn', 'dropped', { more: 5, total: 7 }]])
    t.mock.timers.tick(10_000)
    assert.deepEqual(heard(), [])

    counters.dropped += 1
    counters.failed += 1
    watch.stop()
    assert.deepEqual(heard(), [
      ['warn', 'dropped', { more: 1, total: 8 }],
      ['warn', 'failed', { more: 1, total: 1 }],
    ])
    counters.failed += 1
    t.mock.timers.tick(10_000)
    assert.deepEqual(heard(), [])
  })

  test('of a server is in its log when it stops, at the latest', async (t) => {
    const served = await serve(t, { maxConnections: 1 })
    await rawClient(t, served.url)
    const refused = await rawClient(t, served.url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await refused.end()
    await served.server.close({ graceMs: 0 })
    assert.deepEqual(
      served.said.filter(({ level }) => level === 'warn').map(({ message, facts }) => [message, facts]),
      [['requests were refused: there were too many connections', { more: 1, total: 1 }]],
    )
  })
})
