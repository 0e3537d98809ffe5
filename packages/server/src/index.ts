// Everything an embedding program needs, under the program's own name.
export * from '@simple-cdn/core'
