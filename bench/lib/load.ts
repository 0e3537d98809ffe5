// Load: 64 connections that stay open, each asking again as soon as it is answered; from wrk, or from our own generator.
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { spawnOn } from './cores.ts'
import { findWrk } from './tools.ts'

export const connections = 64

/** Sent with each request besides Host: what curl --compressed sends. */
export const requestFields = ['User-Agent: curl/8.5.0', 'Accept: */*', 'Accept-Encoding: gzip, br'] as const

export interface Load {
  /** With its version, for the report. */
  readonly name: string
  /** Asks for `url` for so many seconds; gives how many responses came. Throws when one was not 2xx, or a connection broke. */
  run(url: string, seconds: number): Promise<number>
}

export function findLoad(core: number): Load {
  const version = findWrk()
  return version === undefined ? generator(core) : wrk(core, version)
}

function wrk(core: number, version: string): Load {
  const fields = requestFields.flatMap((field) => ['-H', field])
  return {
    name: `wrk ${version}`,
    async run(url, seconds) {
      const said = await output(core, 'wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, ...fields, url])
      const requests = Number(/(\d+) requests in/.exec(said)?.[1])
      if (!(requests > 0) || /Non-2xx|Socket errors/.test(said)) throw new Error(`wrk on ${url}:\n${said}`)
      return requests
    },
  }
}

function generator(core: number): Load {
  const script = join(import.meta.dirname, 'generator.ts')
  return {
    name: 'our own load generator',
    async run(url, seconds) {
      return Number(await output(core, process.execPath, [script, url, `${seconds}`]))
    },
  }
}

/** What a program prints. Throws when it fails. Ends with this process. */
export async function output(core: number, file: string, args: readonly string[]): Promise<string> {
  const child = spawnOn(core, file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const end = (): boolean => child.kill()
  process.once('exit', end)
  const ended = once(child, 'exit')
  const said = await text(child.stdout as NodeJS.ReadableStream & AsyncIterable<Uint8Array>)
  const [code] = await ended
  process.off('exit', end)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with exit code ${code}:\n${said}`)
  return said
}
