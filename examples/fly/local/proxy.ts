// What stands in for Fly's proxy: takes requests at an edge, chooses a machine, says in fly-* fields who asks, and keeps away from machines that are not well.
// What it does not do: TLS, HTTP/2, compression, and Anycast, since an edge is a port of its own here.
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Machine } from './machines.ts'

/** As in fly.toml, but for the time between checks, which is a minute's patience in an hour's run. */
export interface ProxyOptions {
  readonly machines: readonly Machine[]
  readonly checkPath: string
  readonly checkEveryMs: number
  /** Requests that one machine has at a time: beyond that, another one is asked. */
  readonly hardLimit: number
  /** Takes what became of a request that failed: on which machine, and how. */
  readonly onFailure: (machine: Machine, what: string) => void
  /** How long it takes until an edge knows that a machine is being stopped. */
  readonly lagMs: number
}

export interface ProxyStats {
  /** Requests that came from machines with an answer, and those without one. */
  answered: number
  failed: number
  /** Health checks that were answered. */
  checks: number
  /** Asked a second time, the first machine not having taken the connection, or having closed it before it read anything. */
  again: number
  /** Of those that failed, which had been under way on a machine when it was killed. */
  inFlightOnKilled: number
  /** Requests that no machine could take. */
  unplaced: number
}

export interface FlyProxy {
  /** Where one connects in a region. */
  edge(region: string): string
  readonly stats: ProxyStats
  /** Whether requests go there. */
  isRouted(machine: Machine): boolean
  /** Takes a machine out at once, or lets it be routed to when its checks pass. Like `fly machine cordon`. */
  cordon(machine: Machine, isCordoned: boolean): void
  /** From now on what fails on it was under way when it was killed. */
  killed(machine: Machine): void
  close(): Promise<void>
}

interface Backend {
  readonly machine: Machine
  readonly agent: Agent
  isHealthy: boolean
  isCordoned: boolean
  wasKilled: boolean
  /** When it was first seen to be no longer started. */
  leftAt: number | undefined
  open: number
}

/** Of one connection to the other. Regions that are not in it are far from everything. */
const NEAR: Readonly<Record<string, readonly string[]>> = {
  iad: ['ord', 'fra', 'gru', 'nrt', 'syd'],
  ord: ['iad', 'fra', 'nrt', 'gru', 'syd'],
  fra: ['iad', 'ord', 'gru', 'nrt', 'syd'],
  nrt: ['syd', 'ord', 'iad', 'fra', 'gru'],
  syd: ['nrt', 'ord', 'iad', 'fra', 'gru'],
}

const IDLE_MS = 3_600_000
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])
const HOP = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'proxy-connection'])

