// A CDN in several regions of Fly: an application, cached in memory and on a volume, with logs in a bucket. The same file runs in `local/`.
import { dnsMachines, nats } from '@simple-cdn/bus-nats'
import { defineConfig, s3Sink, stdoutSink } from 'simple-cdn'

export default defineConfig((env) => ({
  origins: {
    app: { url: env.ORIGIN_URL ?? 'https://app.example.com', headTimeout: '30s', retries: 2 },
  },

  routes: [
    // For Fly's proxy, which asks over http: nobody else is asked, so a broken origin takes no machine out.
    { match: '/_cdn/health', respond: { status: 204 } },
    // Files that never change under their name.
    { match: '/assets/*', origin: 'app', methods: ['GET', 'HEAD'], cache: { defaultTtl: '30d', stripCookies: true } },
    { match: '/*', origin: 'app', cache: { bypassCookies: ['session'], key: { query: 'no-tracking' } } },
  ],

  defaults: {
    cache: { staleWhileRevalidate: '1m', staleIfError: '7d' },
    requestHeaders: { 'X-Request-Id': '{id}' },
    responseHeaders: { 'X-Request-Id': '{id}', ...(env.FLY_REGION && { 'X-Cdn-Region': env.FLY_REGION }) },
  },

  // Fly's proxy, or, in local/, the one that stands in for it.
  trustedProxies: env.LOCAL_FLY ? 'private' : 'fly',

  // Most of the volume: the rest is for log lines that wait, and the file system. Memory is 60 % of the machine's.
  disk: '40gb',

  // By way of the app in nats/, to every machine, also one that is away just now. Without it, a purge is for one machine.
  ...(env.NATS_URL && {
    purge: {
      bus: nats({
        servers: env.NATS_URL,
        ...(env.NATS_TOKEN && { connection: { token: env.NATS_TOKEN } }),
        ...(!env.LOCAL_FLY && { replicas: 3, machines: dnsMachines(`all.vms.${env.FLY_APP_NAME}.internal`) }),
      }),
    },
  }),

  log: env.BUCKET_NAME
    ? [
        s3Sink({
          bucket: env.BUCKET_NAME,
          ...(env.AWS_ENDPOINT_URL_S3 && { endpoint: env.AWS_ENDPOINT_URL_S3 }),
          key: 'requests/{date}/{hour}/{region}-{machine}-{boot}-{first}-{last}-{checksum}.jsonl',
          compress: 'zstd',
          spool: { folder: '.simple-cdn/log/s3' },
        }),
      ]
    : [stdoutSink()],

  // Ready to leave within a minute: 45 s for requests, 10 s for logs. The admin listener is on the private network, and wants a token all the same.
  server: { grace: '45s', admin: { host: env.FLY_PRIVATE_IP ?? '127.0.0.1', port: Number(env.ADMIN_PORT ?? 9090) } },
}))
