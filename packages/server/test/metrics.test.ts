// Figures as Prometheus reads them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricsText } from '../src/metrics.ts'

test('two of one name are told apart', () => {
  const log = [
    { name: 's3:logs', dropped: 0 },
    { name: 's3:logs', dropped: 7 },
  ]
  assert.match(metricsText({ log }), /\{sink="s3:logs"\} 0\n.*\{sink="s3:logs \(1\)"\} 7\n$/)
  const hooks = [{ host: 'hooks.example.com', lost: 1 }]
  assert.match(metricsText({ purgeApi: { hooks } }), /\{hook="hooks.example.com"\} 1\n/)
})

test('every number has a name made of where it stands, and the members of lists are told apart', () => {
  const stats = {
    requests: 3,
    store: { name: 'memory', maxBytes: 100 },
    origins: [{ name: 'app', addresses: [{ url: 'http://a"b\\c', healthy: true }] }],
    log: [
      { name: 's3:logs', dropped: 2, figures: { taken: 5, dropped: 9, lastError: 'none' } },
      { name: 'tail', dropped: 0 },
    ],
    nobody: undefined,
  }
  assert.equal(
    metricsText(stats),
    [
      '# TYPE simple_cdn_requests untyped',
      'simple_cdn_requests 3',
      '# TYPE simple_cdn_store_max_bytes untyped',
      'simple_cdn_store_max_bytes 100',
      '# TYPE simple_cdn_origins_addresses_healthy untyped',
      'simple_cdn_origins_addresses_healthy{origin="app",address="http://a\\"b\\\\c"} 1',
      '# TYPE simple_cdn_log_dropped untyped',
      'simple_cdn_log_dropped{sink="s3:logs"} 2',
      'simple_cdn_log_dropped{sink="tail"} 0',
      '# TYPE simple_cdn_log_taken untyped',
      'simple_cdn_log_taken{sink="s3:logs"} 5',
      '',
    ].join('\n'),
  )
})
