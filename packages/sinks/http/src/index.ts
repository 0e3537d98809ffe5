// @simple-cdn/sink-http: batches of log entries over HTTP, to services by name or to one's own.
export { type HttpSinkOptions, type HttpTarget, httpSink } from './http-sink.ts'
export { axiom, betterStack, clickHouse, honeycomb, loki } from './targets.ts'
