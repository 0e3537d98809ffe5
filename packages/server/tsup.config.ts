// What of server is built, into which files.
import { built } from '../../tsup.shared.ts'

export default built(['src/index.ts', 'src/bin.ts'])
