// What the disk store makes of files that are not what it wrote: never a wrong byte, and everything else still there.
import assert from 'node:assert/strict'
import { closeSync, cpSync, mkdirSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { basename, join } from 'node:path'
import { before, describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { Store } from '@simple-cdn/core'
import { openDiskStore } from '../src/disk-store.ts'
import { decodeHeader, encodeHeader, HEADER_BYTES, hashOf, MAGIC, RESPONSE, recordBytes } from '../src/record.ts'
import { asKilled, assertBytes, bytes, key, MB, meta, newFolder, put, putSliced, segmentsIn, sliceOf } from './helpers.ts'

const open = (folder: string, messages: string[] = []): Promise<Store> =>
  openDiskStore({ folder, maxBytes: 8 * MB, onMessage: (message) => messages.push(message) }, { segmentBytes: 64 * 1024 })

/** What the store below has, by name; whatever a damaged copy still gives must be this. */
const SMALL = ['a', 'b', 'c', 'd', 'e', 'f']

async function fill(folder: string): Promise<Store> {
  const store = await open(folder)
  for (const id of SMALL) await put(store, id, 3000)
  await putSliced(store, 'sliced', { length: 25_000, sliceBytes: 10_000 })
  await store.freshen(meta('b', { length: 3000, receivedAt: 50 }))
  await put(store, 'gone', 2000)
  await put(store, 'discarded', 2000)
  await store.remove(key('gone'))
  await store.discard('discarded')
  await put(store, 'late', 3000)
  return store
}

/** Reads everything, twice; says what is missing. Whatever is there must be right. */
async function check(store: Store, told: string): Promise<string[]> {
  const missing = new Set<string>()
  for (let round = 0; round < 2; round++) {
    for (const id of [...SMALL, 'late']) {
      const [found] = await store.lookup(key(id))
      const body = await store.read(id)
      if (found === undefined || body === undefined) {
        missing.add(id)
        continue
      }
      assertBytes(body, bytes(id, 3000), told)
      const opened = found.open?.()
      if (opened !== undefined) assertBytes(opened, bytes(id, 3000), told)
      const { receivedAt, ...rest } = found.meta
      assert.deepEqual(rest, (({ receivedAt, ...rest }) => rest)(meta(id, { length: 3000 })), told)
      assert.ok(receivedAt === 2 || (id === 'b' && receivedAt === 50), told)
    }
    const [head] = await store.lookup(key('sliced'))
    if (head === undefined) missing.add('sliced')
    for (let slice = 0; slice < 3; slice++) {
      const got = await store.read('sliced', { slice })
      if (got === undefined) missing.add(`sliced ${slice}`)
      else assertBytes(got, sliceOf('sliced', slice, 25_000, 10_000), told)
    }
  }
  return [...missing]
}

function flip(file: string, at: number): void {
  const content = readFileSync(file)
  content[at] = (content[at] as number) ^ 0x10
  const handle = openSync(file, 'r+')
  writeSync(handle, content, at, 1, at)
  closeSync(handle)
}

interface Place {
  readonly file: string
  readonly at: number
  readonly what: string
}

/** Every record of every segment, as the headers tell. */
function recordsOf(folder: string): { file: string; at: number; kind: number; metaBytes: number; bodyBytes: number }[] {
  return segmentsIn(folder).flatMap((file) => {
    const content = readFileSync(file)
    const found = []
    for (let at = 32; at + HEADER_BYTES <= content.byteLength && content.indexOf(MAGIC, at) === at; ) {
      const header = decodeHeader(content, at)
      if (header.at !== at) break
      found.push({ file: basename(file), ...header })
      at += recordBytes(header)
    }
    return found
  })
}

/** One offset of each class in the first and last record of each kind: every field of the header, both ends of metadata and body. */
function placesIn(folder: string): Place[] {
  const places: Place[] = []
  const all = recordsOf(folder)
  const chosen = new Set(
    [1, 2, 3, 4, 5].flatMap((kind) => [all.find((each) => each.kind === kind), all.findLast((each) => each.kind === kind)]),
  )
  for (const record of chosen) {
    if (record === undefined) continue
    const { file, at, kind, metaBytes, bodyBytes } = record
    for (let word = 0; word < HEADER_BYTES; word += 4)
      places.push({ file, at: at + word, what: `header+${word} of kind ${kind}` })
    const metaAt = at + HEADER_BYTES
    const bodyAt = metaAt + metaBytes
    for (const offset of metaBytes > 0 ? [0, metaBytes >> 1, metaBytes - 1] : [])
      places.push({ file, at: metaAt + offset, what: `metadata+${offset} of kind ${kind}` })
    for (const offset of bodyBytes > 0 ? [0, bodyBytes >> 1, bodyBytes - 1] : [])
      places.push({ file, at: bodyAt + offset, what: `body+${offset} of kind ${kind}` })
  }
  for (const path of segmentsIn(folder)) {
    const size = statSync(path).size
    const file = basename(path)
    for (let at = 0; at < 32; at += 4) places.push({ file, at, what: `segment head+${at}` })
    for (let back = 4; back <= 32 + 128; back += 4) places.push({ file, at: size - back, what: `end-${back}` })
  }
  return places
}

describe('the disk store, with damage on disk', () => {
  /** As a kill leaves it: the last segment without a list. And as an orderly end does. */
  const folders: Record<string, string> = {}

  before(async () => {
    const folder = newFolder()
    const store = await fill(folder)
    folders['after a kill'] = asKilled(folder)
    await store.close()
    folders['after an orderly end'] = asKilled(folder)
  })

  for (const life of ['after a kill', 'after an orderly end']) {
    test(`${life}: finds everything when there is none`, async () => {
      const store = await open(asKilled(folders[life] as string))
      assert.deepEqual(await check(store, life), [])
      assert.deepEqual(await store.lookup(key('gone')), [])
      assert.deepEqual(await store.lookup(key('discarded')), [])
      assert.equal(store.stats().damaged, 0)
      await store.close()
    })

    test(`${life}: a flipped bit, wherever it is, costs what it is in and nothing else`, async () => {
      const from = folders[life] as string
      const kinds = new Set(recordsOf(from).map(({ kind }) => kind))
      assert.deepEqual([...kinds].sort(), [1, 2, 3, 4, 5])
      for (const { file, at, what } of placesIn(from)) {
        const told = `${life}, bit flipped in ${what}, ${file} at ${at}`
        const folder = newFolder()
        mkdirSync(folder)
        cpSync(from, folder, { recursive: true })
        flip(join(folder, file), at)
        const store = await open(folder)
        const missing = await check(store, told)
        const isHead = what.startsWith('segment head')
        // A sliced response takes its slices with it; a segment whose head is lost is lost.
        if (!isHead) assert.ok(missing.length <= 1 || missing.includes('sliced'), `${told}: ${missing} are missing`)
        // The last record of a segment without a list: it might as well be one that was being written.
        const isTorn = life === 'after a kill' && missing.join() === 'late' && what.startsWith('header')
        if (missing.length > 0 && !isTorn)
          assert.ok(store.stats().damaged > 0, `${told}: ${missing} are missing, and nothing is counted`)
        const isRemoval = / of kind [45]$/.test(what)
        if (!isHead && !isRemoval) {
          assert.deepEqual(await store.lookup(key('gone')), [], told)
          assert.deepEqual(await store.lookup(key('discarded')), [], told)
        }
        assert.equal(await put(store, 'new', 100), true, told)
        assertBytes(await store.read('new'), bytes('new', 100), told)
        await store.close()
      }
    })

    test(`${life}: a file cut short, wherever, costs what was behind the cut`, async () => {
      const from = folders[life] as string
      for (const path of segmentsIn(from)) {
        const size = statSync(path).size
        for (let bytes_ = 0; bytes_ < size; bytes_ += Math.ceil(size / 30)) {
          const told = `${life}, ${basename(path)} cut to ${bytes_}`
          const folder = newFolder()
          mkdirSync(folder)
          cpSync(from, folder, { recursive: true })
          truncateSync(join(folder, basename(path)), bytes_)
          let store = await open(folder)
          const missing = await check(store, told)
          assert.equal(await put(store, 'new', 100), true, told)
          await store.close()
          store = await open(folder)
          assert.deepEqual(await check(store, told), missing, told)
          assertBytes(await store.read('new'), bytes('new', 100), told)
          await store.close()
        }
      }
    })
  }

  test('damage that comes while it runs is found by the checksum of metadata, and by what is read for the first time', async () => {
    const folder = newFolder()
    const filled = await fill(folder)
    await filled.close()
    const damagedIds: string[] = []
    const store = await open(folder)
    store.reportEvictions?.(({ id }, why) => damagedIds.push(`${id} ${why}`))
    // Known before, so that its body is read on its own.
    await store.lookup(key('c'))
    const slice = recordsOf(folder).find(({ kind }) => kind === 2)
    assert.ok(slice !== undefined)
    flip(join(folder, slice.file), slice.at + HEADER_BYTES + 9000)
    const a = recordsOf(folder)[0]
    assert.ok(a !== undefined)
    flip(join(folder, a.file), a.at + HEADER_BYTES + a.metaBytes + 10)
    assert.equal(await store.read('sliced', { slice: 0, range: { first: 0, last: 10 } }), undefined)
    assert.equal(store.has('sliced', 0), false)
    assertBytes(await store.read('sliced', { slice: 1 }), sliceOf('sliced', 1, 25_000, 10_000))
    assert.equal(await store.read('a'), undefined)
    assert.deepEqual(damagedIds, ['a damaged'])
    assert.equal(store.stats().damaged, 2)
    assert.deepEqual(await store.lookup(key('a')), [])
    assert.equal(await put(store, 'a', 3000), true)
    assertBytes(await store.read('a'), bytes('a', 3000))
    await store.close()
  })

  test('bytes in a body cannot pass for a record, even where a scan comes upon them', async () => {
    const folder = newFolder()
    const store = await open(folder)
    await put(store, 'a', 3000)
    // The place is right, and so is everything that can be known from outside.
    const text = Buffer.from(JSON.stringify(meta('forged')))
    const b = meta('b', { length: HEADER_BYTES + text.length })
    const at = statSync(segmentsIn(folder)[0] as string).size + HEADER_BYTES + Buffer.byteLength(JSON.stringify(b))
    const forged = Buffer.alloc(HEADER_BYTES + text.length)
    const { a: idA, b: idB } = hashOf('forged')
    const { a: keyA, b: keyB } = hashOf(key('forged'))
    const lengths = { metaBytes: text.length, bodyBytes: 0, metaCrc: crc32(text), bodySum: 0 }
    encodeHeader({ kind: RESPONSE, idA, idB, keyA, keyB, variant: 0, part: 0, at, ...lengths }, 0x1234_5678, forged, 0)
    text.copy(forged, HEADER_BYTES)
    await store.write(b, forged)
    const killed = asKilled(folder)
    await store.close()
    flip(segmentsIn(killed)[0] as string, recordsOf(killed)[1]?.at as number)
    const again = await open(killed)
    assert.deepEqual(await again.lookup(key('forged')), [])
    assertBytes(await again.read('a'), bytes('a', 3000))
    assert.equal(again.stats().responses, 1)
    await again.close()
  })

  test('a segment that is something else altogether is removed, with a message', async () => {
    const folder = newFolder()
    const store = await fill(folder)
    await store.close()
    writeFileSync(join(folder, '000000ff.segment'), Buffer.alloc(5000, 7))
    const messages: string[] = []
    const again = await open(folder, messages)
    assert.deepEqual(await check(again, ''), [])
    assert.match(messages.join(), /000000ff.*not what was written/)
    assert.equal(again.stats().damaged, 1)
    await again.close()
  })
})
