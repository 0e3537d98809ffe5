// simple-cdn purge: what the running server has, under a URL, with a surrogate key, under a prefix, or all, is not reused any more.
import { Failure } from '../failure.ts'
import { CONFIG_OPTION, type Command } from './command.ts'
import { access } from './explain.ts'

const TIMEOUT_MS = 30_000

export const purge: Command = {
  usage: 'simple-cdn purge [--url URL] [--key NAME] [--prefix URL] [--everything] [--soft]',
  summary: 'Purges what the running server has stored; it is done when the command ends.',
  help: `What was asked for before this, stored or on its way, is not reused any more.

      --url URL       all variants of a URL; may be repeated
      --key NAME      all that has this surrogate key (Surrogate-Key, Cache-Tag); may be repeated
      --prefix URL    all whose URL begins like this: https://example.com/blog/; may be repeated
      --everything    all there is
      --soft          leaves it to be served stale, while it is asked for again or when the origin fails
  -c, --config PATH   the configuration file that the server was started with
      --admin URL     the admin listener of a server elsewhere; also $CDN_ADMIN_URL
      --token TOKEN   its token; also $CDN_ADMIN_TOKEN, which other users of this machine cannot see
`,
  options: {
    ...CONFIG_OPTION,
    url: { type: 'string', multiple: true },
    key: { type: 'string', multiple: true },
    prefix: { type: 'string', multiple: true },
    everything: { type: 'boolean' },
    soft: { type: 'boolean' },
    admin: { type: 'string' },
    token: { type: 'string' },
  },
  operands: [],
  async run(values) {
    const what = [
      ...(values.url ?? []).map((url) => ({ url })),
      ...(values.key ?? []).map((surrogateKey) => ({ surrogateKey })),
      ...(values.prefix ?? []).map((prefix) => ({ prefix })),
      ...(values.everything === true ? [{ everything: true }] : []),
    ]
    if (what.length === 0) throw new Failure('what is it to purge? Name it with --url, --key, --prefix or --everything', 2)
    const { url: admin, token } = await access(values)
    const response = await fetch(`${admin}/purge`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ purge: what, soft: values.soft === true }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: Error) => {
      throw new Failure(`no server answers at ${admin}: ${error.message}`)
    })
    if (response.status === 401) throw new Failure(`${admin} does not know this token`)
    const told = (await response.json().catch(() => ({}))) as {
      purged?: readonly { kind: string; value: string }[]
      error?: string
    }
    if (told.purged === undefined) throw new Failure(told.error ?? `${admin} is not an admin listener of simple-cdn`)
    for (const { kind, value } of told.purged) process.stdout.write(`purged ${kind} ${value}`.trimEnd().concat('\n'))
    return 0
  },
}
