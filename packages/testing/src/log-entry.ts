// A log entry to test formats and sinks with: a hit, but for what a test says.
import type { LogEntry } from '@simple-cdn/core'

/** An entry of 6 June 2014, 00:00:00 UTC, with `facts` in place of its own. */
export function logEntry(facts: Partial<LogEntry> = {}): LogEntry {
  return {
    at: Date.UTC(2014, 5, 6),
    instance: 'a1b2c3d4',
    sequence: 0,
    machine: 'm1',
    region: 'fra',
    tier: 'edge',
    method: 'GET',
    url: 'https://cdn.test/uploads/podcast/1/podcast-1.mp3',
    httpVersion: '1.1',
    clientAddress: '192.0.2.1',
    userAgent: 'Overcast/3.0',
    referer: undefined,
    range: undefined,
    route: '/*',
    status: 200,
    bytes: 1000,
    contentType: 'audio/mpeg',
    complete: true,
    cache: { key: 'k', action: 'serve', reason: 'fresh', hit: true, stored: false, collapsed: false, ttl: 59 },
    timing: { lastByte: 3 },
    ...facts,
  }
}
