// @simple-cdn/bus-nats: purges from machine to machine through NATS JetStream, with receipts.
export { dnsMachines } from './dns-machines.ts'
export { type NatsBusOptions, nats } from './nats-bus.ts'
