// What it takes to test a configuration, a store or a sink without network and without sleeping.
export * from './fake-clock.ts'
export * from './log-entry.ts'
export * from './player.ts'
export * from './scripted-origin.ts'
export * from './sink-contract.ts'
export * from './store-contract.ts'
