// Everything an embedding program needs, under the program's own name: the library, and the server around it.
export * from '@simple-cdn/core'
export * from '@simple-cdn/core/log'
export { type GeoDatabase, type GeoDatabaseOptions, geoDatabase } from '@simple-cdn/geo'
export {
  axiom,
  betterStack,
  clickHouse,
  type HttpSinkOptions,
  type HttpTarget,
  honeycomb,
  httpSink,
  loki,
} from '@simple-cdn/sink-http'
export { type S3SinkOptions, s3Sink } from '@simple-cdn/sink-s3'
export { type DiskStoreOptions, diskStore } from '@simple-cdn/store-disk'
export { type AdminConfig, type ConfigSource, defineConfig, type ProgramConfig, type ServerConfig } from './config.ts'
export type { Log } from './log.ts'
export { type RunningServer, type StartOptions, startServer } from './start-server.ts'
