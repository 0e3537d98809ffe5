// How every package's JavaScript is made; its declarations come from `tsc -b`.
import { defineConfig, type Options } from 'tsup'

/** `more`: in what a package is another than the rest. */
export const built = (entry: NonNullable<Options['entry']>, more: Options = {}): ReturnType<typeof defineConfig> =>
  defineConfig({
    entry,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    dts: false,
    // Declarations are another tool's output, in the same folder.
    clean: ['!**/*.d.ts', '!.tsbuildinfo'],
    ...more,
  })
