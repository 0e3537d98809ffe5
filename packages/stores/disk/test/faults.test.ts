// What the disk store does when the disk is full or fails, and when the folder is another's.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { openDiskStore } from '../src/disk-store.ts'
import { type Files, realFiles } from '../src/files.ts'
import { diskStore } from '../src/index.ts'
import { asKilled, assertBytes, bytes, diskUsage, ids, key, MB, meta, newFolder, put, putSliced, sliceOf } from './helpers.ts'

/** Files of a disk that fails on demand. */
function failing(): Files & { broken: Partial<Record<keyof Files, string>> } {
  const broken: Partial<Record<keyof Files, string>> = {}
  const fail = <T>(name: keyof Files, otherwise: () => Promise<T>): Promise<T> =>
    broken[name] === undefined
      ? otherwise()
      : Promise.reject(Object.assign(new Error(`${broken[name]}: ${name}`), { code: broken[name] }))
  return {
    broken,
    open: (path, flags) => fail('open', () => realFiles.open(path, flags)),
    close: (file) => realFiles.close(file),
    read: (file, into, at) => fail('read', () => realFiles.read(file, into, at)),
    readv: (file, into, at) => fail('readv', () => realFiles.readv(file, into, at)),
    // What fails may have been written nevertheless.
    async write(file, parts, at) {
      await realFiles.write(file, parts, at)
      return fail('write', async () => {})
    },
    truncate: (file, size) => fail('truncate', () => realFiles.truncate(file, size)),
    sync: (file) => fail('sync', () => realFiles.sync(file)),
    unlink: (path) => fail('unlink', () => realFiles.unlink(path)),
  }
}

function tmpfs(size: string): { folder: string; unmount: () => void } | string {
  const folder = dirname(newFolder())
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' })
  } catch (error) {
    return `a tmpfs cannot be mounted here: ${(error as Error).message}`
  }
  return { folder, unmount: () => execFileSync('umount', [folder]) }
}

