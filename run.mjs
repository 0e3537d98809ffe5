// Brings what this repository needs (a Node that is new enough, pnpm, the dependencies), then runs one of package.json's "do:" commands:
// `node run.mjs test FILE` runs "do:test" with FILE added; `node run.mjs` alone only brings what is needed.
// It has no dependencies, needs Node 18 with npm, and changes nothing outside this folder but the caches of npm and pnpm.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(fileURLToPath(import.meta.url)))
const lock = '.toolchain/lock'
const { packageManager, engines, config, scripts } = JSON.parse(readFileSync('package.json', 'utf8'))

// engines.node is the oldest Node that will do; config.node is the one to bring when this one is older.
const [have, need] = [process.versions.node, engines.node.replace('>=', '')].map((version) => version.split('.').map(Number))
const old = have[0] < need[0] || (have[0] === need[0] && have[1] < need[1])
const system = `${process.platform}-${process.arch}`.replace('win32', 'win').replace('darwin-arm64', 'bin-darwin-arm64')
const tools = [...(old ? [`node-${system}@${config.node}`] : []), packageManager].join(' ')
const bins = ['.toolchain/node_modules/.bin', 'node_modules/.bin', dirname(process.execPath)].map((bin) => resolve(bin))
const env = { ...process.env, PATH: [...bins, process.env.PATH].join(delimiter) }

// Each folder holds what its key names. The key is written last, so a folder half made has none.
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
const missing = () =>
  folders.filter(({ folder, key }) => !existsSync(`${folder}/.key`) || readFileSync(`${folder}/.key`, 'utf8') !== key)

async function bring() {
  await takeLock()
  for (const { folder, key, commands, help } of missing()) {
    if (folder !== 'node_modules') rmSync(folder, { recursive: true, force: true }) // pnpm mends its own
    for (const command of commands) {
      console.error(`> ${command}`)
      if ((await run(command.split(' '), (pid) => writeFileSync(lock, `${process.pid} ${pid}`))) !== 0)
        fail(`\`${command}\` failed. ${help}`)
    }
    writeFileSync(`${folder}/.key`, key)
  }
  rmSync(lock)
}

/** Waits until we alone may install. The lock names the processes at work; when all of them are gone it was left by a kill, and is ours. */
async function takeLock() {
  mkdirSync('.toolchain', { recursive: true })
  for (let told = false; ; ) {
    const holders = existsSync(lock) ? readFileSync(lock, 'utf8').split(' ').map(Number).filter(Boolean) : []
    if (!holders.some(isAlive)) {
      writeFileSync(lock, `${process.pid}`)
      await sleep(100) // Who came at the same moment wrote it too; the last to write has it.
      if (readFileSync(lock, 'utf8') === `${process.pid}`) return
    }
    if (!told)
      console.error(`Another terminal is installing (process ${holders.join(', ')}); waiting. If there is none, delete ${lock}.`)
    told = true
    await sleep(200)
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs a command to its end and gives its exit code. It gets the signals that we get, and is ended when our parent is gone. */
function run([file, ...args], started = () => {}) {
  const child = spawn(file, args, { stdio: 'inherit', env, shell: process.platform === 'win32' })
  child.on('spawn', () => started(child.pid))
  // A terminal sends Ctrl-C to the child itself.
  const pass = (signal) => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)
  // A signal to npm ends its shell, which passes nothing on.
  const parent = process.ppid
  const watch = setInterval(() => process.ppid !== parent && (clearInterval(watch), pass('SIGTERM')), 300)
  return new Promise((done) => {
    child.on('error', (error) => fail(`${file} cannot be run: ${error.message}`))
    child.on('exit', (code, signal) => {
      for (const signal of signals) process.off(signal, pass)
      clearInterval(watch)
      done(code ?? 128 + constants.signals[signal])
    })
  })
}

function fail(message) {
  console.error(`run.mjs: ${message}`)
  process.exit(1)
}

const [name, ...args] = process.argv.slice(2)
const command = scripts[`do:${name}`]
if (name && !command) fail(`package.json has no "do:${name}"`)
if (missing().length > 0) await bring()
process.exit(command ? await run([...command.split(' '), ...args]) : 0)
