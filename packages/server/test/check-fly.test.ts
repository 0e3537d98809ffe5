// simple-cdn check --fly: every mistake at once, each with its line, its reason and what to do.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ProgramConfig } from 'simple-cdn'
import { checkFly, flyEnvironment } from '../src/fly/check-fly.ts'
import { readToml } from '../src/fly/toml.ts'
import { project } from './support/project.ts'

const good = `app = "a"
primary_region = "fra"
kill_signal = "SIGTERM"
kill_timeout = 60

[env]
  LEVEL = "debug"

[deploy]
  strategy = "rolling"

[http_service]
  internal_port = 8080
  auto_stop_machines = "off"

  [http_service.concurrency]
    type = "requests"
    soft_limit = 500
    hard_limit = 1000

  [[http_service.checks]]
    path = "/health"

[[vm]]
  memory = "512mb"

[[mounts]]
  source = "cdn"
  destination = "/app/.simple-cdn"
  initial_size = "10gb"
`

const config: ProgramConfig = {
  origins: { app: 'https://app.example.com' },
  routes: [
    { match: '/health', respond: { status: 204 } },
    { match: '/gone', respond: { status: 410 } },
    { match: 'http://*/old', redirect: '/' },
    { match: '/*', origin: 'app' },
  ],
  trustedProxies: 'fly',
  disk: '8gb',
}

const faults = (toml: string, changed: ProgramConfig = config, folder: string | undefined = '/app'): string[] => {
  const { value, lineOf } = readToml(toml)
  return checkFly({ fly: value, config: changed, folder }).map(
    ({ path, message }) => `${lineOf(path) ?? '-'} ${path}: ${message}`,
  )
}
const spool = {
  name: 's3',
  write() {},
  flush: async () => {},
  close: async () => {},
  replay: async () => ({ files: 0, entries: 0, failed: [] }),
}

test('a fly.toml that fits has no mistakes, whatever else the configuration says', () => {
  assert.deepEqual(faults(good), [])
  assert.deepEqual(faults(good, { ...config, purge: { token: 'a token of some length', perMinute: 60 } }), [])
  // The sink that has its queue there comes with a secret.
  assert.deepEqual(faults(good, { ...config, disk: false }), [])
})

