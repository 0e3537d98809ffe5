// The figures of /stats in the text format of Prometheus: every number there is, under a name made of where it stands.

/** What the members of a list are told apart by. */
const LABELS: Readonly<Record<string, string>> = { log: 'sink', origins: 'origin', addresses: 'address', hooks: 'hook' }
/** Stand between a figure and what it is of, and say nothing. */
const UNNAMED: ReadonlySet<string> = new Set(['figures'])

export function metricsText(stats: object): string {
  const metrics = new Map<string, Map<string, number>>()

  function add(value: unknown, path: readonly string[], labels: string): void {
    if (typeof value === 'boolean') add(Number(value), path, labels)
    else if (typeof value === 'number') {
      const name = snake(['simple_cdn', ...path].join('_'))
      const series = metrics.get(name) ?? new Map<string, number>()
      // What a sink says of itself may be known from outside already.
      if (!series.has(labels)) series.set(labels, value)
      metrics.set(name, series)
    } else if (Array.isArray(value)) {
      const list = path.at(-1) ?? ''
      const names = value.map((member, at) => nameOf(member) ?? String(at))
      for (const [at, member] of value.entries()) {
        const name = names[at] as string
        // Two may have one name, such as two sinks to the same bucket.
        add(member, path, joined(labels, LABELS[list] ?? list, names.indexOf(name) === at ? name : `${name} (${at})`))
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, member] of Object.entries(value)) add(member, UNNAMED.has(key) ? path : [...path, key], labels)
    }
  }

  add(stats, [], '')
  return [...metrics]
    .map(([name, series]) => {
      const lines = [...series].map(([labels, value]) => `${name}${labels === '' ? '' : `{${labels}}`} ${value}\n`)
      return `# TYPE ${name} untyped\n${lines.join('')}`
    })
    .join('')
}

function nameOf(member: unknown): string | undefined {
  const { name, url, host } = (member ?? {}) as Readonly<Record<string, unknown>>
  return [name, url, host].find((each) => typeof each === 'string')
}

function joined(labels: string, label: string, text: string): string {
  const written = `${label}="${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`
  return labels === '' ? written : `${labels},${written}`
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/\W/g, '_')
}
