// What the cache says of itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCdn } from '@simple-cdn/core'

test('is said though a sink fails to say how it is', async () => {
  const sink = { write() {}, flush: async () => {}, close: async () => {} }
  const cdn = createCdn({
    origins: {},
    routes: [{ match: '/*', respond: { status: 204 } }],
    log: [
      { ...sink, name: 'fails', stats: () => assert.fail('no figures') },
      { ...sink, name: 'tells', stats: () => ({ taken: 3 }) },
    ],
  })
  assert.deepEqual(
    cdn.stats().log.map(({ name, figures }) => [name, figures]),
    [
      ['fails', { error: 'no figures' }],
      ['tells', { taken: 3 }],
    ],
  )
  await cdn.close()
})
