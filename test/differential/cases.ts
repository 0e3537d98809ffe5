// Exchanges as they come and as they should not: a request, its response, a second request some time later.
import fc from 'fast-check'
import { formatHttpDate } from '../../packages/core/src/http/time.ts'

/** In lower case; no line twice, since http-cache-semantics takes one value for each name. */
export type Headers = Readonly<Record<string, string>>

export interface Case {
  readonly first: { readonly method: string; readonly headers: Headers }
  readonly response: { readonly status: number; readonly headers: Headers; readonly delayMs: number }
  /** Asked so long after the response came. */
  readonly second: { readonly method: string; readonly headers: Headers; readonly afterMs: number }
}

/** When every response comes. */
export const T0 = Date.UTC(2014, 5, 6, 12)

const SECONDS = ['0', '1', '60', '60', '600', '600', '100000']
const ODD_SECONDS = ['', 'x', '-1', '60.5', '60a', '"60"', '99999999999', '060']

const seconds = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...SECONDS) },
  { weight: 1, arbitrary: fc.constantFrom(...ODD_SECONDS) },
)
const timed = (...names: string[]) => fc.tuple(fc.constantFrom(...names), seconds).map(([name, value]) => `${name}=${value}`)

/** `max-age`, `Max-Age` or `MAX-AGE`. */
const inOddCase = (directive: string, upper: boolean) =>
  directive.replace(/^[a-z-]+/, (name) =>
    upper ? name.toUpperCase() : name.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase()),
  )

function cacheControl(directive: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const spelled = fc.oneof(
    { weight: 12, arbitrary: directive },
    { weight: 1, arbitrary: fc.tuple(directive, fc.boolean()).map(([text, upper]) => inOddCase(text, upper)) },
  )
  return fc.array(spelled, { minLength: 1, maxLength: 4 }).map((directives) => directives.join(', '))
}

const responseDirective = fc.oneof(
  { weight: 14, arbitrary: timed('max-age') },
  { weight: 3, arbitrary: timed('s-maxage') },
  { weight: 3, arbitrary: timed('stale-while-revalidate', 'stale-if-error') },
  { weight: 3, arbitrary: fc.constant('public') },
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      'no-store',
      'no-cache',
      'private',
      'must-revalidate',
      'proxy-revalidate',
      'must-understand',
      'immutable',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'private="x"',
      'no-cache="x"',
      'ext="a, max-age=600, b"',
      'ext="a, no-store, b"',
      'no-store=',
      'ext',
    ),
  },
)

const requestDirective = fc.oneof(
  { weight: 4, arbitrary: timed('max-age', 'min-fresh', 'max-stale', 'max-stale') },
  { weight: 3, arbitrary: fc.constantFrom('no-cache', 'no-store', 'max-stale', 'only-if-cached', 'no-transform') },
)

/** A date so many seconds from T0, in one of the formats, or as some write it. */
const date = (offsets: readonly number[]) =>
  fc
    .tuple(
      fc.constantFrom(...offsets),
      fc.constantFrom('imf', 'imf', 'imf', 'imf', 'imf', 'rfc850', 'asctime', 'iso', 'utc', 'comma', 'zero'),
    )
    .map(([offset, format]) => {
      const imf = formatHttpDate(T0 + offset * 1000)
      const [day = '', number = '', month = '', year = '', time = ''] = imf.split(/,? /)
      switch (format) {
        case 'rfc850':
          return `${WEEKDAYS.find((name) => name.startsWith(day))}, ${number}-${month}-${year.slice(2)} ${time} GMT`
        case 'asctime':
          return `${day} ${month} ${number.replace(/^0/, ' ')} ${time} ${year}`
        case 'iso':
          return new Date(T0 + offset * 1000).toISOString()
        case 'utc':
          return imf.replace('GMT', 'UTC')
        case 'comma':
          return imf.replace(',', '')
        case 'zero':
          return '0'
        default:
          return imf
      }
    })

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

/** There once in so many times. */
const once = <T>(inSoMany: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: inSoMany - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

function headers(values: Readonly<Record<string, fc.Arbitrary<string | undefined>>>): fc.Arbitrary<Headers> {
  return fc
    .record(values)
    .map((found) =>
      Object.fromEntries(Object.entries(found).filter((header): header is [string, string] => header[1] !== undefined)),
    )
}

const DAY = 86_400

/** What a response may vary on, as requests write it. */
const selecting = {
  accept: once(2, fc.constantFrom('text/html', 'text/html, */*', 'text/html,*/*')),
  'accept-encoding': once(2, fc.constantFrom('gzip, br', 'br,gzip', 'gzip')),
}

export const cases: fc.Arbitrary<Case> = fc.record({
  first: fc.record({
    method: fc.oneof({ weight: 20, arbitrary: fc.constant('GET') }, { weight: 1, arbitrary: fc.constantFrom('HEAD', 'POST') }),
    headers: headers({
      ...selecting,
      host: fc.constant('cdn.test'),
      range: once(15, fc.constant('bytes=0-4')),
      authorization: once(8, fc.constant('Basic eA==')),
      cookie: once(10, fc.constant('a=b')),
      'cache-control': once(20, cacheControl(requestDirective)),
    }),
  }),
  response: fc.record({
    status: fc.oneof(
      { weight: 6, arbitrary: fc.constant(200) },
      { weight: 1, arbitrary: fc.constantFrom(203, 204, 206, 299, 301, 302, 304, 307, 400, 404, 410, 451, 500, 501, 503, 599) },
    ),
    headers: headers({
      'cache-control': fc.oneof(
        { weight: 1, arbitrary: fc.constant(undefined) },
        { weight: 6, arbitrary: cacheControl(responseDirective) },
      ),
      'cdn-cache-control': once(60, fc.constantFrom('max-age=60', 'no-store', 'max-age=60, private')),
      pragma: once(30, fc.constant('no-cache')),
      expires: once(4, date([-600, 0, 60, 600, 20 * DAY])),
      date: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: date([-100, 0, 0, 0, 100]) }),
      age: once(6, fc.constantFrom('0', '5', '59', '1000', 'x', '-5', '5.5', '5a', '5, 9', '99999999999')),
      'last-modified': once(4, date([-20 * DAY, -6000, -10, 10])),
      etag: once(3, fc.constant('"1"')),
      vary: once(5, fc.constantFrom('accept', 'Accept-Encoding', 'Accept-Encoding', 'accept, accept-encoding', '*', 'accept, *')),
      'set-cookie': once(12, fc.constant('a=b')),
      'content-location': once(8, fc.constant('/')),
      'content-range': once(15, fc.constant('bytes 0-4/10')),
    }),
    delayMs: fc.constantFrom(0, 0, 0, 0, 1500),
  }),
  second: fc.record({
    method: fc.oneof({ weight: 20, arbitrary: fc.constant('GET') }, { weight: 1, arbitrary: fc.constant('HEAD') }),
    headers: headers({
      ...selecting,
      host: fc.constant('cdn.test'),
      pragma: once(30, fc.constant('no-cache')),
      'cache-control': once(2, cacheControl(requestDirective)),
    }),
    afterMs: fc.constantFrom(
      0,
      1,
      999,
      1000,
      5000,
      59_999,
      60_000,
      61_000,
      120_000,
      599_000,
      660_000,
      3_600_000,
      DAY * 1000,
      -5000,
    ),
  }),
})
