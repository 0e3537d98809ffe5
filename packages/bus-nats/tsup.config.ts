// How bus-nats's JavaScript is made; its declarations come from `tsc -b`.
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/index.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22',
  dts: false,
  // Declarations are another tool's output, in the same folder.
  clean: ['!**/*.d.ts', '!.tsbuildinfo'],
})
