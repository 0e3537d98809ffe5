// Every package on every Node that is supported: installed from its tarball, imported, and answering.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePort } from '../../packages/core/test/support/free-port.ts'
import { answered, nodeOf, type Registry, registry, site, type User, user } from './support.ts'

const MAJORS = [22, 24, 26]

let packed: Registry
let origin: Awaited<ReturnType<typeof site>>
let me: User

before(async () => {
  packed = await registry()
  origin = await site()
  me = user(packed.url)
  writeFileSync(join(me.folder, 'package.json'), '{ "private": true, "type": "module" }')
  await me.run(`npm install --loglevel=error ${packed.packages.map(({ name }) => name).join(' ')}`)
  writeFileSync(
    join(me.folder, 'cdn.config.ts'),
    `import { defineConfig } from 'simple-cdn'
    export default defineConfig({ origins: { app: '${origin.url}' }, routes: [{ match: '/*', origin: 'app' }], disk: '64mb', log: [] })`,
  )
  writeFileSync(
    join(me.folder, 'stores.test.ts'),
    `import { cacacheStore } from '@simple-cdn/store-cacache'
    import { diskStore } from '@simple-cdn/store-disk'
    import { testStore } from '@simple-cdn/testing'
    let count = 0
    testStore({ name: 'disk', create: ({ maxBytes }) => diskStore({ folder: \`\${process.version}/disk/\${count++}\`, maxBytes }) })
    testStore({ name: 'cacache', create: ({ maxBytes }) => cacacheStore({ folder: \`\${process.version}/cacache/\${count++}\`, maxBytes }) })`,
  )
})
after(async () => {
  await me?.end()
  packed?.close()
  origin?.close()
})

/** What one writes behind \`import\`, for each package. */
function entries(): string[] {
  return packed.packages.flatMap(({ name }) => {
    const { exports } = JSON.parse(readFileSync(join(me.folder, 'node_modules', name, 'package.json'), 'utf8')) as {
      readonly exports: object
    }
    return Object.keys(exports)
      .filter((subpath) => !subpath.endsWith('.json'))
      .map((subpath) => name + subpath.slice(1))
  })
}

for (const major of MAJORS)
  describe(`on Node ${major}`, () => {
    const { bin, version } = nodeOf(major)

    test('every entry point can be imported', async (t) => {
      t.diagnostic(`with Node ${version}`)
      const imports = entries().map((entry) => `await import('${entry}')`)
      assert.ok(imports.length > 10)
      await me.run(`${join(bin, 'node')} --input-type=module --eval "${imports.join('; ')}"`)
    })

    test('the program answers, from the store the second time, and ends when it is told to', async () => {
      const port = await freePort()
      const server = me.start(`exec ${join(bin, 'node')} node_modules/simple-cdn/bin/simple-cdn.js start --port ${port}`)
      await (await answered(`http://127.0.0.1:${port}/${major}`, server)).text()
      const second = await fetch(`http://127.0.0.1:${port}/${major}`)
      assert.equal(await second.text(), 'hello\n')
      assert.match(second.headers.get('Cache-Status') ?? '', /; hit/)
      // Only then is it ready to be told to end.
      await answered(`http://127.0.0.1:${port}/${major}`, server, () => server.printed().includes('"listening on '))
      assert.equal(await server.stop(), 0, server.printed())
    })

    test('the stores on disk keep what they promise', async () => {
      assert.match(await me.run(`${join(bin, 'node')} --test stores.test.ts`), /\bfail 0\b/)
    })
  })
