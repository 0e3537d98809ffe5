// The command line: simple-cdn start, check, explain, purge, logs, downloads.
import { readFileSync } from 'node:fs'
import { suggestion } from '@simple-cdn/core/config'
import { readArguments } from './arguments.ts'
import { check } from './commands/check.ts'
import type { Command } from './commands/command.ts'
import { downloads } from './commands/downloads.ts'
import { explain } from './commands/explain.ts'
import { logs } from './commands/logs.ts'
import { purge } from './commands/purge.ts'
import { start } from './commands/start.ts'
import { Failure } from './failure.ts'

const COMMANDS: Readonly<Record<string, Command>> = { start, check, explain, purge, logs, downloads }
const HELP = { type: 'boolean', short: 'h' } as const

const USAGE = `Usage:
${Object.values(COMMANDS)
  .map(({ usage, summary }) => `  ${usage}\n      ${summary}`)
  .join('\n')}
  simple-cdn --version | --help

simple-cdn COMMAND --help says more about a command.
Exit codes: 0 done, 1 could not be done, 2 asked for in the wrong way.
`

/** Does what the arguments say; resolves to the exit code. */
async function main([name = '', ...rest]: readonly string[]): Promise<number> {
  if (name === '--version' || name === '-v') return say(`simple-cdn ${version()}, Node ${process.versions.node}\n`)
  if (name === '--help' || name === '-h' || name === 'help') return say(USAGE)
  if (name === '') throw new Failure(`what is it to do?\n\n${USAGE.trimEnd()}`, 2)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined)
    throw new Failure(
      `there is no command ${JSON.stringify(name)}${suggestion(name, [...Object.keys(COMMANDS), '--help', '--version'])}`,
      2,
    )
  const { values, operands } = readArguments(rest, { options: { ...command.options, help: HELP }, operands: command.operands })
  if (values.help === true) return say(`Usage: ${command.usage}\n\n${command.help}`)
  return command.run(values as Parameters<Command['run']>[0], operands)
}

function say(text: string): 0 {
  process.stdout.write(text)
  return 0
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`simple-cdn: ${error.message}\n`)
  process.exitCode = error.exitCode
}
