// Measures what the disk store costs: `node --conditions=@simple-cdn/source test/measure.ts`. CPU is that of the process, all threads.
import { performance } from 'node:perf_hooks'
import { diskStore } from '../src/index.ts'
import { asKilled, bytes, key, MB, meta, newFolder, put, putSliced } from './helpers.ts'

const objects = Number(process.argv[2] ?? 100_000)

async function cpu(name: string, count: number, unit: string, work: () => Promise<void>): Promise<void> {
  const [before, began] = [process.cpuUsage(), performance.now()]
  await work()
  const { user, system } = process.cpuUsage(before)
  const each = (user + system) / count
  const shown = unit === 'GB' ? `${(each / 1e6).toFixed(2)} s of CPU per GB` : `${each.toFixed(1)} µs of CPU each`
  console.log(`${name}: ${shown}, ${((performance.now() - began) / 1000).toFixed(2)} s in all`)
}

/** So many at a time, as a server would have them under way. */
async function concurrently(count: number, at: number, job: (each: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: at }, async () => {
      while (next < count) await job(next++)
    }),
  )
}

{
  const folder = newFolder()
  const store = await diskStore({ folder, maxBytes: 4000 * MB })
  const body = bytes('x', 10_240)
  const many = 20_000
  await cpu('write 10 KiB, 32 at a time', many, '', () =>
    concurrently(many, 32, (at) => store.write(meta(`${at}`, { length: 10_240 }), body)),
  )
  await store.close()
  const again = await diskStore({ folder, maxBytes: 4000 * MB })
  const lookUp = async (at: number): Promise<void> => {
    const [found] = await again.lookup(key(`${at}`))
    if ((found?.open?.() ?? (await again.read(`${at}`)))?.byteLength !== 10_240) throw new Error('missing')
  }
  await cpu('look up and read 10 KiB for the first time, 32 at a time', many, '', () => concurrently(many, 32, lookUp))
  await cpu('look up and read 10 KiB, metadata not kept, 32 at a time', many, '', () => concurrently(many, 32, lookUp))
  await cpu('read 10 KiB by id, 32 at a time', many, '', () => concurrently(many, 32, (at) => again.read(`${at}`)))
  await cpu('look for what is not there', 200_000, '', async () => {
    for (let at = 0; at < 200_000; at++) again.peek?.(key(`absent${at}`))
  })
  await again.close()
}

{
  const folder = newFolder()
  const length = 1024 * MB
  const store = await diskStore({ folder, maxBytes: 4000 * MB })
  await cpu('write slices of 1 MiB', length / 1e9, 'GB', async () => {
    await putSliced(store, 'big', { length, sliceBytes: MB, only: [] })
    const body = bytes('x', MB)
    await concurrently(length / MB, 4, (slice) => store.writeSlice('big', slice, body))
  })
  await store.close()
  const again = await diskStore({ folder, maxBytes: 4000 * MB })
  const buffers = Array.from({ length: 4 }, () => new Uint8Array(MB))
  const readAll = async (): Promise<void> => {
    let next = 0
    await Promise.all(
      buffers.map(async (buffer) => {
        const into = (): Uint8Array => buffer
        while (next < length / MB)
          if ((await again.read('big', { slice: next++, into })) === undefined) throw new Error('missing')
      }),
    )
  }
  await cpu('read slices of 1 MiB for the first time, with checksums', length / 1e9, 'GB', readAll)
  await cpu('read slices of 1 MiB', length / 1e9, 'GB', readAll)
  await again.close()
}

{
  const folder = newFolder()
  const store = await diskStore({ folder, maxBytes: 4000 * MB })
  const body = bytes('x', 10_240)
  await concurrently(objects, 64, async (at) => {
    const size = 1024 + ((at * 7919) % 9216)
    await store.write(meta(`${at}`, { length: size }), body.subarray(0, size))
  })
  const killed = asKilled(folder)
  await store.close()
  for (const [name, place] of [
    ['after kill -9', killed],
    ['after an orderly end', folder],
  ] as const) {
    const began = performance.now()
    const again = await diskStore({ folder: place, maxBytes: 4000 * MB, metaCacheBytes: 1000 })
    const tookMs = performance.now() - began
    const { responses, memoryBytes, bytes: held } = again.stats()
    console.log(
      `recovery ${name}: ${tookMs.toFixed(0)} ms for ${responses} responses, ${(held / 1e6).toFixed(0)} MB; ${(memoryBytes / responses).toFixed(0)} bytes of index each`,
    )
    await again.close()
  }
}

{
  const folder = newFolder()
  const store = await diskStore({ folder, maxBytes: 256 * MB })
  store.reportEvictions?.(() => {})
  const body = bytes('x', 10_240)
  const many = 60_000
  let slowest = 0
  await cpu('write 10 KiB while others are evicted and reported, a fifth used again, 32 at a time', many, '', () =>
    concurrently(many, 32, async (at) => {
      const began = performance.now()
      if (!(await put(store, `${at}`, 0)) || !(await store.write(meta(`b${at}`, { length: 10_240 }), body)))
        throw new Error('refused')
      slowest = Math.max(slowest, performance.now() - began)
      if (at % 5 === 0) await store.read(`b${Math.max(0, at - 5000)}`)
    }),
  )
  console.log(`slowest write: ${slowest.toFixed(0)} ms; ${store.stats().evicted} evicted`)
  await store.close()
}
