import { built } from '../../tsup.shared.ts'

export default built(['src/index.ts', 'src/bin.ts'])
