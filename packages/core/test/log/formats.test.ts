// What formats make of entries, and what a reader that goes by position makes of it again, whatever clients send.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LogEntry } from '@simple-cdn/core'
import { agentClass, changelogCsv, changelogFeeds, chooser, combined, csv, flat, located, only } from '@simple-cdn/core/log'
import { logEntry } from '@simple-cdn/testing'
import fc from 'fast-check'

const BERLIN = { city: 'Berlin', countryCode: 'DE', country: 'Germany', continent: 'EU', latitude: 52.5, longitude: 13 }

/** RFC 4180, written apart from what it is to check. Throws where a quote stands where none may. */
function parseCsv(line: string): string[] {
  const fields: string[] = []
  let at = 0
  for (;;) {
    let field = ''
    if (line[at] === '"') {
      at++
      for (;;) {
        const end = line.indexOf('"', at)
        if (end < 0) throw new Error(`not closed: ${line}`)
        field += line.slice(at, end)
        at = end + 1
        if (line[at] !== '"') break
        field += '"'
        at++
      }
    } else {
      const end = line.indexOf(',', at)
      field = line.slice(at, end < 0 ? line.length : end)
      if (field.includes('"')) throw new Error(`a quote in ${field}`)
      at += field.length
    }
    fields.push(field)
    if (at === line.length) return fields
    if (line[at] !== ',') throw new Error(`no comma at ${at}: ${line}`)
    at++
  }
}

/** As the statistics of changelog.com read a line: its own repair of quotes first, then by position, strict about numbers. */
function consumed(line: string) {
  const mended = line.replace(/""\b|\b""/g, '"')
  const values = parseCsv(mended)
  assert.equal(values.length, 12, line)
  const [ip = '', time = '', url = '', bytes = '', status = '', agent = '', lat = '', lon = '', city, continent, code, country] =
    values
  for (const integer of [bytes, status]) assert.match(integer, /^\d+$/)
  for (const float of [lat, lon]) assert.match(float, /^-?\d+\.\d+$/)
  assert.match(time, /^\[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\]$/)
  return {
    ip,
    url,
    episode: url.split('/')[3],
    bytes: Number(bytes),
    status: Number(status),
    agent,
    lat: Number(lat),
    lon: Number(lon),
    city,
    continent,
    code,
    country,
  }
}

