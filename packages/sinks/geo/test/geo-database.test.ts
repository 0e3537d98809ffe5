// Places of addresses: what is known, what is not, and a file that changes meanwhile.
import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakeClock } from '@simple-cdn/testing'
import { type GeoDatabaseOptions, geoDatabase } from '../src/index.ts'
import { databaseOf } from './write-database.ts'

const BERLIN = {
  city: { names: { en: 'Berlin' } },
  country: { iso_code: 'DE', names: { en: 'Germany', de: 'Deutschland' } },
  continent: { code: 'EU' },
  location: { latitude: 52.5, longitude: 13.4 },
}
const FRANCE = { registered_country: { iso_code: 'FR', names: { en: 'France' } } }

test('a database says where addresses are, notices that it was replaced, and stays what it was when the file is broken', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'simple-cdn-geo-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'city.mmdb')
  writeFileSync(file, databaseOf({ '192.0.2.0/24': BERLIN, '198.51.100.0/25': FRANCE }, Date.UTC(2014, 5, 6)))
  const clock = fakeClock()
  const messages: string[] = []
  const database = await geoDatabase({ file, clock, language: 'de', onMessage: (message) => messages.push(message) })
  assert.equal(database.builtAt, Date.UTC(2014, 5, 6))
  const berlin = { city: 'Berlin', countryCode: 'DE', country: 'Deutschland', continent: 'EU', latitude: 52.5, longitude: 13.4 }
  for (const address of ['192.0.2.1', '192.0.2.1', '::ffff:192.0.2.255']) assert.deepEqual(database.lookup(address), berlin)
  assert.equal(database.lookup('198.51.100.1')?.country, 'France')
  for (const address of ['198.51.100.200', '10.0.0.1', '2001:db8::1', 'nonsense', ''])
    assert.equal(database.lookup(address), undefined, address)

  await database.check()
  assert.deepEqual(messages, [])
  writeFileSync(`${file}.new`, databaseOf({ '192.0.2.0/24': FRANCE }, Date.UTC(2014, 5, 7)))
  renameSync(`${file}.new`, file)
  await database.check()
  assert.equal(database.lookup('192.0.2.1')?.countryCode, 'FR')
  assert.match(messages.join(), /has changed: places are now those of 2014-06-07/)

  writeFileSync(file, 'no database')
  await database.check()
  assert.equal(database.lookup('192.0.2.2')?.countryCode, 'FR')
  assert.match(messages.at(-1) ?? '', /cannot be read: .*still those of before/)
  database.close()
})

test('a database that is not there is told at once', async () => {
  await assert.rejects(geoDatabase({ file: '/nowhere/city.mmdb' }), { code: 'ENOENT' })
})

test('mistakes of its options are told at once, all of them', async () => {
  const options = { fil: 'city.mmdb', checkMs: '1m', remembered: 0, language: '' }
  await assert.rejects(geoDatabase(options as unknown as GeoDatabaseOptions), {
    message: [
      'geoDatabase has 5 mistakes:',
      'file: is missing; write the path of a database, such as "GeoLite2-City.mmdb"',
      'fil: there is no such option; did you mean "file"?',
      'checkMs: is "1m"; write a whole number from 0 to 2147483647',
      'remembered: is 0; write a whole number from 1 to 10000000',
      'language: is empty; write one such as "en"',
    ].join('\n  '),
  })
})
