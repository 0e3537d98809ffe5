// Brings what this repository needs (a Node that is new enough, pnpm, the dependencies), then runs one of package.json's "do:" commands:
// `node run.mjs test FILE` runs "do:test" with FILE added; `node run.mjs` alone only brings what is needed.
// It has no dependencies, needs Node 18 with npm, and changes nothing outside this folder but the caches of npm and pnpm.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(fileURLToPath(import.meta.url)))
const { packageManager, engines, config, scripts } = JSON.parse(readFileSync('package.json', 'utf8'))

// engines.node is the oldest Node that will do; config.node is the one to bring when this one is older.
const [have, need] = [process.versions.node, engines.node.replace('>=', '')].map((version) => version.split('.').map(Number))
const old = have[0] < need[0] || (have[0] === need[0] && have[1] < need[1])
const system = `${process.platform}-${process.arch}`.replace('win32', 'win').replace('darwin-arm64', 'bin-darwin-arm64')
const tools = [...(old ? [`node-${system}@${config.node}`] : []), packageManager].join(' ')
const bins = ['.toolchain/node_modules/.bin', 'node_modules/.bin', dirname(process.execPath)].map((bin) => resolve(bin))
const env = { ...process.env, PATH: [...bins, process.env.PATH].join(delimiter) }

// Each folder holds what its key names; the key is written last, so a folder half made has none. Who needs only pnpm, having started with
// a newer Node (perhaps the one brought here), is content with what was brought for an older.
const inputs = ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml'].map((file) => readFileSync(file))
const folders = [
  {
    folder: '.toolchain/node_modules',
    key: tools,
    commands: [`npm install --prefix .toolchain --ignore-scripts --no-save --loglevel=error ${tools}`, 'node --version'],
    help: `Is the npm registry within reach? A Node ${need.join('.')} or newer of your own will do, too.`,
  },
  {
    folder: 'node_modules',
    key: createHash('sha256').update(Buffer.concat(inputs)).digest('hex'),
    commands: ['pnpm install --frozen-lockfile'],
    help: 'Is the npm registry within reach? After a change of dependencies, `pnpm install` brings the lockfile up to date.',
  },
]
const isMissing = ({ folder, key }) => !read(`${folder}/.key`).endsWith(key)

const [name, ...args] = process.argv.slice(2)
const command = scripts[`do:${name}`]
if (name && !command) fail(`package.json has no "do:${name}"`)
if (folders.some(isMissing)) await bring()
if (command) process.exitCode = await run([...command.split(' '), ...args])

async function bring() {
  const lock = '.toolchain/lock'
  mkdirSync('.toolchain', { recursive: true })
  await take(lock)
  for (const { folder, key, commands, help } of folders.filter(isMissing)) {
    if (folder !== 'node_modules') rmSync(folder, { recursive: true, force: true }) // pnpm mends its own
    for (const line of commands) {
      console.error(`> ${line}`)
      const code = await run(line.split(' '), process.stderr, (pid) => renew(lock, `${process.pid} ${pid}`))
      if (code !== 0) fail(`\`${line}\` failed. ${help}`)
    }
    writeFileSync(`${folder}/.key`, key)
  }
  rmSync(lock, { force: true })
}

/** Waits until nobody else installs. The lock names the processes at work: with all of them gone, it was left by a kill and is ours. */
async function take(lock) {
  const own = `${lock}.${process.pid}`
  for (let told = false; ; await sleep(200)) {
    const left = read(lock)
    const holders = left.split(' ').filter(Boolean)
    if (left !== '' && !holders.some(isAlive)) drop(lock, left, own)
    writeFileSync(own, `${process.pid}`)
    try {
      // Makes it with its text in it, or fails: of several who come at the same moment, one has it.
      linkSync(own, lock)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    } finally {
      rmSync(own, { force: true })
    }
    if (told || !holders.some(isAlive)) continue
    told = true
    console.error(`Another run is installing (process ${holders.join(', ')}); waiting. If it is not, delete ${lock}.`)
  }
}

/** In one step, so that nobody finds it empty, whenever we may be killed. */
function renew(lock, text) {
  const own = `${lock}.${process.pid}`
  writeFileSync(own, text)
  renameSync(own, lock)
}

/** Takes a lock away that was left. Of several who find it, one moves it; who has moved somebody's new one puts it back. */
function drop(lock, left, own) {
  try {
    renameSync(lock, own)
    if (read(own) !== left) linkSync(own, lock)
  } catch {}
}

/** The text of a file; none when there is no such file. */
function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs a command to its end and gives its exit code. It gets the signals that we get, and SIGTERM when npm or pnpm was killed above us. */
function run([file, ...args], output = 'inherit', started = () => {}) {
  const child = spawn(file, args, { stdio: ['inherit', output, 'inherit'], env, shell: process.platform === 'win32' })
  // A terminal sends Ctrl-C to the child itself.
  const pass = (signal) => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)
  // npm passes a signal on to its shell, which dies of it and tells nobody.
  const parent = process.ppid
  const watch = setInterval(() => {
    if (!process.env.npm_lifecycle_event || process.ppid === parent) return
    clearInterval(watch)
    child.kill('SIGTERM')
  }, 500)
  return new Promise((done) => {
    child.on('spawn', () => started(child.pid))
    child.on('error', (error) => fail(`${file} cannot be run: ${error.message}`))
    child.on('exit', (code, signal) => {
      clearInterval(watch)
      for (const signal of signals) process.off(signal, pass)
      done(code ?? 128 + constants.signals[signal])
    })
  })
}

function fail(message) {
  console.error(`run.mjs: ${message}`)
  process.exit(1)
}
