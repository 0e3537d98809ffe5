// The command line: create-simple-cdn [FOLDER] asks what is missing, writes a project, and says the next three commands.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Answers, ask } from './ask.ts'
import { type Choices, DEFAULTS, LOGS, nameOf, originFault, PLACES, parseDisk } from './choices.ts'
import { Failure } from './failure.ts'
import { OLDEST_NODE } from './files/package-json.ts'
import { packageManager } from './package-manager.ts'
import { projectFiles } from './project.ts'

const USAGE = `Usage: create-simple-cdn [FOLDER] [options]

Writes a project with simple-cdn into a folder that is new or empty.

      --origin URL       where the site is that is to be cached
      --template PLACE   where it will run: ${PLACES.join(', ')} (default: ${DEFAULTS.place})
      --logs WHERE       ${LOGS.join(', ')} (default: ${DEFAULTS.logs})
      --disk SIZE        for what is cached: 8gb, or none (default: ${DEFAULTS.disk})
  -y, --yes              asks nothing: what is not said has its default
  -h, --help
  -v, --version

Without a terminal nothing is asked either. Exit codes: 0 done, 1 could not be done, 2 asked for in the wrong way.
`

const OPTIONS = {
  origin: { type: 'string' },
  template: { type: 'string', short: 't' },
  logs: { type: 'string' },
  disk: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const { version } = JSON.parse(read('../package.json')) as { version: string }

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parsed(args)
  if (values.help) return void process.stdout.write(USAGE)
  if (values.version) return void process.stdout.write(`create-simple-cdn ${version}, Node ${process.versions.node}\n`)
  const [given, surplus] = positionals
  if (surplus !== undefined) throw new Failure(`"${surplus}" is more than is asked for: one folder`, 2)

  const said: Answers = {
    folder: given,
    origin: values.origin?.trim(),
    place: oneOf('--template', values.template, PLACES),
    logs: oneOf('--logs', values.logs, LOGS),
    disk: values.disk,
  }
  // What cannot be is said before anything is asked.
  for (const fault of [
    given === undefined ? undefined : folderFault(given),
    said.origin === undefined ? undefined : withOption('--origin', originFault(said.origin)),
    values.disk !== undefined && parseDisk(values.disk) === undefined
      ? `--disk: "${values.disk}" is no size here; write "8gb", or "none"`
      : undefined,
  ])
    if (fault !== undefined) throw new Failure(fault, fault.startsWith('--') ? 2 : 1)

  const asks = values.yes !== true && process.stdin.isTTY && process.stdout.isTTY
  const answers = asks ? await ask(said, folderFault) : { ...said }
  const { folder = 'my-cdn', origin, place = DEFAULTS.place, logs = DEFAULTS.logs, disk = DEFAULTS.disk } = answers
  if (origin === undefined) throw new Failure('where is your site? Say it with --origin https://app.example.com', 2)
  const fault = folderFault(folder)
  if (fault !== undefined) throw new Failure(fault)
  write(folder, { name: nameOf(basename(resolve(folder))), origin, place, logs, diskGb: parseDisk(disk) as number })
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (error) {
    // Node's first sentence says what is wrong.
    throw new Failure(`${(error as Error).message.split(/\. |\n/, 1)[0]}; see --help`, 2)
  }
}

function oneOf<const Value extends string>(
  option: string,
  value: string | undefined,
  values: readonly Value[],
): Value | undefined {
  if (value === undefined || values.includes(value as Value)) return value as Value | undefined
  throw new Failure(`${option}: there is no "${value}"; choose ${values.join(', ')}`, 2)
}

function withOption(option: string, fault: string | undefined): string | undefined {
  return fault === undefined ? undefined : `${option}: ${fault}`
}

/** Why nothing can be written there, and what to do; `undefined` when it can. A repository without files is empty. */
function folderFault(folder: string): string | undefined {
  if (folder.trim() === '') return 'the folder has no name; write one, or "." for this one'
  if (!existsSync(folder)) return undefined
  if (!statSync(folder).isDirectory()) return `${folder} is a file; name another folder`
  const files = readdirSync(folder).filter((name) => name !== '.git')
  if (files.length === 0) return undefined
  const some = files.slice(0, 3).join(', ')
  return `${folder} is not empty (${some}${files.length > 3 ? ', …' : ''}); name a new folder, or empty that one`
}

function write(folder: string, choices: Choices): void {
  const manager = packageManager(process.env.npm_config_user_agent)
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE.split('.').map(Number)
  const bringsNode = major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
  const files = projectFiles(choices, { version, bringsNode, manager, runner: read('../templates/run.mjs') })
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    // Never over what has come there meanwhile.
    writeFileSync(join(folder, path), text, { flag: 'wx' })
  }
  const there = relative(process.cwd(), resolve(folder))
  process.stdout.write(
    [
      `${Object.keys(files).length} files in ${folder}: a CDN before ${choices.origin}.`,
      ...(bringsNode
        ? [
            `This is Node ${process.versions.node}; simple-cdn needs ${OLDEST_NODE}, so the project brings its own (run.mjs). Warnings about it (EBADENGINE) do not matter.`,
          ]
        : []),
      'Next:',
      '',
      ...(there === '' ? [] : [`  cd ${inShell(there)}`]),
      `  ${manager.install}`,
      `  ${manager.run('dev')}`,
      '',
    ].join('\n'),
  )
}

function inShell(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  // What a file system says no to is said in its words: a place that is not ours, a disk that is full.
  const isOfFiles = error instanceof Error && 'syscall' in error
  if (!(error instanceof Failure || isOfFiles)) throw error
  process.stderr.write(`create-simple-cdn: ${error.message}\n`)
  process.exitCode = error instanceof Failure ? error.exitCode : 1
}
