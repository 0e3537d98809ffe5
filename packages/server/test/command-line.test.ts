// The command line: what it does, what it prints, and with which exit code it ends.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readArguments } from '../src/arguments.ts'
import { start } from '../src/commands/start.ts'
import { Failure } from '../src/failure.ts'
import { project } from './support/project.ts'
import { rawClient } from './support/raw-client.ts'

const options = { concurrency: 2, timeout: 120_000 }
const respond =
  "{ origins: {}, routes: [{ match: '/*', respond: { status: 200, body: 'here' } }], server: { host: '127.0.0.1', port: 0 } }"

describe('simple-cdn', options, () => {
  test('says its version and that of Node', async (t) => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))
    assert.deepEqual(await project(t).run(['--version']).ended, {
      code: 0,
      stdout: `simple-cdn ${version}, Node ${process.versions.node}\n`,
      stderr: '',
    })
  })

  test('says what it can do, and more about each command', async (t) => {
    const { run } = project(t)
    const [all, check] = await Promise.all([run(['--help']).ended, run(['check', '--help']).ended])
    for (const command of ['simple-cdn start ', 'simple-cdn check ', 'simple-cdn explain URL ', 'simple-cdn --version | --help'])
      assert.ok(all.stdout.includes(command), command)
    assert.match(check.stdout, /^Usage: simple-cdn check \[--config PATH\] \[--print\] \[--fly\]\n\n/)
    assert.deepEqual([all.code, all.stderr, check.code, check.stderr], [0, '', 0, ''])
  })

  test('ends with 2 when it does not know what is meant, and guesses', async (t) => {
    const { run } = project(t)
    const [none, command, option] = await Promise.all([run([]).ended, run(['strat']).ended, run(['--hlep']).ended])
    assert.match(none.stderr, /^simple-cdn: what is it to do\?\n\nUsage:\n/)
    assert.equal(command.stderr, 'simple-cdn: there is no command "strat"; did you mean "start"?\n')
    assert.equal(option.stderr, 'simple-cdn: there is no command "--hlep"; did you mean "--help"?\n')
    for (const { code, stdout } of [none, command, option]) assert.deepEqual([code, stdout], [2, ''])
  })
})

describe('arguments', () => {
  const syntax = {
    options: {
      port: { type: 'string', short: 'p' },
      header: { type: 'string', short: 'H', multiple: true },
      help: { type: 'boolean' },
    },
    operands: ['URL'],
  } as const

  const fitting: readonly [args: string[], values: object, operands: string[]][] = [
    [['http://a/'], {}, ['http://a/']],
    [['http://a/', '--port', '80'], { port: '80' }, ['http://a/']],
    [['--port=80', 'http://a/'], { port: '80' }, ['http://a/']],
    [['-p', '80', '-H', 'A: b', '--header', 'C: d', 'x'], { port: '80', header: ['A: b', 'C: d'] }, ['x']],
    [['--', '--port'], {}, ['--port']],
    [['--help'], { help: true }, []],
  ]
  for (const [args, values, operands] of fitting) {
    test(`${args.join(' ')} fits`, () => {
      const read = readArguments(args, syntax)
      assert.deepEqual([{ ...read.values }, read.operands], [values, operands])
    })
  }

  const wrong: readonly [args: string[], message: string][] = [
    [[], 'URL is missing'],
    [['a', 'b'], '"b" is more than is asked for'],
    [['a', '--prot', '80'], 'there is no option --prot; did you mean "--port"?'],
    [['a', '--something-else'], 'there is no option --something-else'],
    [['a', '-x'], 'there is no option -x'],
    [['a', '--port'], "Option '-p, --port <value>' argument missing"],
    [['a', '--help=yes'], "Option '--help' does not take an argument"],
  ]
  for (const [args, message] of wrong) {
    test(`${args.join(' ') || 'none'} does not fit: ${message}`, () => {
      assert.throws(() => readArguments(args, syntax), new Failure(message, 2))
    })
  }
})

