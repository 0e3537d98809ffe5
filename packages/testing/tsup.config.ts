import { built } from '../../tsup.shared.ts'

// node:test has no name without it.
export default built(['src/index.ts'], { removeNodeProtocol: false })
