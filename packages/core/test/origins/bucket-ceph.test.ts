// A private bucket of a real S3 server takes our signatures, for every kind of key, range and condition.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { httpOrigin } from '@simple-cdn/core'
import { AwsClient } from 'aws4fetch'
import { cephIsMissing, startCeph } from '../../../sinks/s3/test/ceph.ts'
import { get } from '../support/http-site.ts'

test("Ceph's RADOS Gateway answers for a private bucket", { timeout: 400_000 }, async (t) => {
  const reason = cephIsMissing()
  if (reason !== undefined) {
    console.error(reason)
    return t.skip(reason)
  }
  const gateway = await startCeph()
  t.after(() => gateway.stop())
  const { accessKeyId, secretAccessKey } = gateway
  const client = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'default' })
  const put = async (path: string, body?: string): Promise<void> => {
    const { status } = await client.fetch(`${gateway.url}/files${path}`, {
      method: 'PUT',
      ...(body === undefined ? {} : { body }),
    })
    assert.equal(status, 200, `PUT ${path}`)
  }
  await put('')
  const paths = ['/a.txt', '/a%20b%2Bc%25d%281%29%21%2A%27~.txt', '/sch%C3%B6n/%F0%9F%98%80.txt', '/q%3Fx%3D1%23y', '/dir//x']
  for (const path of paths) await put(path, `content of ${path}`)

  const s3 = { region: 'default', accessKeyId, secretAccessKey, bucket: 'files' }
  const origin = httpOrigin({ name: 'files', url: gateway.url, s3 })
  t.after(() => origin.close?.())
  const plain = await fetch(`${gateway.url}/files/a.txt`)
  assert.equal(plain.status, 403, 'without a signature there is no answer')

  for (const target of paths) assert.equal((await get(origin, { target })).text, `content of ${target}`, target)
  const whole = await get(origin, {
    target: '/a.txt',
    fields: ['Authorization', 'Bearer x', 'Cookie', 'a=1', 'x-amz-acl', 'private'],
  })
  assert.equal(whole.text, 'content of /a.txt')
  const name = whole.fields.findIndex((each) => each.toLowerCase() === 'etag')
  const etag = whole.fields[name + 1] as string

  const head = await get(origin, { method: 'HEAD', target: '/a.txt' })
  assert.deepEqual([head.status, head.text], [200, ''])
  const part = await get(origin, { target: '/a.txt', fields: ['Range', 'bytes=0-6', 'If-Range', etag] })
  assert.deepEqual([part.status, part.text], [206, 'content'])
  assert.equal((await get(origin, { target: '/a.txt', fields: ['If-None-Match', etag] })).status, 304)
  const missing = await get(origin, { target: '/missing' })
  assert.deepEqual([missing.status, missing.text], [404, ''])
  assert.equal((await get(origin, { target: '/?list-type=2' })).status, 404)
})
