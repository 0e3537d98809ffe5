// simple-cdn explain URL: asks the server that runs here what it would do with a request, and why.
import { dirname } from 'node:path'
import type { Explanation } from '@simple-cdn/core'
import { dataFolder, readAdminAccess } from '../data-folder.ts'
import { Failure } from '../failure.ts'
import { findConfig } from '../load-config.ts'
import { CONFIG_OPTION, type Command, type Values } from './command.ts'

const TIMEOUT_MS = 10_000

export const explain: Command = {
  usage: "simple-cdn explain URL [-H 'Name: value'] [-X METHOD]",
  summary: 'Says what the running server would do with a request, and why.',
  help: `Asks the server that was started in this folder. The URL is the one a client would use, as a whole. The origin is not asked.

  -H, --header 'Name: value'   a field of the request; may be repeated
  -X, --method METHOD          default: GET
  -c, --config PATH            the configuration file that the server was started with
      --admin URL              the admin listener of a server elsewhere; also $CDN_ADMIN_URL
      --token TOKEN            its token; also $CDN_ADMIN_TOKEN, which other users of this machine cannot see

Every reason is in docs/explain.md.
`,
  options: {
    ...CONFIG_OPTION,
    header: { type: 'string', short: 'H', multiple: true },
    method: { type: 'string', short: 'X' },
    admin: { type: 'string' },
    token: { type: 'string' },
  },
  operands: ['URL'],
  async run(values, [url = '']) {
    const { url: admin, token } = await access(values)
    const query = new URLSearchParams({ url, method: values.method ?? 'GET' })
    for (const line of values.header ?? []) query.append('header', line)
    const response = await ask(`${admin}/explain?${query}`, token)
    const told = (await response.json().catch(() => ({}))) as Partial<Explanation> & { error?: string }
    if (told.lines === undefined) {
      throw new Failure(told.error ?? `${admin} is not an admin listener of simple-cdn`, response.status === 400 ? 2 : 1)
    }
    process.stdout.write(`${told.lines.join('\n')}\n`)
    return 0
  },
}

/** Named on the command line, in the environment, or left in the folder by the server that runs there. */
export async function access({
  config,
  admin = process.env.CDN_ADMIN_URL,
  token = process.env.CDN_ADMIN_TOKEN,
}: Values): Promise<{ url: string; token: string }> {
  const left = admin === undefined ? await readAdminAccess(dataFolder(project(config))) : undefined
  const url = admin ?? left?.url
  if (url === undefined)
    throw new Failure(
      `no server runs in ${project(config)}; start one with "simple-cdn start", or name one with --admin and --token`,
    )
  if (!/^https?:\/\/./i.test(url) || !URL.canParse(url))
    throw new Failure(`${JSON.stringify(url)} is not the URL of an admin listener, such as "http://127.0.0.1:9000"`, 2)
  const known = token ?? left?.token
  if (known === undefined) throw new Failure(`the token of ${url} is missing; give it with --token or CDN_ADMIN_TOKEN`, 2)
  return { url: url.replace(/\/$/, ''), token: known }
}

function project(config: string | undefined): string {
  return config === undefined ? process.cwd() : dirname(findConfig(config, process.cwd()))
}

async function ask(url: string, token: string): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url, { headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(TIMEOUT_MS) })
  } catch (error) {
    throw new Failure(`no server answers at ${new URL(url).origin}: ${reason(error)}; start one with "simple-cdn start"`)
  }
  if (response.status === 401) throw new Failure(`${new URL(url).origin} does not know this token`)
  return response
}

function reason(error: unknown): string {
  const { cause, message } = error as Error
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
