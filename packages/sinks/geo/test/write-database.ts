// A small database in MaxMind's format, written by its specification (MaxMind DB 2.0): networks of IPv4, and a record for each.

type Value = string | number | { readonly [name: string]: Value } | readonly Value[]

/** A control byte, with more for larger sizes; types above 7 are in a second byte. */
function control(type: number, size: number): Buffer {
  const [inByte, more] = size < 29 ? [size, []] : size < 285 ? [29, [size - 29]] : [30, [(size - 285) >> 8, (size - 285) & 255]]
  return type > 7 ? Buffer.from([inByte, type - 7, ...more]) : Buffer.from([(type << 5) | inByte, ...more])
}

function encoded(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([control(2, Buffer.byteLength(value)), Buffer.from(value)])
  if (Array.isArray(value)) return Buffer.concat([control(11, value.length), ...value.map(encoded)])
  if (typeof value === 'object') {
    const members = Object.entries(value as Readonly<Record<string, Value>>)
    return Buffer.concat([control(7, members.length), ...members.flatMap(([name, member]) => [encoded(name), encoded(member)])])
  }
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return Buffer.concat([control(3, 8), bytes])
}

function integer(type: 5 | 6 | 9, value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  const size = type === 9 ? 8 : type === 6 ? 4 : 2
  return Buffer.concat([control(type, size), bytes.subarray(8 - size)])
}

/** Records by network, "192.0.2.0/24". */
export function databaseOf(records: Readonly<Record<string, Value>>, builtAt: number): Buffer {
  const nodes: (number | { readonly record: number })[][] = [[]]
  const data: Buffer[] = []
  let dataBytes = 0
  for (const [network, value] of Object.entries(records)) {
    const [address = '', length = ''] = network.split('/')
    const bits = address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('')
      .slice(0, Number(length))
    let node = nodes[0] as (typeof nodes)[number]
    for (const bit of bits.slice(0, -1)) {
      const next = node[Number(bit)]
      if (typeof next === 'number') node = nodes[next] as (typeof nodes)[number]
      else {
        node[Number(bit)] = nodes.length
        node = []
        nodes.push(node)
      }
    }
    node[Number(bits.at(-1))] = { record: dataBytes }
    data.push(encoded(value))
    dataBytes += (data.at(-1) as Buffer).byteLength
  }
  const tree = Buffer.alloc(nodes.length * 6)
  for (const [at, node] of nodes.entries())
    for (const bit of [0, 1]) {
      const next = node[bit]
      const pointer = next === undefined ? nodes.length : typeof next === 'number' ? next : nodes.length + 16 + next.record
      tree.writeUIntBE(pointer, at * 6 + bit * 3, 3)
    }
  const metadata: readonly (readonly [string, Buffer])[] = [
    ['binary_format_major_version', integer(5, 2)],
    ['binary_format_minor_version', integer(5, 0)],
    ['build_epoch', integer(9, builtAt / 1000)],
    ['database_type', encoded('Test-City')],
    ['description', encoded({ en: 'a test' })],
    ['ip_version', integer(5, 4)],
    ['languages', encoded(['en'])],
    ['node_count', integer(6, nodes.length)],
    ['record_size', integer(5, 24)],
  ]
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    control(7, metadata.length),
    ...metadata.flatMap(([name, value]) => [encoded(name), value]),
  ])
}
