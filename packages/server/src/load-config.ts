// Finds cdn.config.ts and imports it as Node does: types are removed, nothing is compiled.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Failure } from './failure.ts'

const NAMES = ['cdn.config.ts', 'cdn.config.mts', 'cdn.config.js', 'cdn.config.mjs', 'cdn.config.json']

/** The configuration file of a project, or the one that is named. Throws a `Failure` that says what to do. */
export function findConfig(named: string | undefined, folder: string): string {
  if (named !== undefined) {
    const path = resolve(folder, named)
    if (!existsSync(path)) throw new Failure(`there is no ${path}`)
    return path
  }
  const found = NAMES.filter((name) => existsSync(join(folder, name)))
  const [only, other] = found
  if (only === undefined)
    throw new Failure(`there is no ${NAMES[0]} (or .mts, .js, .mjs, .json) in ${folder}; write one, or name one with --config`)
  if (other !== undefined) throw new Failure(`there are ${found.join(' and ')} in ${folder}; name the one you mean with --config`)
  return join(folder, only)
}

/** What a configuration file exports, unchecked; a function is called with the environment. `url` is what to import it as. Throws a `Failure` that says what to do. */
export async function loadConfig(path: string, url: string = pathToFileURL(path).href): Promise<unknown> {
  const exported = extname(path) === '.json' ? await parsed(path) : await imported(path, url)
  if (typeof exported !== 'function') return exported
  try {
    return await exported(process.env)
  } catch (error) {
    throw broken(path, error)
  }
}

async function parsed(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new Failure(`${basename(path)} is not JSON: ${messageOf(error)}`)
  }
}

async function imported(path: string, url: string): Promise<unknown> {
  let module: { readonly default?: unknown }
  try {
    module = await import(url)
  } catch (error) {
    throw broken(path, error)
  }
  if (module.default === undefined)
    throw new Failure(`${basename(path)} has no default export; write "export default defineConfig({ … })"`)
  return module.default
}

function broken(path: string, error: unknown): Failure {
  const hint = hintFor(error)
  const lines = [
    `${basename(path)} cannot be loaded: ${messageOf(error)}`,
    ...(hint === undefined ? [] : [hint]),
    ...excerpt(path, error),
  ]
  return new Failure(lines.join('\n'))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function hintFor(error: unknown): string | undefined {
  const { code = '', message = '' } = Object(error) as { code?: string; message?: string }
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return 'Node removes types and compiles nothing: write an object instead of an enum or a namespace, and assign parameters to properties.'
  }
  const [, missing, from] = /^Cannot find module '(.+)' imported from (.+)$/.exec(message) ?? []
  if (missing !== undefined && from !== undefined) {
    const meant = [`${missing}.ts`, missing.replace(/\.([cm]?)js$/, '.$1ts'), `${missing}.js`, join(missing, 'index.ts')].find(
      (file) => existsSync(file),
    )
    if (meant !== undefined) return `An import names the file as it is: write './${relative(dirname(from), meant)}'.`
  }
  const [, name] = /^Cannot find package '(.+?)'/.exec(message) ?? []
  if (name === 'simple-cdn') return 'Install it with "npm install simple-cdn", or leave defineConfig out: a plain object does.'
  if (name !== undefined) return `Install it with "npm install ${name}".`
  if (/does not provide an export named/.test(message)) return 'If it is a type, write "import type".'
  return /^(module|exports|require) is not defined/.test(message)
    ? 'Write "import" and "export default" instead of "require" and "module.exports".'
    : undefined
}

/** Where it happened, as well as that can be told: the lines of source, or the place in a file. */
function excerpt(path: string, error: unknown): readonly string[] {
  const { stack = '', code } = Object(error) as { stack?: string; code?: string }
  if (!(error instanceof SyntaxError)) {
    const place = /\bfile:\/\/[^\s)]+/.exec(stack)?.[0]
    return place === undefined || code === 'ERR_MODULE_NOT_FOUND' ? [] : [`at ${readable(place)}`]
  }
  // The engine knows the line of a mistake in JavaScript, and tells it only to standard error.
  const told = stack.startsWith('SyntaxError')
    ? spawnSync(process.execPath, ['--check', path], { encoding: 'utf8' }).stderr
    : stack
  const [source = ''] = told.split(/\n+SyntaxError/)
  return source === '' ? [] : readable(source).split('\n')
}

/** `file:` URLs as paths. */
function readable(text: string): string {
  return text.replace(/file:\/\/[^\s:)]+/, (url) => fileURLToPath(url))
}
