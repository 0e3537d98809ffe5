// The floor for large bodies: a bare connection, a head, and 1 MiB at a time from memory, or from a file into a buffer of its own.
import { openSync, read, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listen } from './listen.ts'

const WINDOW = 1024 * 1024

const [origin = '', from] = process.argv.slice(2)
const body = Buffer.from(await (await fetch(`${origin}/`)).arrayBuffer())
const total = body.byteLength
const pieces: Buffer[] = []
for (let at = 0; at < total; at += WINDOW) pieces.push(Buffer.from(body.subarray(at, at + WINDOW)))
const file = from === 'disk' ? onDisk() : undefined

function onDisk(): number {
  const path = join(tmpdir(), `simple-cdn-bench-${process.pid}`)
  writeFileSync(path, body)
  const opened = openSync(path, 'r')
  rmSync(path)
  return opened
}

listen(
  createServer({ noDelay: true }, (socket) => {
    const buffer = Buffer.allocUnsafeSlow(WINDOW)

    function send(at: number, end: number): void {
      if (at >= end || socket.destroyed) return
      if (file === undefined) {
        const skipped = at % WINDOW
        const piece = (pieces[(at - skipped) / WINDOW] as Buffer).subarray(skipped, skipped + end - at)
        socket.write(piece, () => send(at + piece.byteLength, end))
        return
      }
      read(file, buffer, 0, Math.min(WINDOW, end - at), at, (error, bytes) => {
        if (error !== null) socket.destroy(error)
        else socket.write(buffer.subarray(0, bytes), () => send(at + bytes, end))
      })
    }

    socket.on('error', () => undefined)
    socket.on('data', (request) => {
      const [, first, last] = /\r\nRange: bytes=(\d+)-(\d+)/.exec(request.toString('latin1')) ?? []
      const [at, end] = first === undefined ? [0, total] : [Number(first), Number(last) + 1]
      const head = first === undefined ? '200 OK' : `206 Partial Content\r\nContent-Range: bytes ${first}-${last}/${total}`
      socket.write(`HTTP/1.1 ${head}\r\nContent-Type: text/plain\r\nContent-Length: ${end - at}\r\n\r\n`)
      send(at, end)
    })
  }),
)