describe('the disk store, on a disk that fails', () => {
  const small = tmpfs('8m')
  const skip = typeof small === 'string' ? small : false

  test('tells each of those that are read together of its own failure only', async () => {
    const files = failing()
    const store = await openDiskStore({ folder: newFolder(), maxBytes: 16 * MB }, { files })
    await putSliced(store, 'a', { length: 300_000, sliceBytes: 100_000 })
    files.broken.readv = 'EIO'
    const read = await Promise.all([0, 1, 2].map((slice) => store.read('a', { slice })))
    for (const [slice, got] of read.entries()) assertBytes(got, sliceOf('a', slice, 300_000, 100_000))
    assert.equal(store.stats().damaged, 0)
    await store.close()
  })

  test('lives with a disk that is smaller than its bound: refuses or evicts, never fails, and loses nothing it kept', {
    skip,
  }, async () => {
    if (typeof small === 'string') return
    const messages: string[] = []
    const folder = join(small.folder, 'cache')
    let store = await diskStore({ folder, maxBytes: 64 * MB, onMessage: (message) => messages.push(message) })
    try {
      let refused = 0
      for (let at = 0; at < 600; at++) {
        if (!(await put(store, `${at}`, 50_000))) refused++
        // What has just been stored may have had to go already, the disk being full.
        const body = at % 10 === 0 ? await store.read(`${at}`) : undefined
        if (body !== undefined) assertBytes(body, bytes(`${at}`, 50_000))
      }
      assert.match(messages[0] ?? '', /ENOSPC/)
      assert.ok(refused > 0 && refused < 60, `${refused} refused`)
      const kept = async (): Promise<string[]> => {
        const there: string[] = []
        for (let at = 0; at < 600; at++) {
          const body = (await store.lookup(key(`${at}`))).length > 0 ? await store.read(`${at}`) : undefined
          if (body === undefined) continue
          assertBytes(body, bytes(`${at}`, 50_000))
          there.push(`${at}`)
        }
        return there
      }
      const before = await kept()
      assert.ok(before.length > 50, `${before.length} are kept`)
      assert.equal(store.stats().damaged, 0)
      await store.close()
      store = await diskStore({ folder, maxBytes: 64 * MB })
      assert.deepEqual(await kept(), before)
      assert.equal(store.stats().damaged, 0)
    } finally {
      await store.close()
      small.unmount()
    }
  })

  for (const code of ['ENOSPC', 'EIO', 'EROFS']) {
    test(`refuses writes while they end with ${code}, goes on serving, and takes them again afterwards`, async () => {
      const folder = newFolder()
      const files = failing()
      const messages: string[] = []
      const store = await openDiskStore({ folder, maxBytes: 16 * MB, onMessage: (message) => messages.push(message) }, { files })
      await put(store, 'before', 1000)
      await put(store, 'removed', 1000)
      files.broken.write = code
      for (let at = 0; at < 20; at++) assert.equal(await put(store, 'during', 1000), false)
      const killedMeanwhile = await diskStore({ folder: asKilled(folder), maxBytes: 16 * MB })
      assert.deepEqual(await ids(killedMeanwhile, 'during'), [])
      assertBytes(await killedMeanwhile.read('before'), bytes('before', 1000))
      await killedMeanwhile.close()
      assert.equal(await store.writeSlice('early', 0, new Uint8Array(10)), false)
      assert.equal(await store.freshen(meta('before', { length: 1000, receivedAt: 9 })), false)
      assert.equal(await store.remove(key('removed')), 1)
      assert.deepEqual(await ids(store, 'during'), [])
      assertBytes(await store.read('before'), bytes('before', 1000))
      assert.equal((await store.lookup(key('before')))[0]?.meta.receivedAt, 2)
      assert.equal(messages.length, 1)
      assert.match(messages[0] ?? '', new RegExp(code))
      delete files.broken.write
      let taken = false
      for (let tries = 0; tries < 3 && !taken; tries++) taken = await put(store, 'after', 1000)
      assert.equal(taken, true)
      assert.equal(messages.length, 2)
      const killed = await diskStore({ folder: asKilled(folder), maxBytes: 16 * MB })
      assert.deepEqual(await ids(killed, 'after'), ['after'])
      assert.deepEqual(await ids(killed, 'removed'), [])
      assert.deepEqual(await ids(killed, 'during'), [])
      await killed.close()
      await store.close()
    })
  }

  test('answers undefined and nothing when reads fail, and counts it', async () => {
    const files = failing()
    const store = await openDiskStore({ folder: newFolder(), maxBytes: 16 * MB, metaCacheBytes: 1000 }, { files })
    await put(store, 'a', 1000)
    await put(store, 'b', 1000)
    files.broken.read = 'EIO'
    assert.deepEqual(await store.lookup(key('a')), [])
    assert.equal(await store.read('b'), undefined)
    assert.equal(store.stats().damaged, 2)
    await store.close()
  })

  test('refuses rather than waits for ever when nothing can be removed, and stays within its bound', async () => {
    const files = failing()
    const folder = newFolder()
    const store = await openDiskStore({ folder, maxBytes: 4 * MB }, { files })
    files.broken.unlink = 'EIO'
    let taken = 0
    for (let at = 0; at < 300; at++) if (await put(store, `${at}`, 30_000)) taken++
    assert.ok(taken < 140, `${taken} taken`)
    assert.ok(diskUsage(folder) <= 4 * MB)
    delete files.broken.unlink
    for (let at = 0; at < 3; at++) await put(store, 'next', 30_000)
    assert.deepEqual(await ids(store, 'next'), ['next'])
    await store.close()
  })

  test('asks the disk to keep what was written, as often as it is told', async () => {
    const files = failing()
    let syncs = 0
    const told: { resolve: () => void } = { resolve: () => {} }
    const synced = new Promise<void>((resolve) => (told.resolve = resolve))
    const counting: Files = {
      ...files,
      async sync(file) {
        syncs++
        told.resolve()
        return realFiles.sync(file)
      },
    }
    const store = await openDiskStore({ folder: newFolder(), maxBytes: 16 * MB, syncEveryMs: 5 }, { files: counting })
    await put(store, 'a', 1000)
    await synced
    assert.ok(syncs >= 1)
    await store.close()
  })

  test('names a bound that is too small', async () => {
    await assert.rejects(diskStore({ folder: newFolder(), maxBytes: 1000 }), /maxBytes is 1000/)
  })
})

