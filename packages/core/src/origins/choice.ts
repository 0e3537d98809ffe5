// Which address of an origin is asked next: the first, each in turn by its weight, or always the same one for a URL.
import { createHash } from 'node:crypto'

export type AddressChoice = 'first' | 'round-robin' | 'hash'

interface Weighted {
  readonly url: string
  readonly weight: number
}

/** Picks one of `candidates`, which has at least one member. `key` names what is asked for. */
export type Chooser<Address extends Weighted> = (candidates: readonly Address[], key: string) => Address

export function chooser<Address extends Weighted>(choice: AddressChoice): Chooser<Address> {
  switch (choice) {
    case 'first':
      return ([first]) => first as Address
    case 'round-robin':
      return inTurn()
    case 'hash':
      return highest
  }
}

/**
 * Everyone is given its weight, whoever has most is next and pays for all: of weights 2 and 1 the turns are a, b, a. Who is
 * not among the candidates gets nothing meanwhile, and so does not come back with turns saved up.
 */
function inTurn<Address extends Weighted>(): Chooser<Address> {
  const credits = new Map<Address, number>()
  return (candidates) => {
    let total = 0
    let next = candidates[0] as Address
    for (const each of candidates) {
      credits.set(each, (credits.get(each) ?? 0) + each.weight)
      total += each.weight
      if ((credits.get(each) as number) > (credits.get(next) as number)) next = each
    }
    credits.set(next, (credits.get(next) as number) - total)
    return next
  }
}

/**
 * Rendezvous hashing: the address with the highest score for the key. When one is left out, only the keys it had go elsewhere;
 * and of all keys an address has the share that its weight is of all weights.
 */
function highest<Address extends Weighted>(candidates: readonly Address[], key: string): Address {
  let best = candidates[0] as Address
  let bestScore = Number.NEGATIVE_INFINITY
  for (const each of candidates) {
    const score = -each.weight / Math.log(fraction(`${each.url} ${key}`))
    if (score <= bestScore) continue
    best = each
    bestScore = score
  }
  return best
}

/** A number between 0 and 1, and neither of them, the same for the same text on every machine. */
function fraction(text: string): number {
  return (createHash('sha256').update(text).digest().readUIntBE(0, 6) + 0.5) / 2 ** 48
}
