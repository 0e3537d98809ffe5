// What a request must be beyond what Node's parser sees to.
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

/** What a request is refused with. The connection ends with it: who knows where the next request would begin. */
export interface Refusal {
  readonly status: number
  /** Goes to the client. */
  readonly message: string
}

/** More fields than anyone needs; Node would leave out what is beyond 2,000 without a word. */
const MAX_FIELDS = 256

/** A host with an optional port (RFC 9110 §7.2), by its characters; which hosts there are is for the routes to say. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/

/** What RFC 9110 and RFC 9112 forbid and Node lets through, or leaves to us to know. */
export function refusalOf(request: IncomingMessage): Refusal | undefined {
  const { httpVersion, rawHeaders, method, url = '' } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return { status: 505, message: 'this server speaks HTTP/1.1' }
  if (method === 'TRACE' || method === 'CONNECT') return { status: 501, message: `this server has no ${method}` }
  if (rawHeaders.length > 2 * MAX_FIELDS) return { status: 431, message: 'the head of the request has too many fields' }

  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string
    const value = rawHeaders[at + 1] as string
    // Comparing lengths first: this is done for every field of every request.
    if (name.length === 4 && name.toLowerCase() === 'host') {
      hosts++
      if (!isHost(value)) return malformed('its Host is none')
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      // Nobody can say where such a message ends (RFC 9112 §6.1).
      if (httpVersion === '1.0') return malformed('HTTP/1.0 has no Transfer-Encoding')
      if (value === '') return malformed('its Transfer-Encoding is empty')
      if (value.toLowerCase() !== 'chunked') return { status: 501, message: 'this server knows no transfer coding but chunked' }
    } else if (name.length === 6 && name.toLowerCase() === 'expect') {
      if (httpVersion === '1.1' && value.toLowerCase() !== '100-continue')
        return { status: 417, message: 'this server meets no expectation but 100-continue' }
    }
  }
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) return malformed('it needs exactly one Host')
  return isTarget(url, method) ? undefined : malformed('its target is none')
}

/** Origin form, absolute form, or the asterisk of OPTIONS (RFC 9112 §3.2). */
function isTarget(url: string, method: string | undefined): boolean {
  // Node lets both pass.
  if (/[#\\]/.test(url)) return false
  if (url.startsWith('/')) return true
  const [, host] = /^https?:\/\/([^/?]+)/i.exec(url) ?? []
  return host === undefined ? url === '*' && method === 'OPTIONS' : isHost(host)
}

function isHost(value: string): boolean {
  return HOST.test(value) && (!value.startsWith('[') || isIPv6(value.slice(1, value.indexOf(']'))))
}

export function malformed(detail: string): Refusal {
  return { status: 400, message: `the request is malformed: ${detail}` }
}
