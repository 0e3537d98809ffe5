// nats(): purges on a JetStream stream, which each machine reads through a durable consumer of its own.
import {
  AckPolicy,
  type ConsumerInfo,
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  type JsMsg,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from '@nats-io/jetstream'
import { connect, type NatsConnection, type NodeConnectionOptions, nanos } from '@nats-io/transport-node'
import { type Clock, type Purge, type PurgeBus, type PurgeSubscriber, systemClock } from '@simple-cdn/core'
import { LRUCache } from 'lru-cache'
import { machineOf, type Order, orderOf, orderText, type Receipt, receiptOf, tokenOf } from './messages.ts'
import { receiptsOf, safeUpTo } from './receipts.ts'

export interface NatsBusOptions {
  /** "nats://10.0.0.1:4222", or all servers of a cluster; those that one knows of are found. */
  servers: string | readonly string[]
  /** Names the stream, its subjects and their receipts: one for each group of machines. Letters, digits, "-" and "_". Default: "simple-cdn". */
  name?: string
  /** The name of this machine, its own among all. Default: FLY_MACHINE_ID, or the host's name. */
  machine?: string
  /**
   * Which machines there are: those owe a receipt, also when NATS does not know them (yet), and others only while they are connected. A list, or
   * `dnsMachines('all.vms.my-app.internal')`. Default: whoever has been connected within `keepDays`.
   */
  machines?: readonly string[] | (() => Promise<readonly string[]>)
  /** On how many servers of a cluster the stream lies, when this machine is the one to make it. Default: 1. */
  replicas?: 1 | 3 | 5
  /**
   * For how many days purges are kept for machines that are away, when this machine is the one to make the stream. Who is away for longer
   * comes back with everything stale. Default: 30.
   */
  keepDays?: number
  /** How many purges are kept at most, likewise. Default: 1,000,000; some 300 MB on the disk of the server. */
  keepPurges?: number
  /** What else a connection needs: `{ user, pass }`, `{ token }`, `{ tls }`. */
  connection?: NodeConnectionOptions
}

/** A purge is tried for so long; choosing another leader of a stream takes a cluster 5 to 7 s. */
const PUBLISH_MS = 15_000
/** The answer to one attempt. A server that restarts gives none. */
const ATTEMPT_MS = 1_000
const PAUSE_MS = 200
/** The same purge published again within this time is still the same one. */
const DUPLICATES_MS = 600_000
/** How often a machine compares its own place with that of the stream. */
const LOOK_EVERY_MS = 5_000
/** Purges that are applied and not acknowledged yet. */
const MAX_UNACKNOWLEDGED = 1_000
const ACKNOWLEDGE_MS = 10_000
/** Receipts that are remembered: of this machine for whoever asks, and again as many of all machines. 200 bytes each: 2 MB, twice. */
const MAX_RECEIPTS = 10_000
const ASK_MS = 500
const CLOSE_MS = 2_000

/**
 * Purges on the stream `name`, for `purge: { bus: nats({ servers }) }`. It belongs to one CDN, and connects when that is created; a machine
 * that cannot connect goes on trying, and serves meanwhile.
 *
 * @throws RangeError when an option is none that NATS takes.
 */
export function nats(options: NatsBusOptions): PurgeBus {
  const { name = 'simple-cdn', keepDays = 30, keepPurges = 1_000_000, replicas = 1 } = options
  if (!/^[\w-]+$/.test(name)) throw new RangeError(`name is ${JSON.stringify(name)}; use letters, digits, "-" and "_"`)
  if (!(keepDays > 0)) throw new RangeError(`keepDays is ${keepDays}; it has to be more than 0`)
  if (!(Number.isInteger(keepPurges) && keepPurges > 0)) throw new RangeError(`keepPurges is ${keepPurges}; write a whole number`)

  const subject = `${name}.purges`
  const keepMs = keepDays * 86_400_000
  const counts = { published: 0, failed: 0, gaps: 0 }
  const applied = new LRUCache<string, Receipt>({ max: MAX_RECEIPTS })
  const receipts = receiptsOf({ max: MAX_RECEIPTS, clock: () => clock, machines: expectedMachines, consumers, ask })
  /** What `machines()` said last, and whether it says anything. */
  let expected: readonly string[] | undefined
  let isExpectedKnown = true
  let clock: Clock = systemClock
  let machine = ''
  let subscriber: PurgeSubscriber | undefined
  let connection: NatsConnection | undefined
  let manager: JetStreamManager | undefined
  let isConnected = false
  let wasConnected = false
  let isClosed = false
  let running: Promise<void> | undefined
  /** Ends what waits: a pause, or a session that has nothing to do. */
  let wake: (() => void) | undefined

  /** Which stream `seen` is about: another one of the same name begins anew. */
  let stream: string | undefined
  /** Applied, and safe, up to there. */
  let seen = 0
  let safe = 0
  /** Resolves when all that has been applied in this session is safe; once something is not, nothing behind it is either. */
  let keeping: Promise<void> = Promise.resolve()
  /** What the stream had when it was looked at last; whether it was, since this machine was cut off. */
  let target = 0
  let isTargetKnown = false

  const cursorAt = (sequence: number): string => `${stream}/${sequence}`

  function told(message: string): void {
    subscriber?.onMessage(`purges (${name}): ${message}`)
  }

  async function pause(ms: number): Promise<void> {
    if (isClosed) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(ms, resolve)
    wake = resolve
    await promise
    cancel()
  }

  // ── the connection, and one session after the other on it ──

  async function run(): Promise<void> {
    let before = ''
    while (!isClosed) {
      try {
        if (connection === undefined || connection.isClosed()) await open()
        if (isClosed) break
        await session(() => {
          before = ''
        })
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        // Said once, and not every second.
        if (why !== before && !isClosed) told(`${why}; trying again`)
        before = why
      }
      cutOff()
      await pause(ATTEMPT_MS)
    }
  }

  async function open(): Promise<void> {
    const servers = [options.servers].flat()
    const opened = await connect({
      timeout: 2_000,
      pingInterval: 10_000,
      reconnectTimeWait: PAUSE_MS,
      ...options.connection,
      servers,
      name: `simple-cdn ${machine}`,
      maxReconnectAttempts: -1,
    }).catch((error: Error) => {
      throw new Error(`NATS cannot be reached at ${servers.join(', ')} (${error.message || error.name})`)
    })
    connection = opened
    if (isClosed) return void opened.close()
    connects(true)
    watchConnection(opened).catch(() => undefined)
    manager = await jetstreamManager(opened, { timeout: ATTEMPT_MS, checkAPI: false })
    opened.subscribe(`${name}.receipts.${tokenOf(machine)}`, {
      callback: (error, message) => (error === null ? received(receiptOf(message.string())) : refused(error)),
    })
    opened.subscribe(`${name}.status`, {
      callback: (error, message) => {
        if (error !== null) return refused(error)
        const receipt = applied.get(message.string())
        if (receipt !== undefined) message.respond(JSON.stringify(receipt))
      },
    })
  }

  /** Purges come all the same. */
  function refused(error: Error): void {
    told(`there will be no receipts of this machine: ${error.message}`)
  }

  async function watchConnection(opened: NatsConnection): Promise<void> {
    for await (const { type } of opened.status()) {
      if (type === 'disconnect') connects(false)
      if (type === 'reconnect') connects(true)
    }
    if (connection === opened) connects(false)
  }

  function connects(is: boolean): void {
    if (is === isConnected) return
    isConnected = is
    if (wasConnected && !isClosed) told(is ? 'connected again' : 'cut off from NATS')
    wasConnected = true
    if (!is) cutOff()
    // Looks at once.
    else wake?.()
  }

  /** Ends, or throws, when it has to begin anew. All is well when nothing has failed by the time that it looks at the stream. */
  async function session(isWell: () => void): Promise<void> {
    const jsm = manager as JetStreamManager
    const nc = connection as NatsConnection
    await place(await streamInfo(jsm))
    await consumerInfo(jsm)
    const consumer = await jsm.jetstream().consumers.get(name, tokenOf(machine))
    let failure: Error | undefined
    const fail = (error: Error): void => {
      failure ??= error
      wake?.()
    }
    keeping = Promise.resolve()
    const messages = await consumer.consume({
      max_messages: MAX_UNACKNOWLEDGED,
      callback: (message) => take(message, fail),
    })
    watchMessages(messages, fail).catch(fail)
    heard()
    try {
      for (let stuck = 0, last = seen; !isClosed && stuck < 2; last = seen) {
        // Who is behind looks again soon: what it asked for may have gone with the server that it asked.
        if (failure === undefined) await pause(hasAll() ? LOOK_EVERY_MS : ATTEMPT_MS)
        if (failure !== undefined) throw failure
        if (isClosed || nc.isClosed()) return
        // More may come while the stream is asked how far it is.
        const before = seen
        let info: StreamInfo
        try {
          info = await jsm.streams.info(name)
        } catch (error) {
          if (isMissing(error)) throw new Error('the stream has gone')
          // Servers that choose a leader do not answer for some seconds.
          cutOff()
          continue
        }
        if (info.created !== stream || info.state.last_seq < before) throw new Error('the stream is not what it was')
        aimAt(info.state.last_seq)
        if (failure === undefined) isWell()
        stuck = seen < target && seen === last ? stuck + 1 : 0
        heard()
      }
      if (!isClosed) told(`nothing comes from the stream, though ${target - seen} purges are there; asking anew`)
    } finally {
      await Promise.race([messages.close(), pauseForClose()])
      // What was not safe comes again.
      seen = safe
    }
  }

  function pauseForClose(): Promise<void> {
    return new Promise((resolve) => void clock.after(CLOSE_MS, resolve))
  }

  async function watchMessages(messages: ConsumerMessages, fail: (error: Error) => void): Promise<void> {
    for await (const { type } of messages.status())
      if (type === 'consumer_not_found' || type === 'consumer_deleted') fail(new Error('the consumer of this machine has gone'))
  }

  async function streamInfo(jsm: JetStreamManager): Promise<StreamInfo> {
    try {
      return await jsm.streams.info(name)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    return jsm.streams.add({
      name,
      subjects: [subject],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      num_replicas: replicas,
      max_age: nanos(keepMs),
      max_msgs: keepPurges,
      duplicate_window: nanos(Math.min(DUPLICATES_MS, keepMs)),
    })
  }

  /** Where this machine stands on the stream. What it cannot have heard purges everything. */
  async function place({ created, state: { first_seq, last_seq } }: StreamInfo): Promise<void> {
    aimAt(last_seq)
    const [known, sequence] = (stream === undefined ? subscriber?.cursor : cursorAt(safe))?.split('/') ?? []
    stream = created
    seen = Number(sequence)
    const isAnother = known !== created || !(seen <= last_seq)
    if (!isAnother && seen + 1 >= first_seq) {
      safe = seen
      return
    }
    seen = isAnother ? last_seq : first_seq - 1
    safe = seen
    // A machine that is new has missed nothing.
    if (known !== undefined) {
      counts.gaps++
      told(
        isAnother
          ? 'the stream is another one than before: everything stored counts as purged'
          : 'this machine was away for longer than the stream keeps purges: everything stored counts as purged',
      )
    }
    await subscriber?.gap(cursorAt(seen))
  }

  /**
   * Makes the consumer of this machine. It is made anew when it stands further than the machine does; and when it waits for acknowledgements
   * of what somebody took who is no more: it would wait a while longer, and the machine with it.
   */
  async function consumerInfo(jsm: JetStreamManager): Promise<void> {
    const durable = tokenOf(machine)
    try {
      const consumer = await jsm.consumers.info(name, durable)
      if (safeUpTo(consumer) <= safe && consumer.num_ack_pending === 0) return
      await jsm.consumers.delete(name, durable)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    await jsm.consumers.add(name, {
      durable_name: durable,
      // One acknowledgement is for all before it: how far a machine is can be read from its consumer.
      ack_policy: AckPolicy.All,
      ack_wait: nanos(ACKNOWLEDGE_MS),
      max_ack_pending: MAX_UNACKNOWLEDGED,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: safe + 1,
      inactive_threshold: nanos(keepMs),
    })
  }

  /** How far the stream is has to be asked anew, before this machine counts as current. */
  function cutOff(): void {
    isTargetKnown = false
    subscriber?.hears(false)
  }

  function aimAt(sequence: number): void {
    target = sequence
    // An answer that was here before the connection was lost says nothing of what came since.
    isTargetKnown = isConnected
  }

  function hasAll(): boolean {
    return isTargetKnown && seen >= target
  }

  function heard(): void {
    if (hasAll() && isConnected) subscriber?.hears(true)
  }

  /** In the order of the stream. A number that is missing is a purge that is missing, whoever took it away. */
  function take(message: JsMsg, fail: (error: Error) => void): void {
    const sequence = message.seq
    if (sequence <= seen) {
      if (sequence <= safe) message.ack()
      return
    }
    const to = subscriber as PurgeSubscriber
    const order = orderOf(message.string())
    const kept: Promise<void>[] = [keeping]
    if (sequence > seen + 1 || order === undefined) {
      counts.gaps++
      told(
        order === undefined
          ? `purge ${sequence} cannot be read, perhaps being of a later version: everything stored counts as purged`
          : `purges ${seen + 1} to ${sequence - 1} are missing; is another machine called "${machine}", too? Everything stored counts as purged`,
      )
      kept.push(to.gap(cursorAt(sequence - (order === undefined ? 0 : 1))))
    }
    seen = sequence
    if (order !== undefined) kept.push(to.apply(order.purge, cursorAt(sequence)))
    heard()
    keeping = Promise.all(kept).then(() => {
      safe = sequence
      message.ack()
      if (order !== undefined) sendReceipt(order, sequence)
    })
    keeping.catch((error: Error) => fail(new Error(`a purge cannot be kept (${error.message})`)))
  }

  // ── receipts ──

  function sendReceipt({ purge: { id }, from }: Order, sequence: number): void {
    const receipt: Receipt = { id, machine, sequence, appliedAt: clock.now() }
    applied.set(id, receipt)
    receipts.take(receipt)
    // Who did not get it asks.
    if (from !== machine && connection?.isClosed() === false)
      connection.publish(`${name}.receipts.${tokenOf(from)}`, JSON.stringify(receipt))
  }

  function received(receipt: Receipt | undefined): void {
    if (receipt !== undefined) receipts.take(receipt)
  }

  async function publish(purge: Purge): Promise<void> {
    const end = clock.now() + PUBLISH_MS
    for (;;) {
      try {
        if (manager === undefined || connection?.isClosed() !== false) throw new Error('not connected')
        const { seq } = await manager
          .jetstream()
          .publish(subject, orderText(purge, machine), { msgID: purge.id, timeout: ATTEMPT_MS })
        receipts.standsAt(purge.id, seq)
        counts.published++
        return
      } catch (error) {
        if (isClosed || clock.now() >= end) {
          counts.failed++
          throw error
        }
      }
      await new Promise<void>((resolve) => void clock.after(PAUSE_MS, resolve))
    }
  }

  async function expectedMachines(): Promise<readonly string[] | undefined> {
    const { machines } = options
    if (typeof machines !== 'function') return machines
    try {
      expected = await machines()
      isExpectedKnown = true
    } catch (error) {
      // Said once, and not every second of a wait.
      if (isExpectedKnown)
        told(`it is not known which machines there are (${(error as Error).message}); those known before are expected`)
      isExpectedKnown = false
    }
    return expected
  }

  async function consumers(): Promise<ReadonlyMap<string, ConsumerInfo>> {
    const found = new Map<string, ConsumerInfo>()
    for await (const consumer of (manager as JetStreamManager).consumers.list(name)) {
      // One without a durable name is somebody who looks on.
      if (consumer.config.durable_name !== undefined) found.set(machineOf(consumer.name), consumer)
    }
    return found
  }

  async function* ask(id: string): AsyncIterable<Receipt> {
    const nc = connection as NatsConnection
    const answers = await nc.requestMany(`${name}.status`, id, { strategy: 'stall', maxWait: ASK_MS, stall: ASK_MS / 4 })
    for await (const answer of answers) {
      const receipt = receiptOf(answer.string())
      if (receipt?.id === id) yield receipt
    }
  }

  return {
    name: 'nats',
    subscribe(to) {
      subscriber = to
      clock = to.clock
      machine = options.machine ?? to.machine
      running = run()
    },
    publish,
    async status(id, { waitMs = 0 } = {}) {
      if (manager === undefined) throw new Error(`${name} is not connected to NATS`)
      return receipts.status(id, waitMs)
    },
    stats: () => ({
      connected: isConnected,
      behind: Math.max(0, target - seen),
      ...counts,
    }),
    async close() {
      isClosed = true
      wake?.()
      receipts.close()
      await Promise.race([running, pauseForClose()])
      // Closing lets go of the socket, and of whoever hears of its errors: what was written last fails before that, if it does.
      await new Promise((resolve) => setImmediate(resolve))
      await Promise.race([connection?.close(), pauseForClose()])
    },
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.status === 404
}
