// What is expected of each exchange, against what was seen: pure functions, the first check that fails is the verdict.
import { type Exchange, type Interim, written } from './cases.ts'
import { type Arrival, notConditional } from './origin.ts'

/** What the client received, without its body. Names are in lower case, the lines of a name joined with ", ". */
export interface Reply {
  readonly status: number
  readonly fields: ReadonlyMap<string, string>
  readonly interim: readonly Interim[]
}

/**
 * Where a case first went another way than it should: in its preparation, in what it is for, by a retry that makes it meaningless, or
 * by no complete reply within the client's patience.
 */
export interface Deviation {
  readonly at: 'setup' | 'behaviour' | 'retry' | 'timeout'
  readonly why: string
}

/** The head of the reply to request `number`, from 1. */
export function judgeHead(exchange: Exchange, number: number, { status, fields, interim }: Reply): Deviation | undefined {
  const wrong = (check: Check, what: string) => deviation(exchange, check, `reply ${number} ${what}`)
  const { expected_type: type, expected_status: expectedStatus, response_status: sent } = exchange

  const arrived = fields.get('request-numbers')?.split(/[ ,]+/) ?? []
  if (new Set(arrived).size < arrived.length) return { at: 'retry', why: `the origin got requests ${arrived.join(', ')}` }

  // The how-manieth request at the origin this reply was made for. A 304 from a cache may come without it.
  const count = Number.parseInt(fields.get('server-request-count') ?? '', 10)
  const cached = count < number || (status === 304 && Number.isNaN(count))
  if (type === 'cached' && !cached) return wrong('expected_type', 'is not from the cache')
  if (type === 'not_cached' && count !== number) return wrong('expected_type', 'is from the cache')

  if (expectedStatus === undefined && sent === undefined && status === notConditional) {
    return wrong('expected_type', 'is to a request that should be conditional')
  }
  const expected = expectedStatus === undefined ? (sent?.[0] ?? 200) : expectedStatus
  if (expected !== null && status !== expected) {
    return wrong(expectedStatus === undefined ? 'preparation' : 'expected_status', `is ${status}, not ${expected}`)
  }

  for (const expectation of exchange.expected_response_headers ?? []) {
    const fault = faultOfField(exchange, expectation, fields)
    if (fault !== undefined) return wrong('expected_response_headers', fault)
  }
  for (const name of exchange.expected_response_headers_missing ?? []) {
    const value = typeof name === 'string' ? fields.get(name.toLowerCase()) : undefined
    if (value !== undefined) return wrong('expected_response_headers_missing', `has ${name}: ${value}`)
  }

  const expectedInterim = exchange.expected_interim_responses ?? interim
  if (codes(interim) !== codes(expectedInterim)) {
    return wrong('expected_interim_responses', `comes after ${codes(interim)}, not ${codes(expectedInterim)}`)
  }
  for (const [at, [code, expectedFields = []]] of expectedInterim.entries()) {
    const lost = expectedFields.find(([name]) => !interim[at]?.[1]?.some(([each]) => each === name))
    if (lost) return wrong('expected_interim_responses', `comes after a ${code} without ${lost[0]}`)
  }
  return undefined
}

/** The body of the reply to request `number`, whose head was right. `id` is what the origin sends where a case has no body of its own. */
export function judgeBody(exchange: Exchange, number: number, status: number, body: string, id: string): Deviation | undefined {
  const {
    check_body: compared = true,
    expected_response_text: expectedText,
    response_body: sent,
    request_method: method,
  } = exchange
  if (!compared || expectedText === null) return undefined
  const bodiless = status === 204 || status === 304 || method === 'HEAD'
  const expected = expectedText ?? sent ?? (bodiless ? body : id)
  if (body === expected) return undefined
  const check = expectedText === undefined ? 'preparation' : 'expected_response_text'
  return deviation(exchange, check, `reply ${number} has the body "${body}", not "${expected}"`)
}

/** What reached the origin, against what was to reach it; and what the origin promised, against the replies. */
export function judgeArrivals(
  exchanges: readonly Exchange[],
  replies: readonly Reply[],
  arrivals: readonly Arrival[],
): Deviation | undefined {
  // A reply from the cache leaves no trace at the origin: all other requests are there, in order.
  const forwarded = [...exchanges.entries()].filter(([, { expected_type: type }]) => type !== 'cached')
  for (const [at, [index, exchange]] of forwarded.entries()) {
    const found = judgeArrival(exchange, index + 1, replies[index], arrivals[at])
    if (found !== undefined) return found
  }
  return undefined
}

