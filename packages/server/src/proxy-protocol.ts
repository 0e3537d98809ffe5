// The PROXY protocol, versions 1 and 2: a proxy that passes connections on says at their beginning who has made them.
import type { Socket } from 'node:net'
import { isIP } from 'node:net'

export interface ProxyHeader {
  /** How many bytes it takes. */
  readonly length: number
  /** `undefined`: the proxy asks on its own account, or cannot say. */
  readonly source: { readonly address: string; readonly port: number } | undefined
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const MAX_LENGTH_V1 = 107
/** More than all extensions that there are. */
const MAX_LENGTH_V2 = 4096

/** What `bytes` begin with; "more" when that cannot be told yet, "invalid" when it is no such header. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'invalid' {
  const begun = Math.min(bytes.length, SIGNATURE.length)
  if (bytes.subarray(0, begun).equals(SIGNATURE.subarray(0, begun))) return version2(bytes)
  return version1(bytes)
}

function version1(bytes: Buffer): ProxyHeader | 'more' | 'invalid' {
  const text = bytes.toString('latin1', 0, MAX_LENGTH_V1)
  if (!text.startsWith('PROXY '.slice(0, text.length))) return 'invalid'
  const end = text.indexOf('\r\n')
  if (end < 0) return text.length < MAX_LENGTH_V1 ? 'more' : 'invalid'
  const [, family = '', source = '', , port = '', ...more] = text.slice(0, end).split(' ')
  if (family === 'UNKNOWN') return { length: end + 2, source: undefined }
  const isFit = (family === 'TCP4' && isIP(source) === 4) || (family === 'TCP6' && isIP(source) === 6)
  if (!isFit || !/^\d{1,5}$/.test(port) || more.length !== 1) return 'invalid'
  return { length: end + 2, source: { address: source, port: Number(port) } }
}

function version2(bytes: Buffer): ProxyHeader | 'more' | 'invalid' {
  if (bytes.length < 16) return 'more'
  const version = bytes.readUInt8(12) >> 4
  const command = bytes.readUInt8(12) & 15
  const length = 16 + bytes.readUInt16BE(14)
  if (version !== 2 || command > 1 || length > MAX_LENGTH_V2) return 'invalid'
  if (bytes.length < length) return 'more'
  if (command === 0) return { length, source: undefined }
  switch (bytes.readUInt8(13)) {
    case 0x11:
      if (length < 28) return 'invalid'
      return { length, source: { address: [...bytes.subarray(16, 20)].join('.'), port: bytes.readUInt16BE(24) } }
    case 0x21: {
      if (length < 52) return 'invalid'
      const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(16 + 2 * at).toString(16))
      // In the one spelling that addresses have elsewhere (RFC 5952).
      const address = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
      return { length, source: { address, port: bytes.readUInt16BE(48) } }
    }
    default:
      return { length, source: undefined }
  }
}

/** Resolves to the header at the beginning of a connection, which is taken out of it; to `undefined` when there is none in time. */
export function readProxyHeader(socket: Socket, timeoutMs: number): Promise<ProxyHeader | undefined> {
  const { promise, resolve } = Promise.withResolvers<ProxyHeader | undefined>()
  let bytes = Buffer.alloc(0)
  const look = (): void => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    bytes = Buffer.concat([bytes, chunk])
    const header = parseProxyHeader(bytes)
    if (header === 'more') return
    if (header === 'invalid') {
      over(undefined)
      return
    }
    over(header)
  }
  const none = (): void => over(undefined)
  const late = setTimeout(none, timeoutMs)
  const over = (header: ProxyHeader | undefined): void => {
    clearTimeout(late)
    socket.off('readable', look)
    for (const event of ['end', 'close', 'error']) socket.off(event, none)
    if (header !== undefined && bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
    resolve(header)
  }
  socket.on('readable', look)
  for (const event of ['end', 'close', 'error']) socket.on(event, none)
  return promise
}
