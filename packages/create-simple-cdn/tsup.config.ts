// How create-simple-cdn's JavaScript is made, for an older Node than the other packages; its declarations come from `tsc -b`.
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/bin.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  dts: false,
  // Declarations are another tool's output, in the same folder.
  clean: ['!**/*.d.ts', '!.tsbuildinfo'],
})
