// run.mjs on machines good and bad: a copy of it in an empty folder, with npm and pnpm played by shell scripts that write down what they did.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'

const original = join(import.meta.dirname, '../run.mjs')

const manifest = (oldestNode: string) =>
  JSON.stringify({
    packageManager: 'pnpm@2.0.0',
    engines: { node: `>=${oldestNode}` },
    config: { node: '98.7.6' },
    scripts: { 'do:say': 'node say.mjs', 'do:serve': 'node serve.mjs' },
  })

// While a file called "wait" is there, npm takes its time; with one called "offline", it fails.
const npm = `#!/bin/sh
echo "npm $*" >> log
while [ -e wait ]; do sleep 0.02; done
[ -e offline ] && exit 1
mkdir -p .toolchain/node_modules/.bin
ln -sf '${process.execPath}' .toolchain/node_modules/.bin/node
printf '#!/bin/sh\\necho "pnpm $*" >> log\\nmkdir -p node_modules\\n' > .toolchain/node_modules/.bin/pnpm
chmod +x .toolchain/node_modules/.bin/pnpm
`

const say = `console.log(JSON.stringify(process.argv.slice(2)))
process.exitCode = 7`

const serve = `import { appendFileSync } from 'node:fs'
setTimeout(() => {}, 20_000)
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    appendFileSync('log', 'server stops on ' + signal + '\\n')
    setTimeout(() => process.exit(0), 800)
  })
}
appendFileSync('log', 'server listens\\n')`

interface Run {
  readonly child: ChildProcess
  /** What it printed so far. */
  readonly output: () => string
  readonly exit: Promise<number | null>
}

class Machine {
  readonly #folder = mkdtempSync(join(tmpdir(), 'simple-cdn-run-'))
  readonly #t: TestContext

