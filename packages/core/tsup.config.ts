// How core's JavaScript is made; its declarations come from `tsc -b`.
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'resolve-config': 'src/resolve-config.ts',
    'log/index': 'src/log/index.ts',
    'adapters/node': 'src/adapters/node.ts',
    'adapters/fetch': 'src/adapters/fetch.ts',
  },
  format: 'esm',
  platform: 'node',
  target: 'node22',
  dts: false,
  // Declarations are another tool's output, in the same folder.
  clean: ['!**/*.d.ts', '!.tsbuildinfo'],
})
