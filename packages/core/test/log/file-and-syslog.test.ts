// Sinks that write to a file and to a syslog server: the contract, rotation, framing.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { changelogCsv, fileSink, syslogSink } from '@simple-cdn/core/log'
import { fakeClock, logEntry, testSink } from '@simple-cdn/testing'

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'simple-cdn-file-'))
const sequences = (text: string): number[] => [...text.matchAll(/"sequence":(\d+)/g)].map(([, number]) => Number(number))
const SMALL = { maxQueued: 100_000, retryMs: 10, maxFlushMs: 900 }

testSink({
  name: 'file',
  create() {
    const folder = newFolder()
    const path = join(folder, 'logs/access.log')
    return {
      sink: fileSink({ path, ...SMALL }),
      arrived: () => (existsSync(path) ? sequences(readFileSync(path, 'utf8')) : []),
      down(isDown) {
        const place = join(folder, 'logs')
        if (isDown) {
          if (existsSync(place)) renameSync(place, `${place}.away`)
          writeFileSync(place, 'in the way')
        } else if (
          existsSync(place) &&
          existsSync(join(place, '..')) &&
          readdirSync(folder).includes('logs') &&
          !isFolder(place)
        ) {
          rmSync(place)
          if (existsSync(`${place}.away`)) renameSync(`${place}.away`, place)
        }
      },
      end: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
})

function isFolder(path: string): boolean {
  try {
    readdirSync(path)
    return true
  } catch {
    return false
  }
}

testSink({
  name: 'syslog over TCP',
  async create() {
    let text = ''
    const sockets = new Set<Socket>()
    let server: Server
    let port = 0
    const listen = async (): Promise<void> => {
      server = createServer((socket) => {
        sockets.add(socket)
        socket.setEncoding('utf8').on('data', (data: string) => {
          text += data
        })
        socket.on('error', () => {})
      }).listen(port, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
    }
    const stop = async (): Promise<void> => {
      if (!server.listening) return
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await listen()
    return {
      sink: syslogSink({ host: '127.0.0.1', port, ...SMALL }),
      async arrived() {
        // What was sent is on its way through the kernel.
        await new Promise((resolve) => setTimeout(resolve, 50))
        return sequences(text)
      },
      async down(isDown) {
        if (isDown) await stop()
        else if (!server.listening) await listen()
      },
      end: stop,
    }
  },
})

describe('a sink on a file', () => {
  it('begins a new file by size and by age, and keeps so many old ones', async (t) => {
    const folder = newFolder()
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const clock = fakeClock()
    const path = join(folder, 'access.log')
    const sink = fileSink({ path, format: changelogCsv, rotateBytes: 1_000, rotateMs: 3_600_000, keep: 2 })
    sink.open?.({ clock, place: { machine: 'm1', region: 'fra' }, onMessage: (message) => assert.fail(message) })
    const lines = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) sink.write(logEntry())
      await sink.flush()
      await clock.advance(1)
    }
    await lines(20)
    await lines(1)
    assert.equal(readdirSync(folder).length, 2, 'by size')
    assert.equal(readFileSync(path, 'utf8').split('\n').length, 2)
    await clock.advance(3_600_000)
    await lines(1)
    assert.equal(readdirSync(folder).length, 3, 'by age')
    await clock.advance(3_600_000)
    await lines(1)
    await clock.advance(3_600_000)
    await lines(1)
    assert.equal(readdirSync(folder).length, 3, 'the oldest is gone')
    await sink.close()
  })
})

describe('a sink on syslog', () => {
  it('sends messages of RFC 5424 over UDP', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1')
    await once(server, 'listening')
    const sink = syslogSink({ host: '127.0.0.1', port: server.address().port, transport: 'udp', format: changelogCsv })
    const got = once(server, 'message')
    sink.write(logEntry({ machine: 'a machine' }))
    await sink.flush()
    const [message] = await got
    assert.match(String(message), /^<134>1 2014-06-06T00:00:00\.000Z a_machine simple-cdn \d+ access - 192\.0\.2\.1,\[06\/Jun/)
    await sink.close()
    server.close()
  })
})
