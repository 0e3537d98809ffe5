// The cases of http-tests/cache-tests as data: where the file is, what its members mean, and that none of them goes unread.
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const kinds = ['required', 'optimal', 'check'] as const
const types = ['cached', 'not_cached', 'etag_validated', 'lm_validated'] as const

/** What a case is about: a requirement of RFC 9111, a wasted chance to reuse, or a question to which both answers are right. */
export type Kind = (typeof kinds)[number]

/** A field as a case writes it. A number is a date, in seconds from "now"; `false` keeps the field out of the comparison with the reply. */
export type FieldLine = readonly [name: string, value: string | number, compared?: boolean]

/** An interim (1xx) response: its status and its fields. */
export type Interim = readonly [status: number, fields?: readonly (readonly [name: string, value: string])[]]

/**
 * One request of a case: what the client sends, what the origin answers, what must be seen on both sides. Members are called as in the
 * file. All are optional; what the defaults are stands with each.
 */
export interface Exchange {
  /** Added to the case's URL as a last path segment. */
  readonly filename?: string
  /** Added to the case's URL after `?`. */
  readonly query_arg?: string
  /** Default: GET. */
  readonly request_method?: string
  readonly request_headers?: readonly FieldLine[]
  readonly request_body?: string
  /** The client does not follow redirects anyway; the member is for browsers. */
  readonly redirect?: 'manual'
  /** Dates in `request_headers` count from the origin's clock in the previous reply. */
  readonly magic_ims?: boolean
  /** Names, in lower case, of fields whose dates are written in the obsolete RFC 850 format. */
  readonly rfc850date?: readonly string[]
  /** The client waits 3 s after the reply. */
  readonly pause_after?: boolean

  /** Default: 200, or 304 where a validated reply is expected and the request carries the right validator. */
  readonly response_status?: readonly [status: number, phrase: string]
  /** Sent by the origin, and expected in the reply as they were sent. */
  readonly response_headers?: readonly FieldLine[]
  /** Default: the id of the session. */
  readonly response_body?: string
  /** `Location` and `Content-Location` are put under the URL that the origin was asked for. */
  readonly magic_locations?: boolean
  readonly interim_responses?: readonly Interim[]
  /** Seconds that the origin waits before it answers. */
  readonly response_pause?: number
  /** The origin closes the connection in place of an answer. */
  readonly disconnect?: boolean

  readonly expected_type?: (typeof types)[number]
  /** The method that reaches the origin. */
  readonly expected_method?: string
  /** `null`: any. Default: that of `response_status`, else 200. */
  readonly expected_status?: number | null
  /** Must have reached the origin: the value of a field. */
  readonly expected_request_headers?: readonly (readonly [name: string, value: string])[]
  /** Must be in the reply: a field, a value, the value of another field (`=`), a number above another (`>`). */
  readonly expected_response_headers?: readonly (
    | string
    | readonly [name: string, value: string | number]
    | readonly [name: string, operator: '=', otherName: string]
    | readonly [name: string, operator: '>', bound: number]
  )[]
  /** Must not be in the reply: a field, or a part of its value. */
  readonly expected_response_headers_missing?: readonly (string | readonly [name: string, part: string])[]
  readonly expected_interim_responses?: readonly Interim[]
  /** Default: true. */
  readonly check_body?: boolean
  /** `null`: any. Default: `response_body`. */
  readonly expected_response_text?: string | null

  /** All of this exchange is preparation: that it fails says nothing about what the case is for. */
  readonly setup?: boolean
  /** The same, for the checks of these members only. */
  readonly setup_tests?: readonly (keyof Exchange)[]
}

export interface Case {
  readonly id: string
  readonly suite: string
  readonly kind: Kind
  /** Cases that must have been passed for this one to mean anything. */
  readonly dependsOn: readonly string[]
  readonly exchanges: readonly Exchange[]
}

