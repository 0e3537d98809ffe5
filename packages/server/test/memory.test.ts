// What V8 is told of memory: nothing that it does not know, on any Node.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { collectorFlags } from '../src/memory.ts'

const GB = 1024 ** 3

test('where there is memory enough, V8 counts buffers with its heap, on a Node that can', () => {
  const counted = '--external-memory-accounted-in-global-limit'
  const bounded = '--external-memory-max-growing-factor=1.07'
  for (const [bytes, node, flags] of [
    [GB, '22.19.0', []],
    [GB, '24.1.0', [counted]],
    [GB, '26.10.0', [counted]],
    [GB, '27.0.0', []],
    [GB - 1, '24.1.0', []],
    [GB - 1, '26.10.0', [counted, bounded]],
    [GB / 4, '26.10.0', []],
  ] as const)
    assert.deepEqual(
      collectorFlags(bytes, node).filter((flag) => flag.startsWith('--external')),
      flags,
      `${bytes} bytes, Node ${node}`,
    )
})

test('this V8 knows every flag', () => {
  for (const bytes of [GB / 8, GB / 2, GB]) {
    const { status, stderr } = spawnSync(process.execPath, [...collectorFlags(bytes, process.versions.node), '-e', ''])
    assert.deepEqual([status, stderr.toString()], [0, ''])
  }
})
