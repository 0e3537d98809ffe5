// The substitute for wrk: `generator.ts URL SECONDS` prints how many responses came. It is the slower of the two, so servers get pauses.
import { connect } from 'node:net'
import { connections, requestFields } from './load.ts'

const [url = '', seconds = ''] = process.argv.slice(2)
const { hostname, host, port, pathname } = new URL(url)
const request = Buffer.from(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${requestFields.join('\r\n')}\r\n\r\n`)
let responses = 0

function fail(message: string): never {
  console.error(`${url}: ${message}`)
  process.exit(1)
}

/** Bytes from the start of `received` to the end of its first response; `undefined` while the head is not complete. */
function responseBytes(received: Buffer): number | undefined {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = received.toString('latin1', 0, headEnd + 2)
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
  if (!/^HTTP\/1\.1 2/.test(head) || length === undefined) fail(`not a 2xx response of known length:\n${head}`)
  return headEnd + 4 + Number(length)
}

for (let opened = 0; opened < connections; opened++) {
  let received: Buffer = Buffer.alloc(0)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => socket.write(request))
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => fail('a connection was closed'))
  socket.on('data', (data) => {
    received = received.length === 0 ? data : Buffer.concat([received, data])
    const expected = responseBytes(received)
    if (expected === undefined || received.length < expected) return
    if (received.length > expected) fail('more bytes came than were announced')
    received = Buffer.alloc(0)
    responses++
    socket.write(request)
  })
}

setTimeout(() => {
  console.log(responses)
  process.exit()
}, Number(seconds) * 1000)
