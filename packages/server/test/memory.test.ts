// What V8 is told of memory: nothing that it does not know, on any Node.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { collectorFlags } from '../src/memory.ts'

const GB = 1024 ** 3

test('where memory is plenty, V8 counts buffers with its heap, on a Node that can', () => {
  const counted = '--external-memory-accounted-in-global-limit'
  for (const [node, is] of [
    ['22.23.5', false],
    ['24.22.3', true],
    ['26.10.0', true],
    ['27.0.0', false],
  ] as const)
    assert.equal(collectorFlags(GB, node).includes(counted), is, node)
  assert.ok(!collectorFlags(GB - 1, '26.10.0').includes(counted))
})

test('this V8 knows every flag', () => {
  for (const bytes of [GB / 8, GB]) {
    const { status, stderr } = spawnSync(process.execPath, [...collectorFlags(bytes, process.versions.node), '-e', ''])
    assert.deepEqual([status, stderr.toString()], [0, ''])
  }
})
