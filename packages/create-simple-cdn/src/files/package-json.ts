// package.json and tsconfig.json of a project.
import type { Choices } from '../choices.ts'

/** The oldest Node that simple-cdn runs on. */
export const OLDEST_NODE = '22.19.0'
/** The major that a project brings, builds its image on, and is tested with. */
export const NODE = 26

export interface Setting {
  /** Of simple-cdn and its packages: all have one. */
  readonly version: string
  /** Whether scripts go through run.mjs, which brings a Node: the one there is would be too old. */
  readonly bringsNode: boolean
}

export function packageFile({ name, place }: Choices, { version, bringsNode }: Setting): string {
  const run = bringsNode ? 'node run.mjs ' : ''
  const check = `${run}simple-cdn check${place === 'fly' ? ' --fly' : ''} && ${run}tsc`
  return json({
    name,
    private: true,
    type: 'module',
    scripts: {
      dev: `${run}simple-cdn start`,
      start: `${run}simple-cdn start --no-watch`,
      check,
      test: `${run}node --test`,
    },
    ...(bringsNode ? {} : { engines: { node: `>=${OLDEST_NODE}` } }),
    dependencies: { 'simple-cdn': `^${version}` },
    devDependencies: { '@simple-cdn/testing': `^${version}`, '@types/node': `^${NODE}.0.0`, typescript: '^7.0.2' },
  })
}

/** Node runs the files as they are, so the compiler only checks them. */
export function tsconfigFile(): string {
  return json({
    compilerOptions: {
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      erasableSyntaxOnly: true,
      verbatimModuleSyntax: true,
      skipLibCheck: true,
    },
    include: ['*.ts'],
  })
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
