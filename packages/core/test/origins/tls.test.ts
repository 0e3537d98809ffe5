// Certificates between us and an origin: whom we trust, by which name, and who we are.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { certificate, key } from '../support/certificate.ts'
import { failure, get } from '../support/http-site.ts'
import { secureSite } from '../support/secure-site.ts'
import { before } from '../support/sites.ts'

describe('an origin over TLS', () => {
  it('is not asked when nobody vouches for its certificate', async (t) => {
    let asked = 0
    const { url } = await secureSite(t, (_, response) => response.end(`${asked++}`))
    assert.equal(await failure(get(before(t, { url }))), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal(asked, 0)
  })

  it('is trusted when its authority is named, or when anybody is', async (t) => {
    const { url } = await secureSite(t, (_, response) => response.end('hello'))
    for (const tls of [{ ca: certificate }, { ca: [certificate] }, { rejectUnauthorized: false }])
      assert.equal((await get(before(t, { url, tls }))).text, 'hello')
  })

  it('has to have a certificate for the name it is asked by, or the one that is to be in it', async (t) => {
    const names: unknown[] = []
    const { url } = await secureSite(t, ({ socket }, response) => {
      names.push((socket as TLSSocket).servername)
      response.end('hello')
    })
    const host = 'app.internal'
    assert.equal(await failure(get(before(t, { url, host, tls: { ca: certificate } }))), 'CDN_ORIGIN_UNREACHABLE')
    assert.equal((await get(before(t, { url, host, tls: { ca: certificate, servername: 'localhost' } }))).text, 'hello')
    assert.deepEqual(names, ['localhost'])
  })

  it('may want a certificate of ours', async (t) => {
    const { url } = await secureSite(
      t,
      ({ socket }, response) => response.end(String((socket as TLSSocket).getPeerCertificate().subject.CN)),
      { requestCert: true, rejectUnauthorized: true, ca: certificate },
    )
    assert.equal((await get(before(t, { url, tls: { ca: certificate, cert: certificate, key } }))).text, 'localhost')
    assert.equal(await failure(get(before(t, { url, tls: { ca: certificate } }))), 'CDN_ORIGIN_UNREACHABLE')
  })

  it('has its health checked in the same way', async (t) => {
    let answered = 0
    const { url } = await secureSite(t, (_, response) => response.end(`${answered++}`), {
      requestCert: true,
      rejectUnauthorized: true,
      ca: certificate,
    })
    const health = { path: '/', everyMs: 60_000, threshold: 1, window: 1 }
    const good = before(t, { url, tls: { ca: certificate, cert: certificate, key }, health })
    const bad = before(t, { url, tls: { ca: certificate }, health })
    while (bad.isHealthy?.() === true || answered === 0) await new Promise(setImmediate)
    assert.deepEqual([good.isHealthy?.(), bad.isHealthy?.()], [true, false])
  })
})
