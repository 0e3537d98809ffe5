// A synthetic check: asks every region for a page, twice, and says which does not answer as it should. `node regions.mjs https://cdn.example.com/ iad,fra,nrt`.
import { pathToFileURL } from 'node:url'

const PATIENCE_MS = 15_000

/**
 * One region: who answered, whether the second time from the store, and what is wrong with that. `fly-force-region` is obeyed by Fly's proxy,
 * which answers itself when there is no machine.
 */
export async function checkRegion(url, region) {
  let at = ''
  let cacheStatus = ''
  for (const _ of [1, 2]) {
    try {
      const response = await fetch(url, {
        headers: { 'fly-force-region': region, 'User-Agent': 'regions.mjs' },
        redirect: 'manual',
        signal: AbortSignal.timeout(PATIENCE_MS),
      })
      await response.arrayBuffer()
      at = response.headers.get('x-cdn-region') ?? 'no machine of simple-cdn'
      cacheStatus = response.headers.get('cache-status') ?? ''
      if (response.status >= 400) return { region, at, cacheStatus, fault: `answered ${response.status}` }
    } catch (error) {
      return { region, at, cacheStatus, fault: `did not answer: ${error.cause?.code ?? error.message}` }
    }
  }
  if (at !== region) return { region, at, cacheStatus, fault: `was answered by ${at}` }
  return { region, at, cacheStatus, fault: cacheStatus.includes('; hit') ? undefined : 'has no hit for the same page twice' }
}

async function main([url = process.env.CDN_URL ?? '', regions = process.env.CDN_REGIONS ?? '']) {
  if (url === '' || regions === '') {
    console.error('Which page, in which regions? node regions.mjs https://cdn.example.com/ iad,fra,nrt')
    return 2
  }
  const checked = await Promise.all(regions.split(',').map((region) => checkRegion(url, region.trim())))
  for (const { region, cacheStatus, fault } of checked)
    console.log(`${fault === undefined ? 'ok  ' : 'FAIL'} ${region}  ${fault ?? ''}  ${cacheStatus}`)
  return checked.some(({ fault }) => fault !== undefined) ? 1 : 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main(process.argv.slice(2))
