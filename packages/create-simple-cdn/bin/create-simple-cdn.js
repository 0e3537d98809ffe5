#!/usr/bin/env node
// Starts the command, or says in one sentence that this Node is too old. Imports nothing before it knows.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major > 20 || (major === 20 && minor >= 12)) {
  import('#bin')
} else {
  console.error(`create-simple-cdn needs Node 20.12 or newer, and this is Node ${process.versions.node}.`)
  process.exitCode = 1
}
