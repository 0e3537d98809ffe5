// What a body is compared with when it is read back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import xxhash from 'xxhash-wasm'
import { sumOf } from '../src/sum.ts'

test('the sum of a body is the lower half of its xxHash64', () => {
  assert.equal(sumOf(new Uint8Array(0)), 0x51d8e999)
  assert.equal(sumOf(Buffer.from('a')), 0xa98c6e5b)
})

test('the sum of a body that is made in steps is that of all its bytes', async () => {
  const { h64Raw } = await xxhash()
  const body = new Uint8Array(2 * 1024 * 1024 + 17).map((_, at) => at % 251)
  assert.equal(sumOf(body), Number(h64Raw(body) & 0xffffffffn))
})
