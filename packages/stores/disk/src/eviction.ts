// What stays when its segment goes. A module of its own, so that another policy can be measured against it.

interface Candidate {
  readonly bytes: number
  /** How often it was used since it was written or moved, at most `mostUses`. */
  readonly uses: number
}

export interface EvictionPolicy {
  /** Counting further tells nothing. At most 255. */
  readonly mostUses: number
  /** Which of the candidates are worth writing again, within so many bytes: their positions in the list. */
  survivors(candidates: readonly Candidate[], maxBytes: number): number[]
  /** What a survivor's uses count for from now on. */
  usesAfterMove(uses: number): number
}

/**
 * First in, first out, with another round for what was used. Among those, the size counts a little (its fourth root): it costs
 * hardly any bytes, and saves the requests of many small objects.
 */
export function secondChance(): EvictionPolicy {
  return {
    mostUses: 3,
    survivors(candidates, maxBytes) {
      const worth = ({ bytes, uses }: Candidate) => uses / bytes ** 0.25
      const used = candidates
        .map((candidate, position) => ({ position, bytes: candidate.bytes, worth: worth(candidate) }))
        .filter((candidate) => candidate.worth > 0)
        .sort((a, b) => b.worth - a.worth)
      const kept: number[] = []
      let left = maxBytes
      for (const { position, bytes } of used) {
        if (bytes > left) continue
        left -= bytes
        kept.push(position)
      }
      return kept
    },
    usesAfterMove: (uses) => uses - 1,
  }
}
