// The store on disk that the program opens.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDisk } from '../src/disk.ts'

const MB = 1024 * 1024
const quiet = { info() {}, warn() {}, error() {}, fatal() {} }

test('as much may wait for the disk as the cache may hold in memory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-disk-'))
  try {
    const store = await openDisk('1gb', folder, quiet, 64 * MB)
    const slice = new Uint8Array(MB)
    const written = await Promise.all(Array.from({ length: 60 }, (_, number) => store?.writeSlice('a', number, slice)))
    assert.deepEqual(new Set(written), new Set([true]))
    await store?.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