describe('a fly.toml', () => {
  /** What is written in place of what, and what is said of it, with the line. */
  const rules: readonly [from: string | RegExp, to: string, said: string, changed?: Partial<ProgramConfig>][] = [
    [
      '[[vm]]',
      '[[services]]\n  internal_port = 8080\n[[vm]]',
      '24 services[0]: stands beside [http_service], and requests go now one way, now the other; keep [http_service] alone',
    ],
    [
      /\[http_service\][\s\S]*(?=\[\[vm)/,
      '',
      '- http_service: is missing: nobody can reach the machines; write [http_service] with internal_port',
    ],
    ['= 8080', '= 3000', '13 http_service.internal_port: is 3000, and simple-cdn listens on 8080 (server.port); write 8080'],
    [
      '  internal_port = 8080\n',
      '',
      '12 http_service.internal_port: is missing, and simple-cdn listens on 8080 (server.port); write 8080',
    ],
    [
      'LEVEL = "debug"',
      'PORT = "80"',
      '13 http_service.internal_port: is 8080, and simple-cdn listens on 80 (PORT in [env]); write 80',
    ],
    [
      '',
      '',
      '12 http_service: cannot reach simple-cdn, which listens on 127.0.0.1 only (server.host); leave server.host out',
      { server: { host: '127.0.0.1' } },
    ],
    [
      '',
      '',
      "12 http_service: speaks plain HTTP to the machine, which expects TLS (server.tls); leave server.tls out: Fly's proxy ends TLS",
      { server: { tls: { cert: 'a', key: 'b' } } },
    ],
    [
      '',
      '',
      '12 http_service: does not speak the PROXY protocol (server.proxyProtocol); leave that out, and write trustedProxies: "fly"',
      { server: { proxyProtocol: true } },
    ],
    [
      '[[vm]]',
      '[http_service.http_options]\n  h2_backend = true\n[[vm]]',
      '25 http_service.http_options.h2_backend: is true, and simple-cdn speaks HTTP/2 over TLS only; leave it out',
    ],
    [
      '',
      '',
      "12 http_service: makes every request come from Fly's proxy, over http; write trustedProxies: 'fly' in the configuration",
      { trustedProxies: undefined as never },
    ],
    [
      '= 8080',
      '= 9090',
      '13 http_service.internal_port: is 9090, the admin listener (server.admin.port), which would be public; reach that over the private network',
      { server: { port: 9090, admin: { port: 9090 } } },
    ],
    [
      '"requests"',
      '"connections"',
      '17 http_service.concurrency.type: is "connections": idle connections would count as load; write "requests"',
    ],
    [
      '    type = "requests"\n',
      '',
      '16 http_service.concurrency.type: is missing: idle connections would count as load; write "requests"',
    ],
    [
      /\s+\[http_service\.concurrency\][\s\S]*?(?=\n\n)/,
      '',
      '12 http_service.concurrency: is missing: Fly would count connections, 20 at a time; write type = "requests", soft_limit and hard_limit',
    ],
    [
      '    soft_limit = 500\n',
      '',
      '16 http_service.concurrency: needs soft_limit and hard_limit, as numbers of requests at a time',
    ],
    ['= 500', '= 2000', '18 http_service.concurrency.soft_limit: is 2000, above hard_limit, which is 1000; write less'],
    [
      '= 1000',
      '= 20000',
      '19 http_service.concurrency.hard_limit: is 20000, and simple-cdn refuses more than 10000 connections (server.maxConnections); write 10000',
    ],
    [
      '"off"',
      '"stop"',
      '14 http_service.auto_stop_machines: is "stop": a machine that stops forgets what it has in memory, and the next request waits; write "off"',
    ],
    [
      /\s+\[\[http_service\.checks\]\]\n.*/,
      '',
      '12 http_service.checks: is missing: requests would go to a machine that does not answer; write [[http_service.checks]] with a path that a route answers itself',
    ],
    [
      '"/health"',
      '"/"',
      '22 http_service.checks[0].path: is "/", for which the route "/*" asks an origin: when that fails, every machine is taken out; write a route that answers itself',
    ],
    [
      '"/health"',
      '"/gone"',
      '22 http_service.checks[0].path: is "/gone", which the route "/gone" answers with 410; a check needs 200 to 299, over plain http',
    ],
    [
      '"/health"',
      '"/old"',
      '22 http_service.checks[0].path: is "/old", which the route "http://*/old" redirects; a check needs 200 to 299, over plain http',
    ],
    ['SIGTERM', 'SIGHUP', '3 kill_signal: is "SIGHUP", on which simple-cdn does not finish what is under way; write "SIGTERM"'],
    [
      'kill_timeout = 60\n',
      '',
      '- kill_timeout: is missing, which means 5 seconds; 30 s for requests (server.grace) and 10 s for logs make 40',
    ],
    ['= 60', '= "30s"', '4 kill_timeout: is "30s"; 30 s for requests (server.grace) and 10 s for logs make 40'],
    ['= 60', '= 600', '4 kill_timeout: is 600, and Fly waits 300 s at most; write less, and a shorter server.grace'],
    ['"rolling"', '"bluegreen"', '10 deploy.strategy: is "bluegreen", and a volume cannot be on two machines; write "rolling"'],
    ['"rolling"', '"immediate"', '10 deploy.strategy: is "immediate": all machines would be away at once; write "rolling"'],
    [
      '',
      '',
      '24 vm[0]: has 512 MB, and simple-cdn takes "512mb" (memory), that is 512 MB; give the machine 640 MB, or the cache less',
      { memory: '512mb' },
    ],
    [
      /\[\[mounts\]\][\s\S]*/,
      '',
      '- mounts: is missing: what is cached (disk) would be gone with each deployment; write [[mounts]], or disk: false',
    ],
    [
      /\[\[mounts\]\][\s\S]*/,
      '',
      '- mounts: is missing: log lines that wait to be uploaded would be gone with each deployment; write [[mounts]]',
      { disk: false, log: [spool] },
    ],
    [
      '"/app/.simple-cdn"',
      '"/data"',
      '29 mounts[0].destination: is "/data", and simple-cdn writes to /app/.simple-cdn; write "/app/.simple-cdn"',
    ],
    [
      '',
      '',
      '29 mounts[0].destination: is "/app/.simple-cdn", and simple-cdn writes to /data; write "/data"',
      { disk: { folder: '/data' } },
    ],
    ['"10gb"', '5', '30 mounts[0].initial_size: is 5, too little for "8gb" for the cache (disk); write "9gb"'],
    [
      '  initial_size = "10gb"\n',
      '',
      '27 mounts[0].initial_size: is missing, which means 1gb, too little for "8gb" for the cache (disk); write "9gb"',
    ],
    [
      '"10gb"',
      '"9GB"',
      '30 mounts[0].initial_size: is "9GB", too little for "8gb" for the cache (disk) and 1 GiB for log lines; write "10gb"',
      { log: [spool] },
    ],
    ['[[vm]]', '[[mounts]]\n  source = "x"\n[[vm]]', '29 mounts[1]: is a second volume, and a machine has one; keep one'],
    ['LEVEL = "debug"', 'FLY_REGION = "x"', '7 env.FLY_REGION: has a name that is for Fly; choose another'],
    [
      'LEVEL = "debug"',
      'CDN_ADMIN_TOKEN = "x"',
      '7 env.CDN_ADMIN_TOKEN: is no secret here; take it out, and `fly secrets set CDN_ADMIN_TOKEN=…`',
    ],
  ]
  for (const [from, to, said, changed] of rules)
    test(`is told: ${said}`, () => {
      const toml = good.replace(from, to)
      const found = faults(toml, { ...config, ...changed })
      assert.ok(found.includes(said), found.join('\n'))
    })

  test('without a size of machine is taken for the smallest, which is enough', () => {
    const toml = good.replace('  memory = "512mb"\n', '')
    assert.deepEqual(faults(toml), [])
    assert.equal(flyEnvironment(readToml(toml).value).FLY_VM_MEMORY_MB, '256')
    assert.equal(
      flyEnvironment(readToml(good.replace('memory = "512mb"', 'size = "performance-2x"')).value).FLY_VM_MEMORY_MB,
      '4096',
    )
  })

  test('with [[services]] alone is held to the same', () => {
    const toml = good
      .replaceAll('[http_service]', '[[services]]')
      .replace('[[http_service.checks]]', '[[services.http_checks]]')
      .replace('http_service.concurrency', 'services.concurrency')
    assert.deepEqual(faults(toml), [])
    assert.deepEqual(faults(toml.replace('"requests"', '"connections"').replace('"/health"', '"/gone"')), [
      '17 services[0].concurrency.type: is "connections": idle connections would count as load; write "requests"',
      '22 services[0].http_checks[0].path: is "/gone", which the route "/gone" answers with 410; a check needs 200 to 299, over plain http',
    ])
  })

  test('whose check says that it comes by https is taken at its word', () => {
    assert.deepEqual(
      faults(good.replace('"/health"', '"/old"\n    headers = { X-Forwarded-Proto = "https" }'))[0]?.includes('asks an origin'),
      true,
    )
  })
})

describe('simple-cdn check --fly', { concurrency: 2 }, () => {
  const configFile = `export default (env) => ({
    origins: { app: 'https://app.example.com' },
    routes: [{ match: '/health', respond: { status: 204 } }, { match: '/*', origin: 'app' }],
    trustedProxies: 'fly',
    disk: '8gb',
    memory: '1gb',
    server: { port: 8080, admin: { host: env.FLY_PRIVATE_IP, port: 9090 } },
  })`

  test('gives a fly.toml with eight mistakes eight messages', async (t) => {
    const { run } = project(t, {
      'cdn.config.mjs': configFile,
      Dockerfile: 'FROM node:26\nWORKDIR /srv\n',
      'fly.toml': `app = "a"
kill_timeout = 5

[http_service]
  internal_port = 3000
  auto_stop_machines = "stop"

  [http_service.concurrency]
    type = "connections"
    soft_limit = 20
    hard_limit = 25

  [[http_service.checks]]
    path = "/"

[[services]]
  internal_port = 8080

[[vm]]
  memory = "512mb"

[mounts]
  source = "cdn"
  destination = "/data"
  initial_size = "10gb"
`,
    })
    assert.deepEqual(await run(['check', '--fly']).ended, {
      code: 1,
      stdout: '',
      stderr: `simple-cdn: fly.toml has 8 mistakes:
  line 2: kill_timeout: is 5; 30 s for requests (server.grace) and 10 s for logs make 40
  line 5: http_service.internal_port: is 3000, and simple-cdn listens on 8080 (server.port); write 8080
  line 6: http_service.auto_stop_machines: is "stop": a machine that stops forgets what it has in memory, and the next request waits; write "off"
  line 9: http_service.concurrency.type: is "connections": idle connections would count as load; write "requests"
  line 14: http_service.checks[0].path: is "/", for which the route "/*" asks an origin: when that fails, every machine is taken out; write a route that answers itself
  line 16: services[0]: stands beside [http_service], and requests go now one way, now the other; keep [http_service] alone
  line 19: vm[0]: has 512 MB, and simple-cdn takes "1gb" (memory), that is 1024 MB; give the machine 1280 MB, or the cache less
  line 24: mounts.destination: is "/data", and simple-cdn writes to /srv/.simple-cdn; write "/srv/.simple-cdn"
`,
    })
  })

  test('says that a fly.toml fits, and what is wrong with one that is none', async (t) => {
    const fits = project(t, { 'cdn.config.mjs': configFile.replace("memory: '1gb',", ''), 'fly.toml': good })
    const broken = project(t, { 'cdn.config.mjs': configFile, 'fly.toml': 'app = "a"\n[http_service\n' })
    const none = project(t, { 'cdn.config.mjs': configFile })
    const [one, two, three] = await Promise.all([fits, broken, none].map(({ run }) => run(['check', '--fly']).ended))
    assert.equal(one?.code, 0, one?.stderr)
    assert.match(one?.stdout ?? '', /\nfly\.toml fits\.\n$/)
    assert.match(two?.stderr ?? '', /^simple-cdn: fly\.toml is not TOML:\n {2}line 2: /)
    assert.match(three?.stderr ?? '', /^simple-cdn: there is no .*fly\.toml; `fly launch --no-deploy` writes one\n$/)
  })
})
