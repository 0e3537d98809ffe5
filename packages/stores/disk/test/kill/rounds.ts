// Kills a writing store again and again: `npm run disk:kill -- 200`. Prints what survived.
import { newFolder } from '../helpers.ts'
import { killRound } from './round.ts'

const rounds = Number(process.argv[2] ?? 20)
const maxBytes = Number(process.argv[3] ?? 4e9)
const folder = newFolder()
const total = { acknowledged: 0, survived: 0, lostOld: 0, removed: 0, removedButBack: 0, damaged: 0 }
const recoveries: number[] = []
let records = 0
for (let round = 0; round < rounds; round++) {
  const got = await killRound(folder, { maxBytes, afterMs: 20 + Math.random() * 250, from: round * 1_000_000 })
  for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += got[name]
  recoveries.push(got.recoveryMs)
  records = got.records
}
recoveries.sort((a, b) => a - b)
const share = ((100 * total.survived) / total.acknowledged).toFixed(3)
console.log(`${rounds} rounds of kill -9, ${records} responses at the end`)
console.log(
  `${share} % survive: ${total.survived} of ${total.acknowledged} acknowledged; ${total.lostOld} lost after more than a second`,
)
console.log(
  `${total.removedButBack} of ${total.removed} removed came back; ${total.damaged} damaged; all that was served was right, byte for byte`,
)
console.log(`recovery: median ${recoveries[rounds >> 1]?.toFixed(0)} ms, longest ${recoveries.at(-1)?.toFixed(0)} ms`)
