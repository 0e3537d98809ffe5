// What may stand in a field: any bytes; and, more often, what nearly means something.
import fc from 'fast-check'

/** Bytes as a parser of HTTP/1.1 hands them over: no line breaks, no NUL. */
const bytes = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 40 })
  .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 10 && code !== 13)))

const PIECES = [
  ...'",;=/\\*?:@%()[]<>+-.#&~ \t\u00a0',
  ...[
    '0',
    '1',
    '60',
    '2147483649',
    '99999999999999999999',
    'a',
    'B',
    'gzip',
    'br',
    'identity',
    'q=0',
    'q=1',
    'en',
    'bytes',
    'W/',
  ],
  ...[
    'max-age',
    's-maxage',
    'no-store',
    'No-Cache',
    'private',
    'public',
    'stale-if-error',
    '""',
    '"a"',
    '\\"',
    '..',
    '%2e',
    '%2F',
    '%',
    '/',
  ],
  ...['Sun, ', '06 Nov 1994', '06-Nov-94', 'Sunday, ', 'Nov  6 ', '08:49:37', ' GMT', ' 1994', 'http://', 'cdn.test', ':80'],
]

export const pieces = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((parts) => parts.join(''))

export const text = fc.oneof(bytes, pieces, pieces)

/** The fields that anything here reads, and one that nothing reads. */
const NAMES = [
  ...[
    'Cache-Control',
    'CDN-Cache-Control',
    'Surrogate-Control',
    'Surrogate-Key',
    'Cache-Tag',
    'Expires',
    'Date',
    'Age',
    'Vary',
    'ETag',
  ],
  ...[
    'Last-Modified',
    'Content-Length',
    'Content-Range',
    'Content-Location',
    'Content-Language',
    'Location',
    'Set-Cookie',
    'Pragma',
  ],
  ...['Connection', 'Authorization', 'Cookie', 'Range', 'If-Range', 'If-Match', 'If-None-Match', 'If-Modified-Since'],
  ...['If-Unmodified-Since', 'Accept', 'Accept-Encoding', 'Accept-Language', 'X-Nobody'],
]

export const name = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.constantFrom(...NAMES).map((each) => each.toLowerCase()),
)

export const fields = fc.array(fc.tuple(name, text), { maxLength: 8 }).map((lines) => lines.flat())

export const status = fc.constantFrom(200, 204, 206, 301, 302, 304, 404, 500, 503, 599)
export const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PURGE')
