// Everything an embedding program needs, under the program's own name: the library, and the server around it.
export * from '@simple-cdn/core'
export { type DiskStoreOptions, diskStore } from '@simple-cdn/store-disk'
export { type AdminConfig, type ConfigSource, defineConfig, type ProgramConfig, type ServerConfig } from './config.ts'
export type { Log } from './log.ts'
export { type RunningServer, type StartOptions, startServer } from './start-server.ts'
