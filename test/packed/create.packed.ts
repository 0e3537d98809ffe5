// Every template as a new user has it: created from the packed packages, installed, checked, tested, run, changed while it runs, built as its image is.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { freePort } from '../../packages/core/test/support/free-port.ts'
import { answered, createInTerminal, hasTerminal, oldNode, type Registry, registry, site, type User, user } from './support.ts'

/** Packages are downloaded and installed, on whatever machine. */
const patient = { timeout: 300_000 }

let packed: Registry
let origin: Awaited<ReturnType<typeof site>>

before(async () => {
  packed = await registry()
  origin = await site()
})
after(() => {
  packed?.close()
  origin?.close()
})

function newUser(t: TestContext, options?: Parameters<typeof user>[1]): User {
  const made = user(packed.url, options)
  t.after(() => made.end())
  return made
}

/** Check, tests, a hit, and a change that the next request sees. */
async function proves(me: User, run: string): Promise<void> {
  const inside = { in: 'my-cdn' } as const
  assert.match(await me.run(`${run} check`, inside), /cdn\.config\.ts is all right/)
  assert.match(await me.run(`${run} test`, inside), /\bpass 4\b/)
  const port = await freePort()
  const dev = me.start(`${run} dev`, { ...inside, env: { PORT: String(port) } })
  const url = `http://127.0.0.1:${port}/`
  await (await answered(url, dev)).text()
  const second = await fetch(url)
  assert.equal(await second.text(), 'hello\n')
  assert.match(second.headers.get('Cache-Status') ?? '', /; hit/)

  const file = join(me.folder, 'my-cdn/cdn.config.ts')
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace('  routes: [', "  routes: [\n    { match: '/added', respond: { status: 418 } },"),
  )
  await answered(`${url}added`, dev, ({ status }) => status === 418)
  await dev.stop()
}

/** Does what the Dockerfile says, but for what needs Docker: layers, users, tools that are installed for everybody. */
async function buildsAsItsImage(me: User): Promise<void> {
  const [project, image] = [join(me.folder, 'my-cdn'), join(me.folder, 'image')]
  mkdirSync(image)
  const ignored = readFileSync(join(project, '.dockerignore'), 'utf8').trim().split('\n')
  const left = new Set(globSync(ignored, { cwd: project }))
  let command: string[] = []
  for (const line of readFileSync(join(project, 'Dockerfile'), 'utf8').split('\n')) {
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? []
    if (instruction === 'COPY') {
      const sources = rest.split(' ').slice(0, -1)
      const files = sources.flatMap((source) => globSync(source, { cwd: project })).filter((file) => !left.has(file))
      assert.ok(files.length >= sources.length, `${line}: there is no such file`)
      for (const file of files) cpSync(join(project, file), join(image, file))
    }
    if (instruction === 'RUN' && !rest.includes('--global') && !rest.startsWith('mkdir'))
      await me.run(rest, { in: 'image', env: { NODE_ENV: 'production' } })
    if (instruction === 'CMD') command = JSON.parse(rest)
  }
  assert.equal(existsSync(join(image, 'node_modules/typescript')), false, 'what is for development stays out')
  const port = await freePort()
  const server = me.start(`exec ${command.join(' ')}`, { in: 'image', env: { PORT: String(port) } })
  const health = await answered(`http://127.0.0.1:${port}/_cdn/health`, server)
  assert.equal(health.status, 204)
  await (await fetch(`http://127.0.0.1:${port}/`)).text()
  const second = await fetch(`http://127.0.0.1:${port}/`)
  await second.text()
  assert.match(second.headers.get('Cache-Status') ?? '', /; hit/)
  assert.equal(await server.stop(), 0, server.printed())
}

// One after the other: two npx at a time wait for each other's lock in npm's cache.
describe('a new project', { timeout: 1_200_000 }, () => {
  test('for Fly, with npm', patient, async (t) => {
    const me = newUser(t)
    const said = await me.run(`npx --yes create-simple-cdn my-cdn --template fly --logs s3 --origin ${origin.url} --yes`)
    assert.match(said, /\n {2}cd my-cdn\n {2}npm install\n {2}npm run dev\n$/)
    await me.run('npm install', { in: 'my-cdn' })
    assert.match(await me.run('npm run check', { in: 'my-cdn' }), /fly\.toml fits/)
    await proves(me, 'npm run')
    await buildsAsItsImage(me)
  })

  test('for Docker, with pnpm', patient, async (t) => {
    const me = newUser(t)
    const said = await me.run(`pnpm create simple-cdn my-cdn --template docker --origin ${origin.url} --disk none --yes`)
    assert.match(said, /\n {2}pnpm install\n {2}pnpm run dev\n/)
    await me.run('pnpm install', { in: 'my-cdn' })
    await proves(me, 'pnpm run')
    await buildsAsItsImage(me)
  })

  test('for plain Node, asked for nothing but the origin', {
    ...patient,
    skip: !hasTerminal && 'no script of util-linux here, which gives it a terminal',
  }, async (t) => {
    const me = newUser(t)
    const said = await createInTerminal(me, origin.url)
    assert.match(said, /7 files in my-cdn/)
    await me.run('npm install', { in: 'my-cdn' })
    await proves(me, 'npm run')
  })

  const old = oldNode()
  test('on a Node that is too old for simple-cdn brings its own', {
    ...patient,
    skip: old === undefined && 'no Node before 22.19 with an npm here',
  }, async (t) => {
    t.diagnostic(`with Node ${old?.version}`)
    const me = newUser(t, { bin: old?.bin })
    const said = await me.run(`npx --yes create-simple-cdn my-cdn --template docker --origin ${origin.url} --yes`)
    assert.match(said, /the project brings its own \(run\.mjs\)/)
    await me.run('npm install', { in: 'my-cdn' })
    await proves(me, 'npm run')
  })

  const alone = 'unshare --map-root-user --net'
  const canBeAlone = spawnSync('sh', ['-c', `${alone} true`]).status === 0
  test('is made without a network, once the command is installed', {
    skip: !canBeAlone && 'nobody can be cut off here',
  }, async (t) => {
    const me = newUser(t)
    mkdirSync(join(me.folder, 'tool'))
    await me.run('npm install create-simple-cdn', { in: 'tool' })
    await me.run(`${alone} tool/node_modules/.bin/create-simple-cdn my-cdn --template fly --origin ${origin.url} --yes`)
    assert.ok(existsSync(join(me.folder, 'my-cdn/fly.toml')))
  })

  test('is not made in a folder that has something in it, from the packed package either', async (t) => {
    const me = newUser(t)
    mkdirSync(join(me.folder, 'full'))
    writeFileSync(join(me.folder, 'full/mine'), '')
    await assert.rejects(
      me.run(`npx --yes create-simple-cdn full --origin ${origin.url} --yes`),
      /full is not empty \(mine\); name a new folder, or empty that one/,
    )
  })
})
