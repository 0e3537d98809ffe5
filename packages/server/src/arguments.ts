// The command line, read by node:util's parseArgs: what is unknown is told together with what was probably meant.
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { suggestion } from '@simple-cdn/core/config'
import { Failure } from './failure.ts'

export interface Syntax {
  readonly options: ParseArgsOptionsConfig
  /** Names of the arguments without a dash, all required but those that end in "?", which are the last. */
  readonly operands: readonly string[]
}

export interface Arguments {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  readonly operands: readonly string[]
}

/** Throws a `Failure` with exit code 2 when the arguments do not fit. */
export function readArguments(args: readonly string[], { options, operands }: Syntax): Arguments {
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true })
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(options, token.name)) continue
    throw wrong(
      `there is no option ${token.rawName}${suggestion(
        token.rawName,
        Object.keys(options).map((name) => `--${name}`),
      )}`,
    )
  }
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
    // Who asks for help need not know how to ask for the rest.
    if (values.help !== true) {
      const missing = operands[positionals.length]
      if (missing !== undefined && !missing.endsWith('?')) throw wrong(`${missing} is missing`)
      if (positionals.length > operands.length)
        throw wrong(`${JSON.stringify(positionals[operands.length])} is more than is asked for`)
    }
    return { values, operands: positionals }
  } catch (error) {
    if (error instanceof Failure) throw error
    // Node's first sentence says what is wrong with the value of an option.
    throw wrong((error as Error).message.split(/\. |\n/, 1)[0] as string)
  }
}

function wrong(message: string): Failure {
  return new Failure(message, 2)
}