describe('simple-cdn check', options, () => {
  test('prints every mistake at once, with its place and what to write instead', async (t) => {
    const { run } = project(t, {
      'cdn.config.ts': `export default {
        origins: { app: 'localhost:3000', 'my site': 'http://127.0.0.1:3001' },
        routes: [
          { match: '/a b/*', origin: 'app' },
          { match: '/x', origin: 'app', cache: { defaultTtl: '10 minutes', maxBody: '64MB' } },
          { match: '/*', origin: 'ap', cahce: false },
        ],
        memory: 12,
        server: { port: '80', idleTimout: '5s', admin: { token: 'short' } },
      }`,
    })
    assert.deepEqual(await run(['check']).ended, {
      code: 1,
      stdout: '',
      stderr: `simple-cdn: cdn.config.ts has 11 mistakes:
  line 2: origins.app: "localhost:3000" has no scheme; write "http://localhost:3000" or "https://localhost:3000"
  line 2: origins["my site"]: is not a name; use letters, digits, "-", "_" and "."
  line 4: routes[0].match: "/a b/*" must not contain "?", "#" or white space: a match is about the path
  line 5: routes[1].cache.defaultTtl: "10 minutes" is not a duration; write "10m"
  line 5: routes[1].cache.maxBody: "64MB" is not a size; write "64mb"
  line 6: routes[2].cahce: there is no such option; did you mean "cache"?
  line 6: routes[2].origin: no origin is called "ap"; did you mean "app"?
  line 8: memory: is 12; write a size from 128mb to 9007199254740991 bytes
  line 9: server.port: is "80"; write a whole number from 0 to 65535
  line 9: server.idleTimout: there is no such option; did you mean "idleTimeout"?
  line 9: server.admin.token: write at least 16 characters without white space
`,
    })
  })

  test('prints mistakes of log sinks with all others', async (t) => {
    const { run } = project(t, {
      'cdn.config.mjs': `import { loki, httpSink, only, s3Sink, stdoutSink } from 'simple-cdn'
      export default {
        origins: { app: 'http://127.0.0.1:3000' },
        routes: [{ match: '/*', origin: 'ap' }],
        log: [
          stdoutSink(),
          only({ smaple: 20 }, s3Sink({
            buckt: 'logs', key: '{date}', spool: { folder: 'log', maxBytes: '1gb' },
          })),
          httpSink({ target: loki({ url: process.env.NO_SUCH_VARIABLE }), spool: { retryMs: [9, 5] } }),
        ],
      }`,
    })
    assert.deepEqual(await run(['check']).ended, {
      code: 1,
      stdout: '',
      stderr: `simple-cdn: cdn.config.mjs has 9 mistakes:
  line 7: log[1].smaple: there is no such option; did you mean "sample"?
  line 7: log[1].bucket: is missing; write the name of a bucket
  line 7: log[1].buckt: there is no such option; did you mean "bucket"?
  line 7: log[1].key: "{date}" lacks {machine}, {boot}, {first}, {last}, {checksum}; without them, objects would not be unique, or not provable
  line 7: log[1].spool.maxBytes: is "1gb"; write a whole number from 1 to 9007199254740991
  line 10: log[2].target.url: is missing; write the URL of the server
  line 10: log[2].spool.folder: is missing; write the path of a folder that no other sink has
  line 10: log[2].spool.retryMs: has 9 as the shortest wait and 5 as the longest; write [5, 9]
  line 4: routes[0].origin: no origin is called "ap"; did you mean "app"?
`,
    })
  })

  test('prints every route with its complete policy, and says with exit code 1 what is probably not meant', async (t) => {
    const { run } = project(t, {
      'cdn.config.ts': `import { defineConfig } from 'simple-cdn'
      export default defineConfig({
        name: 'edge',
        origins: { app: 'http://127.0.0.1:3000', spare: 'http://127.0.0.1:3001' },
        routes: [
          { name: 'old', match: '/old/*', redirect: '/new/*', status: 308 },
          { match: '/robots.txt', respond: { status: 200, body: 'x' } },
          { match: '/api/*', origin: 'app', cache: false, methods: ['GET', 'POST'] },
          {
            match: '/feeds/*',
            origin: 'app',
            rewrite: '/*.xml',
            cache: { defaultTtl: '5m', staleWhileRevalidate: '1h', bypassCookies: ['session'], key: { query: ['page'], headers: ['Accept-Language'] } },
          },
          { match: '/*', origin: 'app', cache: { overrideTtl: '7d', maxBody: '1gb' } },
          { match: '/never', origin: 'app' },
        ],
        memory: '512mb',
        disk: '2gb',
        maxRequestBody: '1mb',
      })`,
    })
    const { code, stdout, stderr } = await run(['check', '--print']).ended
    assert.deepEqual([code, stderr], [1, ''])
    const brief = (await run(['check']).ended).stdout.split('\n\n')
    assert.equal(
      brief[2],
      `old:  redirects to /new/* with 308
/robots.txt:  answers itself with 200
/api/* (GET, POST only):  origin app
/feeds/*:  origin app, asked for /*.xml
/*:  origin app
/never:  origin app
`,
    )
    const [first, ...rest] = stdout.split('\n\n')
    assert.deepEqual(brief.slice(0, 2), [first, rest[0]])
    assert.equal(
      first,
      'cdn.config.ts works, and probably not as it is meant:\n' +
        '  line 4: origins.spare: no route asks it\n' +
        '  line 16: routes[5]: no request gets here: routes[4] matches all of them first',
    )
    const [whole, old, robots, api, feeds, all, never] = rest
    assert.equal(whole, 'name edge, memory 512mb (the cache 228mb), disk 2gb, request bodies up to 1mb')
    assert.equal(old, 'old\n  redirects to /new/* with 308')
    assert.equal(robots, '/robots.txt\n  answers itself with 200')
    assert.equal(api, '/api/* (GET, POST only)\n  origin app\n  not cached')
    assert.equal(
      feeds,
      `/feeds/*
  origin app, asked for /*.xml
  fresh for as long as the origin says, else 5m
  stale-while-revalidate 1h, stale-if-error 1d, where the response names none
  key: query page; request fields accept-language, and those of Vary
  past the cache with cookies: session
  obeys cdn-cache-control, surrogate-control, cache-control; clients' Cache-Control not
  bodies up to 10gb
  guesses lifetimes: no; shares responses that set cookies: no`,
    )
    assert.match(all ?? '', /^\/\*\n {2}origin app\n {2}fresh for 7d, whatever the origin says\n.*\n {2}bodies up to 1gb\n/s)
    assert.match(never ?? '', /^\/never\n {2}origin app\n {2}fresh for as long as the origin says\n/)
    assert.equal(rest.length, 7)
  })

  test('ends with 1 when what is exported is no configuration, or none is there', async (t) => {
    const [number, none] = await Promise.all([
      project(t, { 'cdn.config.mjs': 'export default 42' }).run(['check']).ended,
      project(t).run(['check']).ended,
    ])
    assert.equal(number.stderr, 'simple-cdn: cdn.config.mjs has a mistake:\n  is 42; write an object\n')
    assert.match(none.stderr, /^simple-cdn: there is no cdn\.config\.ts /)
    assert.deepEqual([number.code, none.code], [1, 1])
  })
})

