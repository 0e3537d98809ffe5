// What of core is built, into which files.
import { built } from '../../tsup.shared.ts'

export default built({
  index: 'src/index.ts',
  'resolve-config': 'src/resolve-config.ts',
  'log/index': 'src/log/index.ts',
  'adapters/node': 'src/adapters/node.ts',
  'adapters/fetch': 'src/adapters/fetch.ts',
})
