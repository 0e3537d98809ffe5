// What of testing is built, into which files.
import { built } from '../../tsup.shared.ts'

// node:test has no name without it.
export default built(['src/index.ts'], { removeNodeProtocol: false })
