// The soak's origin: `sparse-origin.ts SMALLEST LARGEST`. Objects /N of any size, with ranges; says how many bytes it has sent when asked.
import { createServer } from 'node:http'
import { contentOf, sizeOf } from '../lib/sparse.ts'
import { listen } from './listen.ts'

const [smallest = 1024, largest = 1024 ** 2] = process.argv.slice(2).map(Number)
let sent = 0

process.on('message', () => process.send?.({ sent }))

listen(
  createServer(async (request, response) => {
    const object = Number(request.url?.slice(1))
    const length = sizeOf(object, smallest, largest)
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const first = Number(from ?? 0)
    const last = Math.min(to === undefined || to === '' ? length - 1 : Number(to), length - 1)
    const fields = {
      'Content-Type': 'audio/mpeg',
      'Cache-Control': 'max-age=3600',
      ETag: `"${object}"`,
      'Accept-Ranges': 'bytes',
    }
    if (request.headers['if-none-match'] === `"${object}"`) return void response.writeHead(304, fields).end()
    const part = from === undefined ? {} : { 'Content-Range': `bytes ${first}-${last}/${length}` }
    response.writeHead(from === undefined ? 200 : 206, { ...fields, ...part, 'Content-Length': last - first + 1 })
    for (let at = first; at <= last && !response.destroyed; ) {
      const piece = contentOf(object, at, Math.min(256 * 1024, last - at + 1))
      at += piece.byteLength
      // What the kernel has taken counts as sent, whether or not it arrived.
      await new Promise<void>((resolve) => {
        response.once('close', resolve)
        response.write(piece, (error) => {
          if (!error) sent += piece.byteLength
          response.off('close', resolve)
          resolve()
        })
      })
    }
    response.end()
  }),
)
