// `npm run demo:transcript`: starts the demo, runs what its page "Try the cache" says with curl, and prints what came of it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEMONSTRATIONS, type Demonstration } from './site/demonstrations.ts'

export interface Demo {
  readonly base: string
  /** Where `simple-cdn explain` finds it, when run there. */
  readonly folder: string
  readonly process: ChildProcess
  /** Runs the commands in one shell, as a person would. Rejects when it is not over in half a minute. */
  play(demonstration: Pick<Demonstration, 'curl'>): Promise<Scene>
  /** Ends it at once, however it is. */
  end(): Promise<void>
}

export interface Scene {
  /** The commands, each followed by what it printed. */
  readonly typed: string
  /** What the demo's own terminal showed meanwhile. */
  readonly shown: string
}

const SCENE_MS = 30_000

/** What is missing here for playing it. */
export function missing(): string | undefined {
  const found = ['curl', 'sh'].filter((program) => spawnSync(program, ['-c', ':', '--version']).error !== undefined)
  return found.length === 0 ? undefined : `THE DEMO WAS NOT PLAYED: there is no ${found.join(' and no ')} on this machine`
}

/** The demo on a port of its own, beside any that runs. */
export async function startDemo(): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'simple-cdn-demo-'))
  const demo = spawn(process.execPath, ['--conditions=@simple-cdn/source', join(import.meta.dirname, 'start.ts')], {
    env: { ...process.env, PORT: '0', NO_COLOR: '1', DEMO_FOLDER: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = demo.stdout.setEncoding('utf8')
  let shown = ''
  let look = (): void => {}
  output.on('data', (text) => {
    shown += text
    look()
  })
  output.on('end', () => look())
  const until = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the demo did not show ${pattern}, but:\n${shown}`)), SCENE_MS)
      look = () => {
        const found = pattern.exec(shown)
        if (found === null && !output.readableEnded) return
        clearTimeout(late)
        look = () => {}
        if (found === null) reject(new Error(`the demo ended without showing ${pattern}`))
        else resolve(found)
      }
      look()
    })
  /** What was shown up to now, and is not told again. */
  const told = async (mark: RegExp): Promise<string> => {
    const { index, 0: line } = await until(mark)
    const before = shown.slice(0, index)
    shown = shown.slice(index + line.length)
    return before
  }

  const [, base = ''] = await until(/Open (http:\S+)\//)
  await told(/.*as it happens:\n\n/)
  let scenes = 0
  return {
    base,
    folder,
    process: demo,
    async play({ curl }) {
      const script = curl
        .map((line) => line.replaceAll('{base}', base))
        .map((line) => `printf '%s\\n' ${quoted(`$ ${line}`)}\n${line}`)
      const shell = spawn('sh', ['-c', script.join('\n')], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: SCENE_MS,
      })
      let typed = ''
      shell.stdout.setEncoding('utf8').on('data', (text) => {
        typed += text
      })
      const [code, signal] = await once(shell, 'close')
      if (code === null) throw new Error(`the shell was ended by ${signal} after:\n${typed}`)
      // Shown after all that these commands have caused.
      const end = `/health?end-of-scene=${++scenes}`
      await fetch(base + end)
      return { typed: typed.replaceAll('\r', ''), shown: await told(new RegExp(`.*${end.replace('?', '\\?')} .*\n`)) }
    },
    async end() {
      const ended = demo.exitCode === null && demo.signalCode === null ? once(demo, 'exit') : undefined
      demo.kill('SIGKILL')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

if (import.meta.main) {
  const why = missing()
  if (why !== undefined) {
    console.error(why)
    process.exit(1)
  }
  const demo = await startDemo()
  try {
    for (const demonstration of DEMONSTRATIONS) {
      const { typed, shown } = await demo.play(demonstration)
      console.log(
        `## ${demonstration.title}\n\n${demonstration.shows}\n\n${typed.trimEnd()}\n\nThe demo's own terminal:\n\n${shown}`,
      )
    }
  } finally {
    await demo.end()
  }
}
