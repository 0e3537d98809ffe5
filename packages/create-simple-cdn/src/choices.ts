// What is asked about a project, which answers there are, and what is wrong with others.

export const PLACES = ['fly', 'docker', 'node'] as const
type Place = (typeof PLACES)[number]

export const LOGS = ['stdout', 's3', 'none'] as const
type Logs = (typeof LOGS)[number]

export interface Choices {
  /** As npm and Fly spell names: lower case, digits, "-". */
  readonly name: string
  /** Where the site is that is to be cached: an http or https URL. */
  readonly origin: string
  readonly place: Place
  readonly logs: Logs
  /** Bound of the store on disk in GiB, a whole number from 1 on; 0 for none. */
  readonly diskGb: number
}

export const DEFAULTS = { place: 'node', logs: 'stdout', disk: '8gb' } as const

/** What is wrong with the URL of an origin, and what to write instead; `undefined` when nothing is. */
export function originFault(text: string): string | undefined {
  if (text === '') return 'write the URL of your site, such as "https://app.example.com"'
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    const url = `https://${text}`
    return parsed(url)
      ? `"${text}" has no scheme; write "${url}"`
      : `"${text}" is not a URL; write it like "https://app.example.com"`
  }
  const url = parsed(text)
  // A URL is read without its tabs and line feeds; in the files they would stand.
  if (url === undefined || /\s/.test(text)) return `"${text}" is not a URL; write it like "https://app.example.com"`
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `"${text}" is neither http nor https`
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return 'write it without user, query and fragment'
  return undefined
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

/** "8gb" as 8, "none" as 0; `undefined` when it is neither. */
export function parseDisk(text: string): number | undefined {
  if (text === 'none') return 0
  const [, gb] = /^([1-9]\d{0,4})gb$/.exec(text) ?? []
  return gb === undefined ? undefined : Number(gb)
}

/** The name of a project in a folder: what npm and Fly both take. */
export function nameOf(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 30)
    .replace(/-+$/, '')
  return name === '' ? 'my-cdn' : name
}
