// The public API of @simple-cdn/store-disk.
export { type DiskStoreOptions, diskStore } from './disk-store.ts'
