// What a place needs besides the configuration: an image, fly.toml, compose.yaml, and a workflow that checks and tests.
import type { Choices } from '../choices.ts'
import type { PackageManager } from '../package-manager.ts'
import { HEALTH, PORT, STOP_SECONDS } from './config.ts'
import { NODE } from './package-json.ts'

/** Fly's smallest machine that leaves the cache something: 60 % of it is for the process. */
const MACHINE_MB = 512

export function dockerfile({ place }: Choices, manager: PackageManager): string {
  const bring = manager.name === 'npm' ? '' : `RUN npm install --global ${manager.name}\n`
  return `# syntax=docker/dockerfile:1
FROM node:${NODE}-slim
WORKDIR /app
ENV NODE_ENV=production
${bring}COPY package.json ${manager.lockfile}${manager.name === 'pnpm' ? ' pnpm-workspace.yaml' : ''} ./
RUN ${manager.ciProduction}
COPY *.ts ./
${place === 'fly' ? '# Root, in a machine of its own: the volume belongs to root.' : 'RUN mkdir .simple-cdn && chown node .simple-cdn\nUSER node'}
EXPOSE ${PORT}
# Not by way of a package manager, which would keep signals to itself.
CMD ["node", "node_modules/simple-cdn/bin/simple-cdn.js", "start", "--no-watch"]
`
}

export function dockerignore(): string {
  return `node_modules
.simple-cdn
.git
.env*
*.test.ts
`
}

/** Whether anything has to outlive a machine: what is cached, or lines that are still to be uploaded. */
export function needsVolume({ logs, diskGb }: Choices): boolean {
  return diskGb > 0 || logs === 's3'
}

/** Room for the cache, for a queue of log lines, and for what a file system takes for itself. */
function volumeGb({ logs, diskGb }: Choices): number {
  return Math.ceil((diskGb + (logs === 's3' ? 1 : 0)) * 1.1 + 0.5)
}

export function flyToml(choices: Choices): string {
  const { name } = choices
  const volume = `
# One volume for each machine; Fly makes it with the machine. It is a cache: no snapshots.
[[mounts]]
  source = "cdn"
  destination = "/app/.simple-cdn"
  initial_size = "${volumeGb(choices)}gb"
  scheduled_snapshots = false
`
  return `# Checked against cdn.config.ts by \`simple-cdn check --fly\`.
app = "${name}"
primary_region = "iad"

# Time to finish what is under way, and to upload what is logged.
kill_signal = "SIGTERM"
kill_timeout = ${STOP_SECONDS}

[build]

# One machine after the other. A volume belongs to one machine, so there are no others to move to (bluegreen, canary).
[deploy]
  strategy = "rolling"
  max_unavailable = 1

[http_service]
  internal_port = ${PORT}
  force_https = true
  # A machine that sleeps answers slowly, and forgets what it has in memory.
  auto_stop_machines = "off"
  auto_start_machines = true

  # Requests, not connections: a browser has many of those, and most are idle.
  [http_service.concurrency]
    type = "requests"
    soft_limit = 500
    hard_limit = 1000

  [[http_service.checks]]
    method = "GET"
    path = "${HEALTH}"
    interval = "15s"
    timeout = "3s"
    grace_period = "10s"

[[vm]]
  size = "shared-cpu-1x"
  memory = "${MACHINE_MB}mb"
${needsVolume(choices) ? volume : ''}`
}

export function composeFile(choices: Choices): string {
  const volume = needsVolume(choices) ? '    volumes: [cdn:/app/.simple-cdn]\n' : ''
  return `services:
  cdn:
    build: .
    ports: ['${PORT}:${PORT}']
    environment: [ORIGIN_URL, CDN_ADMIN_TOKEN${choices.logs === 's3' ? ', BUCKET_NAME, AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY' : ''}]
${volume}    mem_limit: ${MACHINE_MB}m
    restart: unless-stopped
    stop_grace_period: ${STOP_SECONDS}s
    healthcheck:
      test: [CMD, node, -e, "fetch('http://127.0.0.1:${PORT}${HEALTH}').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
      interval: 15s
      timeout: 3s
${volume === '' ? '' : '\nvolumes:\n  cdn:\n'}`
}

export function workflow({ place }: Choices, manager: PackageManager): string {
  const bring = manager.name === 'npm' ? '' : `      - run: npm install --global ${manager.name}\n`
  const deploy = `
  # On a tag such as v1. Needs the secret FLY_API_TOKEN: \`fly tokens create deploy\`.
  deploy:
    if: startsWith(github.ref, 'refs/tags/v')
    needs: test
    runs-on: ubuntu-latest
    concurrency: deploy
    steps:
      - uses: actions/checkout@v5
      - uses: superfly/flyctl-actions/setup-flyctl@master
      - run: flyctl deploy --remote-only
        env:
          FLY_API_TOKEN: \${{ secrets.FLY_API_TOKEN }}
`
  return `name: ci
on:
  push:
    branches: [main]
    tags: ['v*']
  pull_request:
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-node@v5
        with:
          node-version: ${NODE}
${bring}      - run: ${manager.ci}
      - run: ${manager.run('check')}
      - run: ${manager.run('test')}
${place === 'fly' ? deploy : ''}`
}
