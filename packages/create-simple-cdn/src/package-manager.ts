// Which package manager runs us, and how it says what a project needs said.

export interface PackageManager {
  readonly name: 'npm' | 'pnpm' | 'yarn' | 'bun'
  readonly install: string
  /** Runs a script of package.json. */
  readonly run: (script: string) => string
  /** Runs a command of an installed package. */
  readonly exec: (command: string) => string
  /** For machines: installs what the lockfile says, or fails. */
  readonly ci: string
  /** The same without what is for development only. */
  readonly ciProduction: string
  readonly lockfile: string
}

const run = (manager: string) => (script: string) => `${manager} run ${script}`

const MANAGERS: Readonly<Record<PackageManager['name'], PackageManager>> = {
  npm: {
    name: 'npm',
    install: 'npm install',
    run: run('npm'),
    exec: (command) => `npx ${command}`,
    ci: 'npm ci',
    ciProduction: 'npm ci --omit=dev',
    lockfile: 'package-lock.json',
  },
  pnpm: {
    name: 'pnpm',
    install: 'pnpm install',
    run: run('pnpm'),
    exec: (command) => `pnpm exec ${command}`,
    ci: 'pnpm install --frozen-lockfile',
    ciProduction: 'pnpm install --frozen-lockfile --prod',
    lockfile: 'pnpm-lock.yaml',
  },
  yarn: {
    name: 'yarn',
    install: 'yarn install',
    run: run('yarn'),
    exec: (command) => `yarn ${command}`,
    ci: 'yarn install --frozen-lockfile',
    ciProduction: 'yarn install --frozen-lockfile --production',
    lockfile: 'yarn.lock',
  },
  bun: {
    name: 'bun',
    install: 'bun install',
    run: run('bun'),
    exec: (command) => `bunx ${command}`,
    ci: 'bun install --frozen-lockfile',
    ciProduction: 'bun install --frozen-lockfile --production',
    lockfile: 'bun.lock',
  },
}

/**
 * By npm_config_user_agent, which all of them set: "pnpm/12.21.0 npm/? node/v24.21.0 linux x64". npm, if it says nothing we know; and in place of
 * Yarn 2 and later, which has other options and no node_modules.
 */
export function packageManager(userAgent: string | undefined): PackageManager {
  const [, name = '', major = ''] = /^([a-z]+)\/(\d+)/.exec(userAgent ?? '') ?? []
  if (name === 'yarn' && major !== '1') return MANAGERS.npm
  return Object.hasOwn(MANAGERS, name) ? MANAGERS[name as PackageManager['name']] : MANAGERS.npm
}
