// The public API of @simple-cdn/store-cacache.
export { type CacacheStoreOptions, cacacheStore } from './cacache-store.ts'
