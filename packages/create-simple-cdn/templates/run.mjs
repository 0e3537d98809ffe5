// Runs a command with a Node that simple-cdn can run on: this one, or, if it is too old, one that npm brings into .node/ the first time.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAJOR = 26
const [major, minor] = process.versions.node.split('.').map(Number)
const isOld = major < 22 || (major === 22 && minor < 19)
const here = dirname(fileURLToPath(import.meta.url))
const bins = [join(here, 'node_modules/.bin')]

if (isOld) {
  const folder = join(here, '.node')
  const bin = join(folder, 'node_modules/.bin')
  if (!existsSync(bin)) bring(folder)
  bins.unshift(bin)
}

const [command, ...args] = process.argv.slice(2)
const windows = process.platform === 'win32'
const env = { ...process.env, PATH: [...bins, process.env.PATH].join(delimiter) }
const child = spawn(command, args, { stdio: 'inherit', env, shell: windows })
child.on('error', (error) => fail(`${command} cannot be run: ${error.message}`))
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
})
// A terminal sends Ctrl-C to the child itself.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))

function bring(folder) {
  const system = `${process.platform}-${process.arch}`.replace('win32', 'win').replace('darwin-arm64', 'bin-darwin-arm64')
  console.error(`Node ${process.versions.node} is too old for simple-cdn: bringing Node ${MAJOR} into .node/ …`)
  // Made beside it and renamed: whoever is killed meanwhile, or comes second, spoils nothing.
  const unfinished = `${folder}.${process.pid}`
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', ['install', '--prefix', unfinished, ...options, `node-${system}@${MAJOR}`], {
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status !== 0) {
    rmSync(unfinished, { recursive: true, force: true })
    fail(`npm could not bring node-${system}. Is its registry within reach? Node 22.19 or newer of your own will do, too.`)
  }
  try {
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}

function fail(message) {
  console.error(`run.mjs: ${message}`)
  process.exit(1)
}
