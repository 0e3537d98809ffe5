// Writes docs/config-types.md: every option with its type and what its declaration says of it. `node scripts/config-reference.mjs`; a test compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const PAGE = 'docs/config-types.md'
const SOURCES = ['packages/server/src/config.ts', 'packages/core/src/config.ts']

/** The page, made of the declarations. */
export function configReference() {
  const parts = SOURCES.flatMap((source) =>
    [
      ...readFileSync(join(root, source), 'utf8').matchAll(
        /^(?:\/\*\*([\s\S]*?)\*\/\n)?export (interface|type) (\w+)(.*)\n([\s\S]*?)(?=^\}|^\n|^$)/gm,
      ),
    ].flatMap(part),
  )
  return `# Types of the configuration

Written by \`node scripts/config-reference.mjs\` from ${SOURCES.map((source) => `[${source}](../${source})`).join(' and ')}: change those, not this page. With
defaults, bounds and examples: [configuration](config.md).

${parts.join('\n')}`
}

function part([, doc = '', kind, name, rest, body]) {
  if (kind === 'type') {
    const type =
      /^(?:<[^=]*>)? = (.+)$/.exec(rest)?.[1] ??
      body
        .trim()
        .split('\n')
        .map((line) => line.trim())
        .join(' ')
    const isOurs = /(?:Config|Route|Rules|Source|Duration|Size)$/.test(name) && !/^(?:Any|Resolved)/.test(name)
    return isOurs
      ? [`## \`${name}\`\n\n${sentence(doc)}\n\n\`\`\`\n${type.replace(/^\| /, '')}\n\`\`\`\n`.replace('\n\n\n', '\n')]
      : []
  }
  if (!/(?:Config|Route|Parameters)$/.test(name)) return []
  const base = /.*\bextends (\w+)/.exec(rest.replace(/^<.*?> /, ''))?.[1].replace('CacheOptions', 'CdnConfig')
  const rows = [...body.matchAll(/^ {2}(?:\/\*\*([\s\S]*?)\*\/\n {2})?(\w+)(\??): (.+)$/gm)].map(
    ([, text = '', option, optional, type]) =>
      `| \`${option}\` | ${cell(type)} | ${optional ? '' : 'required. '}${sentence(text).replaceAll('|', '\\|')} |`,
  )
  const also = base === undefined ? '' : `Also what \`${base}\` has.\n`
  const table = `| option | type | what it is |\n| --- | --- | --- |\n${rows.join('\n')}\n`
  return [[`## \`${name}\`\n`, ...[sentence(doc), also].filter(Boolean).map((text) => `${text.trim()}\n`), table].join('\n')]
}

function sentence(doc) {
  return doc
    .replace(/^\s*\*?\s?/gm, '')
    .split('\n')
    .join(' ')
    .trim()
}

function cell(type) {
  return `\`${type.replaceAll('|', '\\|')}\``
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(root, PAGE), configReference())
