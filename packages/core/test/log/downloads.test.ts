// Downloads, counted by bytes and by listeners, from lines of each format that is counted from.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LogEntry } from '@simple-cdn/core'
import { changelogCsv, downloadCounter, flat, jsonLine, readDownloadLine } from '@simple-cdn/core/log'
import { logEntry } from '@simple-cdn/testing'

const DAY = Date.UTC(2014, 5, 6)
const HOUR = 3_600_000
const SIZE = 10_000_000

function counted(entries: readonly Partial<LogEntry>[], format = jsonLine) {
  const counter = downloadCounter({ from: DAY, until: DAY + 24 * HOUR })
  for (const facts of entries) {
    const line = readDownloadLine(format(logEntry({ bytes: SIZE, ...facts })).trimEnd())
    assert.ok(line !== undefined)
    counter.add(line)
  }
  const [file, ...others] = counter.report()
  assert.deepEqual(others, [])
  return file && [file.byBytes, file.listeners, file.addresses]
}

const rows: readonly (readonly [what: string, entries: readonly Partial<LogEntry>[], expected: readonly number[] | undefined])[] =
  [
    ['a whole file is a download and a listener', [{}], [1, 1, 1]],
    ['ranges of one listener are summed', [{}, { status: 206, bytes: SIZE / 2 }, { status: 206, bytes: SIZE / 4 }], [1.75, 1, 1]],
    ['a listener who got less than a minute is none', [{}, { clientAddress: '192.0.2.9', bytes: 900_000 }], [1.09, 1, 2]],
    [
      'a minute may come in parts',
      [{}, ...[1, 2].map(() => ({ clientAddress: '192.0.2.9', status: 206, bytes: 500_000 }))],
      [1.1, 2, 2],
    ],
    [
      'robots send bytes and do not listen',
      [{ userAgent: 'Googlebot/2.1' }, { userAgent: 'curl/8' }, { userAgent: undefined }],
      [3, 0, 1],
    ],
    ['another agent at the same address is another listener', [{}, { userAgent: 'AntennaPod/3' }], [2, 2, 1]],
    [
      'what is no success, and no bytes, counts nothing',
      [{}, { status: 304, bytes: 0 }, { status: 404, bytes: 500 }, { method: 'HEAD', bytes: 0 }],
      [1, 1, 1],
    ],
    ['who began within a day before is not counted again', [{ at: DAY - HOUR }, { at: DAY + HOUR }], [1, 0, 1]],
    ['after 24 hours a listener counts again', [{ at: DAY - HOUR }, { at: DAY + 23 * HOUR + 1 }], [1, 1, 1]],
    ['what came before the day, or after it, is not in its bytes', [{ at: DAY - HOUR }, { at: DAY + 25 * HOUR }], undefined],
    ['a sample stands for what was left out', [{ sampleRate: 10 }], [10, 1, 1]],
  ]

describe('downloads', () => {
  for (const [what, entries, expected] of rows) it(what, () => assert.deepEqual(counted(entries), expected))

  it('are the same from every format', () => {
    const entries = [{}, { status: 206, bytes: SIZE / 2, clientAddress: '192.0.2.9' }, { userAgent: 'a "b", c' }]
    for (const format of [jsonLine, flat(), changelogCsv]) assert.deepEqual(counted(entries, format), [2.5, 3, 2])
  })
  it('go by the size that is known, if one is', () => {
    const counter = downloadCounter({ from: DAY, until: DAY + 24 * HOUR, sizes: new Map([['/a.mp3', 2 * SIZE]]) })
    const line = readDownloadLine(jsonLine(logEntry({ url: 'https://x/a.mp3?y', bytes: SIZE })))
    assert.ok(line !== undefined)
    counter.add(line)
    assert.deepEqual(
      counter.report().map(({ byBytes, isSizeGuessed }) => [byBytes, isSizeGuessed]),
      [[0.5, false]],
    )
  })
  it('are not made of lines that are something else', () => {
    for (const line of ['', 'x', '{', '{}', '{"at":1,"url":"http://x/"}', 'a,b,c'])
      assert.equal(readDownloadLine(line), undefined, line)
  })
})