const known: Readonly<Record<keyof Exchange, true>> = {
  filename: true,
  query_arg: true,
  request_method: true,
  request_headers: true,
  request_body: true,
  redirect: true,
  magic_ims: true,
  rfc850date: true,
  pause_after: true,
  response_status: true,
  response_headers: true,
  response_body: true,
  magic_locations: true,
  interim_responses: true,
  response_pause: true,
  disconnect: true,
  expected_type: true,
  expected_method: true,
  expected_status: true,
  expected_request_headers: true,
  expected_response_headers: true,
  expected_response_headers_missing: true,
  expected_interim_responses: true,
  check_body: true,
  expected_response_text: true,
  setup: true,
  setup_tests: true,
}

/** Where the cases are: what SIMPLE_CDN_CACHE_TESTS says, else beside the repository. They are not part of it. */
export const casesPath = resolve(
  process.env.SIMPLE_CDN_CACHE_TESTS ||
    fileURLToPath(new URL('../../../shared/conformance/cache-tests-b55b8bd.json', import.meta.url)),
)

export const haveCases = existsSync(casesPath)

/** The cases that can be put to a proxy, in their order. Throws when one says something that nobody here reads. */
export function loadCases(path: string = casesPath): readonly Case[] {
  const suites = JSON.parse(readFileSync(path, 'utf8')) as readonly RawSuite[]
  return suites.flatMap((suite) => suite.tests.filter((test) => test.browser_only !== true).map((test) => toCase(suite.id, test)))
}

interface RawSuite {
  readonly id: string
  readonly tests: readonly RawCase[]
}

interface RawCase {
  readonly id: string
  readonly name?: string
  readonly spec_anchors?: readonly string[]
  readonly kind?: Kind
  /** Means something to a private cache only. */
  readonly browser_only?: boolean
  /** The same the other way round: these two are for browsers to leave out. */
  readonly cdn_only?: boolean
  readonly browser_skip?: boolean
  readonly depends_on?: readonly string[]
  readonly requests: readonly Exchange[]
}

const knownOfCase: Readonly<Record<keyof RawCase, true>> = {
  id: true,
  name: true,
  spec_anchors: true,
  kind: true,
  browser_only: true,
  cdn_only: true,
  browser_skip: true,
  depends_on: true,
  requests: true,
}

function toCase(suite: string, test: RawCase): Case {
  const { id, kind = 'required', depends_on: dependsOn = [], requests: exchanges } = test
  // What is not read is not checked, and the case would be passed by accident.
  const unknown = [
    ...Object.keys(test).filter((member) => !(member in knownOfCase)),
    ...exchanges.flatMap(Object.keys).filter((member) => !(member in known)),
    ...[kind].filter((each) => !kinds.includes(each)),
    ...exchanges.flatMap(({ expected_type: type }) => (type === undefined || types.includes(type) ? [] : [type])),
  ]
  if (unknown.length > 0) throw new Error(`case ${id} has "${unknown[0]}", which this runner does not know`)
  return { id, suite, kind, dependsOn, exchanges }
}

/** The cases with these ids, and all that they depend on. */
export function withDependencies(cases: readonly Case[], ids: readonly string[]): readonly Case[] {
  const byId = new Map(cases.map((each) => [each.id, each]))
  const wanted = new Set<string>()
  const want = (id: string): void => {
    const found = byId.get(id)
    if (found === undefined) throw new Error(`there is no case "${id}"`)
    if (wanted.has(id)) return
    wanted.add(id)
    found.dependsOn.forEach(want)
  }
  ids.forEach(want)
  return cases.filter(({ id }) => wanted.has(id))
}

/** The value of a field as it goes over the wire: dates written out, from `now` (Unix milliseconds). */
export function written(value: string | number, name: string, now: number, { rfc850date = [] }: Exchange): string {
  if (typeof value === 'string') return value
  const date = new Date(now + value * 1000)
  return rfc850date.includes(name.toLowerCase()) ? rfc850(date) : date.toUTCString()
}

/** "Sunday, 06-Nov-94 08:49:37 GMT" (RFC 9110 §5.6.7). */
function rfc850(date: Date): string {
  const [, day, month, year = '', time] = date.toUTCString().split(' ')
  const weekday = date.toLocaleDateString('en', { weekday: 'long', timeZone: 'UTC' })
  return `${weekday}, ${day}-${month}-${year.slice(2)} ${time} GMT`
}
