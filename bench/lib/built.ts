// What is measured is what users install: the packages as they are built, not their sources, which take another 30 MB to be read.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
let isBuilt = false

/** Builds all packages, once; then scripts without the condition "@simple-cdn/source" have them. */
export function build(): void {
  if (isBuilt) return
  console.error('Building what is measured.')
  execFileSync('pnpm', ['--recursive', 'run', 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  isBuilt = true
}

/** The program `simple-cdn`, built. */
export function builtProgram(): string {
  build()
  return join(root, 'packages/server/bin/simple-cdn.js')
}