describe('the folder of a disk store', () => {
  const child = `
    import { diskStore } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
    await diskStore({ folder: process.argv[1], maxBytes: 4_000_000 })
    console.log('open')
    setInterval(() => {}, 1000)
  `
  async function another(folder: string): Promise<ChildProcess> {
    const started = spawn(process.execPath, ['--conditions=@simple-cdn/source', '--input-type=module', '-e', child, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(started.stdout as NonNullable<typeof started.stdout>, 'data')
    return started
  }

  test('belongs to one process, whose death frees it', async () => {
    const folder = newFolder()
    const other = await another(folder)
    try {
      await assert.rejects(diskStore({ folder, maxBytes: 4 * MB }), new RegExp(`in use by process ${other.pid}`))
    } finally {
      other.kill('SIGKILL')
      await once(other, 'exit')
    }
    const store = await diskStore({ folder, maxBytes: 4 * MB })
    await assert.rejects(diskStore({ folder, maxBytes: 4 * MB }), /in use by this process already/)
    await store.close()
    await (await diskStore({ folder, maxBytes: 4 * MB })).close()
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('lock')),
      [],
    )
  })

  test('is taken over from a dead process whose number another has now, or this one itself', async () => {
    const folder = newFolder()
    mkdirSync(folder)
    for (const stale of [`${process.pid}`, `${process.pid} elsewhere 1`, `${process.ppid} elsewhere 1`, '', 'nonsense']) {
      writeFileSync(join(folder, 'lock'), stale)
      await (await diskStore({ folder, maxBytes: 4 * MB })).close()
    }
  })

  test('is set aside, with a message, when another version wrote it', async () => {
    for (const [format, version] of [
      ['simple-cdn store-disk 1\n', '1'],
      ['simple-cdn store-disk 3\n', '3'],
      ['something else', 'unknown'],
      [undefined, 'unknown'],
    ] as const) {
      const folder = newFolder()
      const store = await diskStore({ folder, maxBytes: 4 * MB })
      await put(store, 'a', 1000)
      await store.close()
      writeFileSync(join(folder, 'not ours'), 'stays')
      if (format === undefined) rmSync(join(folder, 'format'))
      else writeFileSync(join(folder, 'format'), format)
      const messages: string[] = []
      const again = await diskStore({ folder, maxBytes: 4 * MB, onMessage: (message) => messages.push(message) })
      assert.equal(again.stats().responses, 0)
      assert.equal(messages.length, 1)
      assert.match(messages[0] ?? '', new RegExp(`format "${version}".*set-aside-${version}`))
      assert.equal(existsSync(join(`${folder}-set-aside-${version}`, '00000001.segment')), true)
      assert.equal(readFileSync(join(folder, 'not ours'), 'utf8'), 'stays')
      await put(again, 'b', 1000)
      await again.close()
    }
  })

  test('is emptied, with a message, when what another version wrote has no room beside it', async () => {
    const folder = newFolder()
    const store = await diskStore({ folder, maxBytes: 4 * MB })
    await put(store, 'a', 1000)
    await store.close()
    writeFileSync(join(folder, 'format'), 'simple-cdn store-disk 0\n')
    const messages: string[] = []
    const again = await diskStore({ folder, maxBytes: 1e18, onMessage: (message) => messages.push(message) })
    assert.match(messages[0] ?? '', /is removed/)
    assert.equal(existsSync(`${folder}-set-aside-0`), false)
    assert.equal(again.stats().responses, 0)
    await again.close()
  })

  test('leaves a response alone that another release wrote', async () => {
    const folder = newFolder()
    const store = await diskStore({ folder, maxBytes: 4 * MB })
    await store.write({ ...meta('a'), v: 2 as 1 })
    await store.close()
    const again = await diskStore({ folder, maxBytes: 4 * MB })
    assert.deepEqual(await again.lookup(key('a')), [])
    assert.equal(again.stats().responses, 0)
    await putSliced(again, 'a', { length: 100, sliceBytes: 100 })
    assert.deepEqual(await ids(again, 'a'), ['a'])
    await again.close()
  })
})
