#!/usr/bin/env node
// Starts the command line, or says in one sentence that this Node is too old. Imports nothing of ours before it knows.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major > 22 || (major === 22 && minor >= 19)) {
  import('node:v8').then(({ setFlagsFromString }) => {
    // What V8's space for new objects grows to in loading the program, it would keep; "start" lets it grow where there is memory.
    setFlagsFromString('--semi-space-growth-factor=1')
    return import('#bin')
  })
} else {
  console.error(`simple-cdn needs Node 22.19 or newer, and this is Node ${process.versions.node}.`)
  process.exitCode = 1
}
