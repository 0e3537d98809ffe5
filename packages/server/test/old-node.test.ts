// The program on a Node that is too old for it: a sentence, before anything is imported that such a Node does not understand.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'

const program = join(import.meta.dirname, '../bin/simple-cdn.js')

/** A Node before 22.19 on this machine: named by OLD_NODE, or found beside the one that runs this. */
function oldNode(): { path: string; version: string } | undefined {
  const named = [process.env.OLD_NODE, ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'))]
  for (const path of [...named, '/usr/bin/node', '/usr/local/bin/node']) {
    if (path === undefined) continue
    try {
      const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().slice(1)
      const [major = 0, minor = 0] = version.split('.').map(Number)
      if (major < 22 || (major === 22 && minor < 19)) return { path, version }
    } catch {
      // None there.
    }
  }
  return undefined
}

const old = oldNode()

test('simple-cdn says in one sentence that Node is too old', { skip: old === undefined && 'no Node before 22.19 here' }, (t) => {
  if (old === undefined) return
  t.diagnostic(`with Node ${old.version}`)
  const { status, stdout, stderr } = spawnSync(old.path, [program, 'start'], { encoding: 'utf8' })
  assert.equal(stderr, `simple-cdn needs Node 22.19 or newer, and this is Node ${old.version}.\n`)
  assert.deepEqual([status, stdout], [1, ''])
})
