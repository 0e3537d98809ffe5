// What of create-simple-cdn is built, into which files.
import { built } from '../../tsup.shared.ts'

// For an older Node than the other packages: it brings a newer one.
export default built(['src/bin.ts'], { target: 'node20' })
