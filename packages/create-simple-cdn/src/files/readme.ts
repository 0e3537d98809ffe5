// README.md of a project: the next three commands, what lies where, and how it goes out into the world.
import type { Choices } from '../choices.ts'
import type { PackageManager } from '../package-manager.ts'
import { ADMIN_PORT, PORT } from './config.ts'
import { needsVolume } from './deploy.ts'
import { OLDEST_NODE, type Setting } from './package-json.ts'

export function readme(choices: Choices, manager: PackageManager, { bringsNode }: Setting): string {
  const { name, origin, place } = choices
  const node = bringsNode
    ? `\nsimple-cdn needs Node ${OLDEST_NODE}. Where there is an older one, \`run.mjs\` brings another into \`.node/\` and runs the scripts with that;\nthe package manager warns (\`EBADENGINE\`) and need not be heeded. With a new Node, take \`node run.mjs\` out of \`package.json\`.\n`
    : ''
  return `# ${name}

A CDN before ${origin}, made of [simple-cdn](https://www.npmjs.com/package/simple-cdn).

\`\`\`sh
${manager.install}
${manager.run('dev')}                       # http://localhost:${PORT}
curl -i http://localhost:${PORT}/     # twice: Cache-Status says "hit" if your site lets it be kept
\`\`\`
${node}
If it is no hit, ask why:

\`\`\`sh
${manager.exec(`simple-cdn explain http://localhost:${PORT}/`)}
\`\`\`

| file | what it is |
| --- | --- |
| \`cdn.config.ts\` | the CDN: change it while it runs, the next request is for the new one |
| \`cdn.config.test.ts\` | what it promises, without a network: \`${manager.run('test')}\` |
| \`.github/workflows/ci.yml\` | \`${manager.run('check')}\` and \`${manager.run('test')}\` for each push${place === 'fly' ? '; a tag such as `v1` is deployed' : ''} |
${place === 'node' ? '' : '| `Dockerfile` | the image |\n'}${place === 'docker' ? '| `compose.yaml` | the image with its volume, its health, and time to stop |\n' : ''}${place === 'fly' ? '| `fly.toml` | the machines; `simple-cdn check --fly` compares it with `cdn.config.ts` |\n' : ''}| \`.simple-cdn/\` | what it keeps: nothing to commit |

## Out into the world

${WORLD[place](choices, manager)}
## Purge

\`\`\`sh
${PURGE[place](manager)}
\`\`\`
${place === 'fly' ? '\nOne purge for all machines needs a bus between them: `npm install @simple-cdn/bus-nats`, and `purge: { bus: nats(…) }` in `cdn.config.ts`.\n' : ''}`
}

const WORLD: Readonly<Record<Choices['place'], (choices: Choices, manager: PackageManager) => string>> = {
  fly: (choices) => `\`\`\`sh
fly launch --copy-config --no-deploy${choices.logs === 's3' ? '\nfly storage create                # a bucket for logs, and the secrets that name it' : ''}
fly deploy
\`\`\`

More regions: \`fly scale count 1 --region fra\`${needsVolume(choices) ? ', which makes a volume there, too' : ''}. Your own name: \`fly certs add cdn.example.com\`, then the DNS record that it asks for.
The admin listener, port ${ADMIN_PORT}, is on the private network only.
`,
  docker: (choices) => `\`\`\`sh
docker compose up --build --detach
\`\`\`
${
  choices.logs === 's3'
    ? `
For logs, put \`BUCKET_NAME\`, \`AWS_ACCESS_KEY_ID\`, \`AWS_SECRET_ACCESS_KEY\`, and \`AWS_ENDPOINT_URL_S3\` (R2, Tigris) or \`AWS_REGION\` (Amazon) into the
environment, or into \`.env\`, which stays out of the image and out of version control.
`
    : ''
}
It speaks HTTP. Put something before it that ends TLS, and name its network in \`trustedProxies\`, or give it a certificate
(\`server.tls\`).
`,
  node: () => `\`\`\`sh
node node_modules/simple-cdn/bin/simple-cdn.js start --no-watch
\`\`\`

under whatever keeps processes alive (systemd, say), which ends it with SIGTERM and leaves it a minute. Not by way of a package manager,
which would keep the signal to itself. It speaks HTTP. Put something before it that ends TLS, and name its network in \`trustedProxies\`,
or give it a certificate (\`server.tls\`).
`,
}

const PURGE: Readonly<Record<Choices['place'], (manager: PackageManager) => string>> = {
  fly: () => `fly machine list --quiet      # each has a cache of its own, so for each of them:
fly ssh console --machine ID -C "node_modules/.bin/simple-cdn purge --url https://cdn.example.com/feed.xml"`,
  docker: () => 'docker compose exec cdn node_modules/.bin/simple-cdn purge --url http://localhost:8080/feed.xml',
  node: (manager) => manager.exec('simple-cdn purge --url http://localhost:8080/feed.xml'),
}