describe('simple-cdn start', options, () => {
  test('listens where it is told to, logs requests to standard output and itself to standard error', async (t) => {
    const { start } = project(t, { 'conf/edge.mjs': `export default ${respond.replace('127.0.0.1', '192.0.2.1')}` })
    const run = await start(['--config', 'conf/edge.mjs', '--host', '127.0.0.1', '--port', '0'], { PORT: '1' })
    const client = await rawClient(t, run.url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.match(await client.until('here'), /^HTTP\/1\.1 200 /)
    run.child.kill('SIGTERM')
    const { stdout, stderr } = await run.ended
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).url),
      ['http://a/'],
    )
    for (const line of stderr.trimEnd().split('\n')) assert.equal(typeof JSON.parse(line).msg, 'string')
  })

  test('warns of what is probably not meant, and starts all the same', async (t) => {
    const { start } = project(t, {
      'cdn.config.mjs': `export default ${respond.replace('{}', "{ spare: 'http://127.0.0.1:1' }")}`,
    })
    const run = await start()
    assert.match(run.stderr(), /^{"level":40,.*"path":"origins\.spare","msg":"origins\.spare: no route asks it"}\n/)
  })

  const wrong: readonly [given: string, values: object, env: Record<string, string>, message: string][] = [
    ['a port that is none', { port: 'http' }, {}, '--port: is "http"; write a whole number from 0 to 65535'],
    ['a port that no machine has', { port: '65536' }, {}, '--port: is 65536; write a whole number from 0 to 65535'],
    ['a port of the environment that is none', {}, { PORT: 'x' }, 'PORT: is "x"; write a whole number from 0 to 65535'],
    ['a host that is none', { host: 'not a host' }, {}, '--host: "not a host" is neither a name nor an address'],
    [
      'a token that is too short',
      {},
      { CDN_ADMIN_TOKEN: 'short' },
      'CDN_ADMIN_TOKEN: write at least 16 characters without white space',
    ],
    ['a host of another machine', { host: '192.0.2.1' }, {}, 'this machine has no 192.0.2.1; choose another host'],
  ]
  for (const [given, values, env, message] of wrong) {
    test(`says what is wrong with ${given}`, async (t) => {
      const { folder } = project(t, { 'cdn.config.mjs': `export default ${respond}` })
      const before = Object.fromEntries(Object.keys(env).map((name) => [name, process.env[name]]))
      Object.assign(process.env, env)
      t.after(() => {
        for (const [name, value] of Object.entries(before)) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
      await assert.rejects(start.run({ config: join(folder, 'cdn.config.mjs'), ...values }, []), ({ message: said }) => {
        assert.equal(said, message)
        return true
      })
    })
  }
})
