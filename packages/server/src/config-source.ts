// The configuration file and everything it imports, read again and again: Node keeps what it has imported, so each change is another name.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Failure } from './failure.ts'
import { loadConfig } from './load-config.ts'

/** Node never forgets a module. A configuration takes tens of kilobytes each time it has changed, so it may so often. */
const MAX_CHANGES = 1_000
const MARK = 'simple-cdn-change'

export interface ConfigSource {
  /** The file itself and what it imports, as far as that is known; without packages. */
  files(): ReadonlySet<string>
  /** Whether any of them has other contents than when it was last loaded. */
  hasChanged(): boolean
  /** What the file exports now, unchecked. Throws a `Failure` that says what to do. */
  load(): Promise<unknown>
}

/** `path` is absolute. */
export function configSource(path: string): ConfigSource {
  const files = new Set([path])
  let loaded: string | undefined
  let change = 0

  const isOurs = (url: string): boolean => url.startsWith('file:') && !url.includes('/node_modules/')
  const nameOf = (url: string): string => fileURLToPath(url.replace(/[?#].*/, ''))
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      const { parentURL } = context
      if (parentURL === undefined || !isOurs(resolved.url) || !isOurs(parentURL) || !files.has(nameOf(parentURL))) return resolved
      files.add(nameOf(resolved.url))
      const [, mark] = new RegExp(`[?&](${MARK}=\\d+)`).exec(parentURL) ?? []
      // Only ES modules have names with a query.
      if (mark === undefined || !context.conditions.includes('import')) return resolved
      return { ...resolved, url: `${resolved.url}${resolved.url.includes('?') ? '&' : '?'}${mark}` }
    },
  })

  const contents = (): string => {
    const hash = createHash('sha256')
    for (const file of [...files].sort()) hash.update(`${file}\0`).update(read(file)).update('\0')
    return hash.digest('hex')
  }

  return {
    files: () => files,
    hasChanged: () => contents() !== loaded,
    async load() {
      const isChanged = loaded !== undefined && contents() !== loaded
      if (isChanged && ++change > MAX_CHANGES)
        throw new Failure(`the configuration has changed ${MAX_CHANGES} times since the start; restart to load another`)
      try {
        if (extname(path) === '.json') return await loadConfig(path)
        return await loadConfig(path, change === 0 ? pathToFileURL(path).href : `${pathToFileURL(path).href}?${MARK}=${change}`)
      } finally {
        // With what turned out to be imported.
        loaded = contents()
      }
    },
  }
}

/** Nothing, when it cannot be read. */
function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    return Buffer.alloc(0)
  }
}
