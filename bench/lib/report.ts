// Figures made readable: medians, ranges, ratios within a round, and their place in docs/benchmarks.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'

/** One server under load, for some seconds. */
export interface Measurement {
  readonly requests: number
  /** CPU time of the server. */
  readonly cpuMicros: number
  readonly wallMicros: number
}

/** What was measured of one subject, round by round; every subject has the same rounds. */
export interface Row {
  readonly name: string
  readonly rounds: readonly Measurement[]
}

const cpuPerRequest = ({ cpuMicros, requests }: Measurement): number => cpuMicros / requests

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2
}

/** For each round, how many times the CPU per request of `base`. What disturbs a whole round disturbs both sides. */
export function ratios(row: Row, base: Row): number[] {
  return row.rounds.map((round, index) => cpuPerRequest(round) / cpuPerRequest(base.rounds[index] as Measurement))
}

/** The median, and the smallest and the largest. */
export const withRange = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} [${Math.min(...values).toFixed(digits)}-${Math.max(...values).toFixed(digits)}]`

/** A Markdown table, good to read as it is. A ratio to each of `bases`, by the heading it stands under. */
export function table(rows: readonly Row[], bases: Readonly<Record<string, Row>>): string {
  const cells = [
    ['server', 'CPU µs per request', ...Object.keys(bases), 'core busy'],
    ...rows.map((row) => [
      row.name,
      withRange(row.rounds.map(cpuPerRequest), 1),
      ...Object.values(bases).map((base) => (row === base ? '1' : withRange(ratios(row, base), 2))),
      `${Math.round(100 * median(row.rounds.map(({ cpuMicros, wallMicros }) => cpuMicros / wallMicros)))} %`,
    ]),
  ]
  return markdown(cells)
}

/** Rows of cells, the first being the headings, as a Markdown table. */
export function markdown(cells: readonly (readonly string[])[]): string {
  const widths = (cells[0] as string[]).map((_, column) => Math.max(...cells.map((row) => (row[column] as string).length)))
  const lines = cells.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return lines.join('\n')
}

/** What the figures depend on, in a line. */
export function environment(...programs: readonly string[]): string {
  const cores = cpus()
  return [
    `${cores[0]?.model.trim()}, ${cores.length} cores`,
    `Linux ${/^\d+\.\d+/.exec(release())?.[0]}`,
    `Node ${process.version}`,
    ...programs,
  ].join('; ')
}

const preamble = `# Benchmarks

Written by the scripts in \`bench/\`, each its own section: change them, not this page. How to read it: \`bench/README.md\`.
`

/** Puts `text` in the place of the section that is called `heading`, or after all others. */
export function writeSection(file: string | URL, heading: string, text: string): void {
  const [before = '', ...sections] = (existsSync(file) ? readFileSync(file, 'utf8') : preamble).trimEnd().split('\n## ')
  const section = `${heading}\n\n${text.trim()}\n`
  const at = sections.findIndex((found) => found.startsWith(`${heading}\n`))
  if (at >= 0) sections[at] = section
  else sections.push(section)
  writeFileSync(file, `${[before, ...sections].map((part) => part.trim()).join('\n\n## ')}\n`)
}
