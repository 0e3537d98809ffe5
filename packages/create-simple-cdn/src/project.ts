// What a project consists of: a pure function of what was chosen. Nothing is fetched, and nothing written here.
import type { Choices } from './choices.ts'
import { configFile, configTestFile } from './files/config.ts'
import { composeFile, dockerfile, dockerignore, flyToml, workflow } from './files/deploy.ts'
import { packageFile, type Setting, tsconfigFile } from './files/package-json.ts'
import { readme } from './files/readme.ts'
import type { PackageManager } from './package-manager.ts'

export interface ProjectSetting extends Setting {
  readonly manager: PackageManager
  /** The text of run.mjs. */
  readonly runner: string
}

/** The files of a project by their paths in it. */
export function projectFiles(choices: Choices, setting: ProjectSetting): Readonly<Record<string, string>> {
  const { manager, bringsNode, runner } = setting
  return {
    'cdn.config.ts': configFile(choices),
    'cdn.config.test.ts': configTestFile(),
    'package.json': packageFile(choices, setting),
    'tsconfig.json': tsconfigFile(),
    'README.md': readme(choices, manager, setting),
    '.gitignore': 'node_modules\n.simple-cdn\n.node*\n.env\n',
    '.github/workflows/ci.yml': workflow(choices, manager),
    ...(manager.name === 'pnpm' && { 'pnpm-workspace.yaml': '# Nothing here needs an install script.\nallowBuilds: {}\n' }),
    ...(bringsNode && { 'run.mjs': runner }),
    ...(choices.place !== 'node' && { Dockerfile: dockerfile(choices, manager), '.dockerignore': dockerignore() }),
    ...(choices.place === 'docker' && { 'compose.yaml': composeFile(choices) }),
    ...(choices.place === 'fly' && { 'fly.toml': flyToml(choices) }),
  }
}