  constructor(t: TestContext, { oldestNode = '99.0.0' } = {}) {
    this.#t = t
    t.after(() => rmSync(this.#folder, { recursive: true, force: true }))
    copyFileSync(original, this.path('run.mjs'))
    mkdirSync(this.path('bin'))
    this.write('bin/npm', npm)
    chmodSync(this.path('bin/npm'), 0o755)
    this.write('package.json', manifest(oldestNode))
    this.write('pnpm-workspace.yaml', '')
    this.write('pnpm-lock.yaml', '')
    this.write('say.mjs', say)
    this.write('serve.mjs', serve)
  }

  path(name: string): string {
    return join(this.#folder, name)
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text)
  }

  remove(name: string): void {
    rmSync(this.path(name))
  }

  /** What npm, pnpm and the server did, in order. */
  log(): string[] {
    return existsSync(this.path('log')) ? readFileSync(this.path('log'), 'utf8').split('\n').filter(Boolean) : []
  }

  run(...args: string[]): Run {
    return this.spawn(process.execPath, ['run.mjs', ...args])
  }

  spawn(file: string, args: string[]): Run {
    const path = [this.path('bin'), dirname(process.execPath), process.env.PATH].join(delimiter)
    const env = { ...process.env, PATH: path, npm_lifecycle_event: 'start' }
    const child = spawn(file, args, { cwd: this.#folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#t.after(() => child.kill('SIGKILL'))
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk))
    return { child, output: () => output, exit: new Promise((done) => child.on('close', done)) }
  }

  /** Waits, twenty seconds at most, until `seen` holds. */
  async until(seen: () => boolean): Promise<void> {
    await this.#t.waitFor(() => assert.ok(seen(), `${seen}`), { interval: 10, timeout: 20_000 })
  }
}

const install = /^npm install --prefix \.toolchain .*node-\S+@98\.7\.6 pnpm@2\.0\.0$/
const pnpmInstall = 'pnpm install --frozen-lockfile'

describe('run.mjs', { concurrency: true }, () => {
  test('brings Node, pnpm and the dependencies once, and hands on arguments and exit code', async (t) => {
    const machine = new Machine(t)
    assert.equal(await machine.run('say', 'a b', '--c').exit, 7)
    assert.equal(machine.log().length, 2)
    assert.match(machine.log()[0] ?? '', install)
    assert.equal(machine.log()[1], pnpmInstall)

    const again = machine.run('say', 'a b', '--c')
    assert.equal(await again.exit, 7)
    assert.equal(again.output(), '["a b","--c"]\n')
    assert.equal(machine.log().length, 2)
  })

  test('brings pnpm only where Node is new enough', async (t) => {
    const machine = new Machine(t, { oldestNode: '22.19.0' })
    await machine.run().exit
    assert.match(machine.log()[0] ?? '', /--loglevel=error pnpm@2\.0\.0$/)
  })

  test('leaves what an older Node brought to a newer one', async (t) => {
    const machine = new Machine(t)
    await machine.run('say').exit
    machine.write('package.json', manifest('22.19.0'))
    await machine.run('say').exit
    assert.equal(machine.log().filter((line) => line.startsWith('npm')).length, 1)
  })

  test('installs the dependencies, and nothing else, when the lockfile is another', async (t) => {
    const machine = new Machine(t)
    await machine.run('say').exit
    machine.write('pnpm-lock.yaml', 'lockfileVersion: 10')
    await machine.run('say').exit
    assert.deepEqual(machine.log().slice(1), [pnpmInstall, pnpmInstall])
  })

  test('lets one of two terminals install, while the other waits', async (t) => {
    const machine = new Machine(t)
    machine.write('wait', '')
    const runs = [machine.run('say'), machine.run('say')]
    await machine.until(() => machine.log().length > 0 && runs.some((run) => run.output().includes('Another run is installing')))
    machine.remove('wait')
    assert.deepEqual(await Promise.all(runs.map((run) => run.exit)), [7, 7])
    assert.equal(machine.log().length, 2)
  })

  test('starts again after an install that was killed half-way', async (t) => {
    const machine = new Machine(t)
    machine.write('wait', '')
    const killed = machine.run('say')
    await machine.until(() => machine.log().length > 0 && readFileSync(machine.path('.toolchain/lock'), 'utf8').includes(' '))
    const [, npmPid] = readFileSync(machine.path('.toolchain/lock'), 'utf8').split(' ')
    killed.child.kill('SIGKILL')
    process.kill(Number(npmPid), 'SIGKILL')
    machine.remove('wait')
    assert.equal(await machine.run('say').exit, 7)
    assert.equal(machine.log().length, 3)
  })

  test('waits for an npm that outlives its killed terminal', async (t) => {
    const machine = new Machine(t)
    machine.write('wait', '')
    const killed = machine.run('say')
    await machine.until(() => machine.log().length > 0 && readFileSync(machine.path('.toolchain/lock'), 'utf8').includes(' '))
    killed.child.kill('SIGKILL')
    const next = machine.run('say')
    await machine.until(() => next.output().includes('Another run is installing'))
    assert.equal(machine.log().length, 1)
    machine.remove('wait')
    assert.equal(await next.exit, 7)
  })

  test('says what to do when the registry cannot be reached, and works once it can', async (t) => {
    const machine = new Machine(t)
    machine.write('offline', '')
    const failed = machine.run('say')
    assert.equal(await failed.exit, 1)
    assert.match(
      failed.output(),
      /npm install .* failed\. Is the npm registry within reach\? A Node 99\.0\.0 or newer of your own will do, too\./,
    )
    machine.remove('offline')
    assert.equal(await machine.run('say').exit, 7)
  })

  test('names a command that there is not', async (t) => {
    const run = new Machine(t).run('sya')
    assert.equal(await run.exit, 1)
    assert.equal(run.output(), 'run.mjs: package.json has no "do:sya"\n')
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`passes ${signal} on to the server, and ends as it does`, async (t) => {
      const machine = new Machine(t)
      const run = machine.run('serve')
      await machine.until(() => machine.log().includes('server listens'))
      run.child.kill(signal)
      assert.equal(await run.exit, 0)
      assert.equal(machine.log().at(-1), `server stops on ${signal}`)
    })
  }

  test('gives the exit code of a shell for a server that a signal ended', async (t) => {
    const machine = new Machine(t)
    machine.write('serve.mjs', `process.kill(process.pid, 'SIGKILL')`)
    assert.equal(await machine.run('serve').exit, 137)
  })

  test("stops the server when npm's shell is killed, which tells nobody", async (t) => {
    const machine = new Machine(t)
    const shell = machine.spawn('sh', ['-c', `'${process.execPath}' run.mjs serve; exit`])
    await machine.until(() => machine.log().includes('server listens'))
    shell.child.kill('SIGKILL')
    await shell.exit
    assert.deepEqual(machine.log().slice(-2), ['server listens', 'server stops on SIGTERM'])
  })
})