const validator = { etag_validated: 'if-none-match', lm_validated: 'if-modified-since' }

function judgeArrival(
  exchange: Exchange,
  number: number,
  reply: Reply | undefined,
  arrival: Arrival | undefined,
): Deviation | undefined {
  const { expected_type: type, expected_request_headers: expectedFields = [], expected_method: expectedMethod } = exchange
  const wrong = (check: Check, what: string) => deviation(exchange, check, `request ${number} ${what}`)

  if (type === 'etag_validated' || type === 'lm_validated') {
    if (arrival === undefined) return wrong('expected_type', 'did not reach the origin')
    if (arrival.fields[validator[type]] === undefined) return wrong('expected_type', `came without ${validator[type]}`)
  }
  if (arrival === undefined) {
    // Even in a preparation: a reply that says "from the origin" of a request that never came there is no accident.
    const needed = type === 'not_cached' || expectedFields.length > 0 || expectedMethod !== undefined
    return needed ? { at: 'behaviour', why: `request ${number} did not reach the origin` } : undefined
  }
  if (type === 'not_cached' && arrival.number !== number)
    return wrong('expected_type', `is number ${arrival.number} at the origin`)
  for (const [name, value] of expectedFields) {
    const found = arrival.fields[name.toLowerCase()]
    if (found !== value) return wrong('expected_request_headers', `came with ${name}: ${found}, not ${value}`)
  }
  for (const [name, value] of arrival.promised) {
    const found = reply?.fields.get(name.toLowerCase())
    if (found !== value) return wrong('preparation', `got a reply with ${name}: ${found}, not ${value}`)
  }
  if (expectedMethod !== undefined && arrival.method !== expectedMethod) {
    return wrong('expected_method', `came as ${arrival.method}, not ${expectedMethod}`)
  }
  return undefined
}

/**
 * What a case says must not be so, where the original suite does not notice it: a forbidden part of a field's value (it looks for it
 * in the wrong place), and the values of an interim response's fields (it looks at their names only). No part of a verdict.
 */
export function overlooked(exchange: Exchange, number: number, { fields, interim }: Reply): readonly string[] {
  const forbidden = (exchange.expected_response_headers_missing ?? []).flatMap((expectation) => {
    if (typeof expectation === 'string') return []
    const [name, part] = expectation
    return fields.get(name.toLowerCase())?.includes(part) ? [`reply ${number} has ${name}: ${part}`] : []
  })
  const changed = (exchange.expected_interim_responses ?? []).flatMap(([, expected = []], at) =>
    expected
      .filter(([name, value]) => !interim[at]?.[1]?.some(([eachName, each]) => eachName === name && each === value))
      .map(([name, value]) => `reply ${number} comes after an interim response without ${name}: ${value}`),
  )
  return [...forbidden, ...changed]
}

type Check = keyof Exchange | 'preparation'

/** A failed check is about the case's subject unless the case declares it to be preparation, or it always is. */
function deviation({ setup, setup_tests: preparing = [] }: Exchange, check: Check, why: string): Deviation {
  return { at: setup || check === 'preparation' || preparing.includes(check) ? 'setup' : 'behaviour', why }
}

function faultOfField(
  exchange: Exchange,
  expectation: NonNullable<Exchange['expected_response_headers']>[number],
  fields: Reply['fields'],
): string | undefined {
  const [name, operator, operand] = typeof expectation === 'string' ? [expectation] : expectation
  const value = fields.get(name.toLowerCase())
  if (value === undefined) return `has no ${name}`
  if (operator === undefined) return undefined
  if (operand === undefined) {
    const expected = written(operator, name, Number(fields.get('server-now')), exchange)
    return value === expected ? undefined : `has ${name}: ${value}, not ${expected}`
  }
  if (operator === '>')
    return Number.parseInt(value, 10) > Number(operand) ? undefined : `has ${name}: ${value}, not above ${operand}`
  const other = fields.get(`${operand}`.toLowerCase())
  return value === other ? undefined : `has ${name}: ${value}, and ${operand}: ${other}`
}

function codes(interim: readonly Interim[]): string {
  return interim.map(([code]) => code).join(', ') || 'nothing'
}