export async function flyProxy(options: ProxyOptions): Promise<FlyProxy> {
  const { machines, lagMs, hardLimit } = options
  const backends = machines.map(
    (machine): Backend => ({
      machine,
      agent: new Agent({ keepAlive: true, maxSockets: hardLimit, keepAliveMsecs: 1_000 }),
      isHealthy: false,
      isCordoned: false,
      wasKilled: false,
      leftAt: undefined,
      open: 0,
    }),
  )
  const stats: ProxyStats = { answered: 0, failed: 0, checks: 0, again: 0, inFlightOnKilled: 0, unplaced: 0 }
  let count = 0

  const isRouted = (backend: Backend): boolean => {
    if (backend.isCordoned || !backend.isHealthy) return false
    if (backend.machine.state() === 'started') {
      backend.leftAt = undefined
      return true
    }
    // It is not told at once.
    backend.leftAt ??= performance.now()
    return performance.now() - backend.leftAt < lagMs
  }

  /** In the order in which they are asked: the region that was asked for, the nearest, the least busy. */
  function candidates(edge: string, incoming: IncomingMessage): readonly Backend[] {
    const forced = incoming.headers['fly-force-region']
    const preferred = incoming.headers['fly-prefer-region']
    const order = [preferred, edge, ...(NEAR[edge] ?? [])]
    const far = (region: string): number => (order.indexOf(region) < 0 ? order.length : order.indexOf(region))
    return backends
      .filter((each) => isRouted(each) && each.open < hardLimit && (forced === undefined || each.machine.region === forced))
      .sort((a, b) => far(a.machine.region) - far(b.machine.region) || a.open - b.open)
  }

  function take(edge: string, incoming: IncomingMessage, response: ServerResponse): void {
    const id = `${Date.now().toString(36)}-${(count++).toString(36)}-${edge}`
    const fields = fieldsFor(incoming, edge, id)
    const left = [...candidates(edge, incoming)]
    const next = (): void => {
      const backend = left.shift()
      if (backend === undefined) {
        stats.unplaced++
        response.writeHead(503, { 'Content-Type': 'text/plain', 'Fly-Request-Id': id }).end('no machine can take this request\n')
        return
      }
      ask(backend, incoming, response, fields, id, next)
    }
    next()
  }

  function ask(
    backend: Backend,
    incoming: IncomingMessage,
    response: ServerResponse,
    fields: readonly string[],
    id: string,
    next: () => void,
  ): void {
    backend.open++
    let isOver = false
    const over = (): void => {
      if (!isOver) backend.open--
      isOver = true
    }
    const { method = 'GET', url = '/' } = incoming
    const outgoing = request({
      host: '127.0.0.1',
      port: backend.machine.port,
      method,
      path: url,
      headers: fields as string[],
      agent: backend.agent,
    })
    let answered = false
    const fail = (error: Error): void => {
      over()
      stats.failed++
      if (backend.wasKilled) stats.inFlightOnKilled++
      options.onFailure(
        backend.machine,
        `${url}: ${error.message}, ${response.headersSent ? 'in the middle of the body' : 'before the head'}`,
      )
      // The client has to see that it failed.
      if (!response.headersSent) response.writeHead(502, { 'Fly-Request-Id': id }).end()
      else response.destroy()
    }
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (answered) return
      // Nothing has been read of it: another machine may be asked, or the same on another connection.
      const wasRefused = error.code === 'ECONNREFUSED'
      const wasIdle = outgoing.reusedSocket && error.code === 'ECONNRESET' && SAFE.has(method) && !backend.wasKilled
      if ((wasRefused && SAFE.has(method)) || wasIdle) {
        over()
        stats.again++
        if (wasRefused) backend.isHealthy = false
        return next()
      }
      fail(error)
    })
    outgoing.on('response', (answer) => {
      answered = true
      const own = without(answer.rawHeaders, (name) => HOP.has(name))
      response.writeHead(answer.statusCode ?? 502, [...own, 'Fly-Request-Id', id, 'Server', 'local-fly', 'Via', '1.1 local-fly'])
      answer.on('end', () => {
        over()
        stats.answered++
      })
      answer.on('error', fail)
      answer.pipe(response)
    })
    response.on('close', () => {
      if (!response.writableFinished) outgoing.destroy()
    })
    incoming.pipe(outgoing)
  }

  async function check(backend: Backend): Promise<void> {
    if (backend.machine.state() !== 'started') {
      if (backend.machine.state() === 'stopped') backend.isHealthy = false
      return
    }
    try {
      const answer = await fetch(`http://127.0.0.1:${backend.machine.port}${options.checkPath}`, {
        signal: AbortSignal.timeout(3_000),
      })
      await answer.arrayBuffer()
      stats.checks++
      backend.isHealthy = answer.ok
      if (answer.ok) backend.wasKilled = false
    } catch {
      backend.isHealthy = false
    }
  }

  const edges = new Map<string, Server>()
  for (const region of new Set(machines.map((each) => each.region))) {
    // A reader's idle connection is not ended under a request that is on its way.
    const server = createServer({ keepAliveTimeout: IDLE_MS }, (incoming, response) => take(region, incoming, response))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    edges.set(region, server)
  }
  const checking = setInterval(() => void Promise.all(backends.map(check)), options.checkEveryMs)
  const backendOf = (machine: Machine): Backend => backends.find((each) => each.machine === machine) as Backend

  return {
    edge(region) {
      const server = edges.get(region)
      if (server === undefined) throw new Error(`there is no edge in ${region}`)
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    stats,
    isRouted: (machine) => isRouted(backendOf(machine)) && machine.state() === 'started',
    cordon(machine, isCordoned) {
      backendOf(machine).isCordoned = isCordoned
    },
    killed(machine) {
      backendOf(machine).wasKilled = true
    },
    async close() {
      clearInterval(checking)
      for (const { agent } of backends) agent.destroy()
      for (const server of edges.values()) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

/** What the machine is told: who asks, by which edge, how. What a client says of that itself is taken out. */
function fieldsFor(incoming: IncomingMessage, edge: string, id: string): readonly string[] {
  const client = (incoming.socket.remoteAddress ?? '').replace('::ffff:', '')
  return [
    ...without(incoming.rawHeaders, (name) => HOP.has(name) || name.startsWith('fly-') || name.startsWith('x-forwarded-')),
    ...['Fly-Client-IP', client, 'Fly-Region', edge, 'Fly-Request-Id', id],
    ...['Fly-Forwarded-Proto', 'https', 'Fly-Forwarded-Ssl', 'on', 'Fly-Forwarded-Port', '443'],
    ...['X-Forwarded-For', client, 'X-Forwarded-Proto', 'https', 'X-Forwarded-Port', '443', 'X-Forwarded-Ssl', 'on'],
    ...['Via', '1.1 local-fly'],
  ]
}

function without(fields: readonly string[], isOut: (name: string) => boolean): string[] {
  return fields.filter((_, at) => !isOut((fields[at - (at % 2)] as string).toLowerCase()))
}
