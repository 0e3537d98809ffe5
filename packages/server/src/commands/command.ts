// What a command of the command line is.
import type { ParseArgsOptionsConfig } from 'node:util'

/** Options as they were given; those that were left out are not there. */
export interface Values {
  readonly config?: string
  readonly host?: string
  readonly port?: string
  readonly 'no-watch'?: boolean
  readonly admin?: string
  readonly token?: string
  readonly method?: string
  readonly header?: readonly string[]
  readonly date?: string
  readonly read?: boolean
  readonly sink?: string
  readonly folder?: string
  readonly path?: readonly string[]
  readonly status?: readonly string[]
  readonly sizes?: string
  readonly minute?: string
  readonly json?: boolean
  readonly url?: readonly string[]
  readonly key?: readonly string[]
  readonly prefix?: readonly string[]
  readonly everything?: boolean
  readonly pattern?: readonly string[]
  readonly 'on-host'?: readonly string[]
  readonly route?: readonly string[]
  readonly soft?: boolean
  readonly 'dry-run'?: boolean
  readonly wait?: boolean
  readonly refresh?: boolean
  readonly verify?: boolean
  readonly fly?: boolean
  readonly print?: boolean
}

export interface Command {
  readonly usage: string
  /** In a sentence. */
  readonly summary: string
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  readonly operands: readonly string[]
  /** Resolves to the exit code. Throws a `Failure` where it can say what to do. */
  run(values: Values, operands: readonly string[]): Promise<number>
}

export const CONFIG_OPTION = { config: { type: 'string', short: 'c' } } as const
