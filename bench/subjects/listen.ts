// How a subject joins the benchmark that started it: it listens on loopback, tells the port, and ends with its parent.
import type { AddressInfo, Server } from 'node:net'

export function listen(server: Server): void {
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
  process.on('disconnect', () => process.exit())
}