describe('the CSV of changelog.com', () => {
  it('is what it was at Fastly, column by column', () => {
    assert.equal(
      changelogCsv(logEntry({ geo: BERLIN, url: 'https://cdn.test/uploads/podcast/1/a.mp3?x=1' })),
      '192.0.2.1,[06/Jun/2014:00:00:00 +0000],/uploads/podcast/1/a.mp3,1000,200,"Overcast/3.0",52.5,13.0,"Berlin",EU,DE,"Germany"\n',
    )
  })

  it('says something in every column where nothing is known', () => {
    const line = changelogCsv(logEntry({ userAgent: undefined, clientAddress: undefined }))
    assert.deepEqual(parseCsv(line.trimEnd()).slice(5), ['(null)', '0.0', '0.0', '(null)', '--', 'ZZ', 'unknown'])
  })

  it('loses and shifts no line of 10,000 with hostile agents, paths and places', () => {
    const nasty = fc.constantFrom(
      '"',
      '""',
      ',',
      '\n',
      '\r',
      '\\',
      "'",
      '(null)',
      '\0',
      '\u2028',
      'é',
      '😀',
      '\ud800',
      '\xff',
      ';',
      '<134>',
      '1',
      'a',
      ' ',
      '\t',
    )
    const hostile = fc.oneof(
      fc.array(nasty, { maxLength: 12 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 30 }),
    )
    const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
    const degrees = fc.oneof(
      fc.double({ min: -180, max: 180, noNaN: true }),
      fc.integer({ min: -180, max: 180 }),
      fc.constantFrom(1e-9, -0, 0),
    )
    const geo = maybe(
      fc.record({
        city: maybe(hostile),
        country: maybe(hostile),
        countryCode: maybe(fc.constantFrom('US', 'DE')),
        continent: maybe(fc.constantFrom('NA', 'EU')),
        latitude: maybe(degrees),
        longitude: maybe(degrees),
      }),
    )
    const cases = fc.sample(
      fc.record({
        agent: maybe(hostile),
        path: hostile,
        query: hostile,
        bytes: fc.nat(),
        status: fc.integer({ min: 100, max: 599 }),
        geo,
      }),
      10_000,
    )
    const text = cases
      .map(({ agent, path, query, bytes, status, geo }) =>
        changelogCsv(
          logEntry({
            userAgent: agent,
            url: `https://cdn.test/uploads/podcast/7/${path.replaceAll('?', '')}?${query}`,
            bytes,
            status,
            geo,
          }),
        ),
      )
      .join('')
    const lines = text.split('\n').filter((line) => line !== '')
    assert.equal(lines.length, cases.length)
    for (const [at, line] of lines.entries()) {
      const read = consumed(line)
      const { bytes, status, geo, agent } = cases[at] as (typeof cases)[number]
      assert.deepEqual([read.ip, read.episode, read.bytes, read.status], ['192.0.2.1', '7', bytes, status])
      assert.equal(read.code, geo?.countryCode ?? 'ZZ')
      assert.ok(Math.abs(read.lat - (geo?.latitude ?? 0)) < 1e-6)
      if (agent !== undefined && /^[ !#-~]+$/.test(agent)) assert.equal(read.agent, agent)
      assert.notEqual(read.agent, '')
    }
  })
})

describe('the JSON of changelog.com for feeds', () => {
  it('has the names that its reader knows, and no query in the path', () => {
    const read = JSON.parse(
      changelogFeeds(logEntry({ url: 'https://cdn.test/gotime/feed?x=1', userAgent: 'Feedly "1"\n', geo: BERLIN })),
    )
    assert.equal(read.url, '/gotime/feed')
    assert.equal(read.request_user_agent, 'Feedly "1" ')
    assert.equal(read.geo_city, 'berlin')
    assert.deepEqual([read.response_status, read.response_body_size, read.fastly_is_edge], [200, 1000, true])
  })
})

describe('CSV by template', () => {
  it('quotes what RFC 4180 asks for, and numbers as they are told', () => {
    const format = csv({
      columns: ['method', 'userAgent', { value: 'lastByteMs', number: 'decimal' }, { value: () => 'x', quote: 'always' }],
      separator: ';',
    })
    assert.equal(format(logEntry({ userAgent: 'a;"b"' })), 'GET;"a;""b""";3.0;"x"\n')
  })
  it('refuses a column that there is not, and names those there are', () => {
    assert.throws(() => csv({ columns: ['agent' as 'userAgent'] }), /no column "agent"; there are time, .*userAgent/)
  })
})

describe('other formats', () => {
  it('writes the combined log format', () => {
    assert.equal(
      combined(logEntry({ url: 'https://cdn.test/a?b=c', userAgent: 'say "hi"\n', referer: undefined })),
      '192.0.2.1 - - [06/Jun/2014:00:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 1000 "-" "say \\"hi\\" "\n',
    )
  })
  it('writes flat JSON without what is not known', () => {
    const read = JSON.parse(flat()(logEntry({ geo: { countryCode: 'DE' } })))
    assert.deepEqual(
      [read.time, read.cacheHit, read.geoCountryCode, read.region, 'referer' in read],
      ['2014-06-06T00:00:00.000Z', true, 'DE', 'fra', false],
    )
    assert.equal(
      Object.values(read).some((value) => typeof value === 'object'),
      false,
    )
  })
  it('reads fields as UTF-8 where they are that', () => {
    const bytes = Buffer.from('Köln/1').toString('latin1')
    assert.equal(JSON.parse(flat()(logEntry({ userAgent: bytes }))).userAgent, 'Köln/1')
    assert.equal(JSON.parse(flat()(logEntry({ userAgent: 'K\xf6ln' }))).userAgent, 'Köln')
  })
  it('tells robots from people as far as they say', () => {
    for (const bot of [
      'Googlebot/2.1',
      'curl/8.5.0',
      'python-requests/2',
      'Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)',
    ])
      assert.equal(agentClass(bot), 'bot', bot)
    for (const other of ['Overcast/3.0', 'AppleCoreMedia/1.0', 'Mozilla/5.0 Firefox/120.0', 'Castbox/8', 'AntennaPod/3.4.0'])
      assert.equal(agentClass(other), 'other', other)
    assert.equal(agentClass(undefined), 'none')
  })
})

describe('a choice of entries', () => {
  const urls = ['/uploads/gotime/1/a.mp3', '/gotime/feed', '/feeds/abc', '/feedsx', '/a.b']
  const taken = (choice: Parameters<typeof chooser>[0], entries: readonly LogEntry[]) =>
    entries.filter(chooser(choice)).map((entry) => new URL(entry.url).pathname)
  const entries = urls.map((path) => logEntry({ url: `https://cdn.test${path}?q=/feed` }))
  it('goes by path', () => {
    assert.deepEqual(taken({ paths: ['/feeds/*', '*/feed'] }, entries), ['/gotime/feed', '/feeds/abc'])
    assert.deepEqual(taken({ paths: ['/a?b', '/a.b'] }, entries), ['/a.b'])
  })
  it('goes by status, one or a hundred of them', () => {
    const by = [200, 206, 301, 404, 503].map((status) => logEntry({ status }))
    assert.deepEqual(
      by.filter(chooser({ status: ['2xx', 404] })).map(({ status }) => status),
      [200, 206, 404],
    )
    assert.throws(() => chooser({ status: ['2x' as '2xx'] }), /no status/)
  })
  it('samples, and says at which rate', () => {
    const written: LogEntry[] = []
    const sink = {
      name: 'kept',
      write: (entry: LogEntry) => void written.push(entry),
      flush: async () => {},
      close: async () => {},
    }
    let turn = 0
    const sampled = only({ sample: 4, random: () => (turn++ % 4) / 4 }, sink)
    for (let at = 0; at < 100; at++) sampled.write(logEntry({ sequence: at }))
    assert.deepEqual([written.length, written[0]?.sampleRate], [25, 4])
  })
  it('adds where a client is', () => {
    const written: LogEntry[] = []
    const sink = {
      name: 'kept',
      write: (entry: LogEntry) => void written.push(entry),
      flush: async () => {},
      close: async () => {},
    }
    const log = located({ lookup: (address) => (address === '192.0.2.1' ? BERLIN : undefined) }, sink)
    for (const clientAddress of ['192.0.2.1', '192.0.2.2', undefined]) log.write(logEntry({ clientAddress }))
    assert.deepEqual(
      written.map(({ geo }) => geo?.city),
      ['Berlin', undefined, undefined],
    )
  })
})
