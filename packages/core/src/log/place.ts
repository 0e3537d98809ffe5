// Where this process runs: the machine and the region that log entries and their objects are named by.
import { hostname } from 'node:os'

export interface Place {
  readonly machine: string
  readonly region: string
}

const { env } = process

/** Read once. `FLY_MACHINE_ID` or the host's name; `FLY_REGION` or "local". */
export const thisPlace: Place = {
  machine: env.FLY_MACHINE_ID || hostname() || 'unknown',
  region: env.FLY_REGION || 'local',
}
