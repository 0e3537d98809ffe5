// The same against a server that is not ours: Ceph's RADOS Gateway, with signatures and conditional writes in earnest.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '@simple-cdn/core'
import { changelogCsv, type LogBatch } from '@simple-cdn/core/log'
import { logEntry } from '@simple-cdn/testing'
import { S3Client, s3Batches, s3Sink } from '../src/index.ts'
import { cephIsMissing, startCeph } from './ceph.ts'

const missing = cephIsMissing()

test('Ceph takes entries once each, and proves it', { skip: missing ?? false }, async (t) => {
  const ceph = await startCeph()
  t.after(() => ceph.stop())
  const access = {
    endpoint: ceph.url,
    bucket: 'logs',
    region: 'us-east-1',
    accessKeyId: ceph.accessKeyId,
    secretAccessKey: ceph.secretAccessKey,
  }
  const client = new S3Client(access)
  await client.createBucket()
  const today = new Date(systemClock.now()).toISOString().slice(0, 10)

  await t.test('from a queue', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-s3-'))
    const sink = s3Sink({ ...access, format: changelogCsv, spool: { folder, rotateBytes: 50_000 } })
    sink.open?.({ clock: systemClock, place: { machine: 'm-1', region: 'fra' }, onMessage: (message) => assert.fail(message) })
    for (let sequence = 0; sequence < 2_000; sequence++) sink.write(logEntry({ sequence, bytes: sequence }))
    await sink.flush()
    await sink.close()
    rmSync(folder, { recursive: true, force: true })
    const reading = s3Batches({ ...access, format: changelogCsv })
    const found = await reading.verify?.(today, { read: true })
    assert.deepEqual(
      found?.map(({ served, landed, gaps, twice, damaged, open }) => [served, landed, gaps, twice, damaged, open]),
      [[2000, 2000, [], [], [], false]],
    )
    let text = ''
    for await (const part of reading.read?.(today) ?? []) text += part
    assert.deepEqual(
      text
        .trimEnd()
        .split('\n')
        .map((line) => Number(line.split(',')[3])),
      Array.from({ length: 2_000 }, (_, at) => at),
    )
    await reading.close?.()
  })

  const large = Buffer.alloc(11 * 1024 * 1024, 'a line of a log\n')
  const batch: LogBatch = {
    ...{ machine: 'm-1', region: 'fra', boot: '20140606T000000-abcdef', date: '2014-06-06', openedAt: Date.UTC(2014, 5, 6) },
    ...{ first: 0, last: 9, entries: 10, dropped: [], text: large, sha256: createHash('sha256').update(large).digest('hex') },
  }

  await t.test('in parts', async () => {
    const sink = s3Batches({ ...access, partBytes: 5 * 1024 * 1024 })
    const key = await sink.deliver(batch, AbortSignal.timeout(30_000))
    assert.ok((await client.get(key)).body.equals(large))
    assert.equal((await client.head(key)).headers['x-amz-meta-sha256'], batch.sha256)
    await sink.close?.()
  })

  await t.test('and refuses to write over what is there', async () => {
    const sink = s3Batches(access)
    const key = await sink.deliver(batch, AbortSignal.timeout(30_000))
    // The first reply may have been lost.
    assert.equal(await sink.deliver(batch, AbortSignal.timeout(30_000)), key)
    await client.put(key, Buffer.from('other\n'), { headers: { 'x-amz-meta-sha256': '0'.repeat(64) } })
    await assert.rejects(sink.deliver(batch, AbortSignal.timeout(30_000)), { retry: false })
    await sink.close?.()
  })
  await client.close()
})
