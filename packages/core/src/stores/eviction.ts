// Which unit of a store leaves next, when there is no room for another. A unit is a response or a slice of one.

/**
 * Counts what is used and names what leaves. A unit is a number, from `add` until `remove`; then that number may be given to
 * another. Responses are what is counted: the slices of one share its count, and each has its own time of last use.
 */
export interface Eviction {
  /** Takes in a response. `name` is the same for whatever replaces it or comes back after it has left. */
  add(bytes: number, name: string): number
  /** Takes in a slice of a response, which counts as no use of it, but keeps it from leaving before its slices. */
  addSlice(bytes: number, of: number): number
  use(response: number): void
  /**
   * Somebody reads a slice, from this offset on. It counts for the response when it goes back to what was read already: so
   * reading all slices in turn, each in any number of pieces, is one use.
   */
  useSlice(slice: number, offset: number): void
  /** A response leaves after its slices. */
  remove(unit: number): void
  /** Who is to leave next. It stays until it is removed. `undefined`: there is nobody. */
  next(): number | undefined
}

export interface SampledOptions {
  /**
   * How much the size counts against a unit, 0 to 1. With 1, many small responses stay for a large one: most requests are
   * answered. With 0.25, fewest bytes are fetched again.
   */
  sizeExponent: number
  /** Numbers from 0 to 1, as `Math.random` gives them, which is the default. */
  random?: () => number
}

/** How many are looked at. Twice as many find hardly a better one. */
const SAMPLE = 16
/** Counting further tells nothing, and what was popular once would stay for long. */
const MOST_USES = 8
/** What no use yet counts for: most of what was never asked for before is never asked for again. */
const UNUSED = 0.25
const NOBODY = 0xffff_ffff
/** The offset of a slice that nobody has read. */
const UNREAD = Number.MAX_SAFE_INTEGER

/**
 * The worst of some units picked at random leaves: the longer unused, the larger, and the more rarely used, the worse. What has
 * left is remembered by a fingerprint, and does not begin at nothing when it comes back. See docs/decisions/0016.
 */
export function sampled({ sizeExponent, random = Math.random }: SampledOptions): Eviction {
  const units = new Units()
  const ghosts = new Fingerprints()
  /** Counts uses of anything: the age of a unit is how many there were since its own. */
  let now = 0
  // By unit:
  let usedAt = new Float64Array(units.capacity)
  let weight = new Float64Array(units.capacity)
  /** The response that counts for it: for a response, itself. */
  let counter = new Uint32Array(units.capacity)
  // By response; of a slice, the round it was last read in:
  let uses = new Uint8Array(units.capacity)
  let fingerprint = new Uint32Array(units.capacity)
  let round = new Uint32Array(units.capacity)
  /** By slice: where the last reader began. */
  let readAt = new Float64Array(units.capacity)

  function take(bytes: number): number {
    if (units.isFull) {
      units.grow()
      usedAt = larger(usedAt)
      weight = larger(weight)
      counter = larger(counter)
      uses = larger(uses)
      fingerprint = larger(fingerprint)
      round = larger(round)
      readAt = larger(readAt)
      ghosts.grow()
    }
    const unit = units.take()
    usedAt[unit] = ++now
    weight[unit] = bytes ** sizeExponent
    round[unit] = 0
    return unit
  }

  function use(response: number): void {
    usedAt[response] = ++now
    const before = uses[response] as number
    if (before < MOST_USES) uses[response] = before + 1
  }

  return {
    add(bytes, name) {
      const response = take(bytes)
      const print = fingerprintOf(name)
      counter[response] = response
      fingerprint[response] = print
      uses[response] = ghosts.usesOf(print)
      return response
    },
    addSlice(bytes, of) {
      const slice = take(bytes)
      counter[slice] = of
      usedAt[of] = now
      readAt[slice] = UNREAD
      return slice
    },
    use,
    useSlice(slice, offset) {
      const of = counter[slice] as number
      if (round[slice] === round[of] && offset <= (readAt[slice] as number)) {
        use(of)
        round[of] = (round[of] as number) + 1
      }
      round[slice] = round[of] as number
      readAt[slice] = offset
      usedAt[slice] = ++now
      usedAt[of] = now
    },
    remove(unit) {
      if (counter[unit] === unit) ghosts.add(fingerprint[unit] as number, uses[unit] as number)
      units.free(unit)
    },
    next() {
      let worst: number | undefined
      let most = -1
      const all = units.size <= SAMPLE
      for (let at = 0; at < (all ? units.size : SAMPLE); at++) {
        const unit = units.at(all ? at : Math.floor(random() * units.size))
        const score =
          ((now - (usedAt[unit] as number) + 1) * (weight[unit] as number)) / (uses[counter[unit] as number] || UNUSED)
        if (score <= most) continue
        most = score
        worst = unit
      }
      return worst
    },
  }
}

/** The one that was used longest ago leaves. */
export function leastRecentlyUsed(): Eviction {
  const units = new Units()
  let older = new Uint32Array(units.capacity)
  let newer = new Uint32Array(units.capacity)
  let counter = new Uint32Array(units.capacity)
  let oldest = NOBODY
  let newest = NOBODY

  function link(unit: number): void {
    older[unit] = newest
    newer[unit] = NOBODY
    if (newest === NOBODY) oldest = unit
    else newer[newest] = unit
    newest = unit
  }

  function unlink(unit: number): void {
    const [before, after] = [older[unit] as number, newer[unit] as number]
    if (before === NOBODY) oldest = after
    else newer[before] = after
    if (after === NOBODY) newest = before
    else older[after] = before
  }

  function use(unit: number): void {
    unlink(unit)
    link(unit)
  }

  function take(): number {
    if (units.isFull) {
      units.grow()
      older = larger(older)
      newer = larger(newer)
      counter = larger(counter)
    }
    const unit = units.take()
    link(unit)
    return unit
  }

  return {
    add: take,
    addSlice(_, of) {
      const slice = take()
      counter[slice] = of
      use(of)
      return slice
    },
    use,
    useSlice(slice) {
      use(slice)
      use(counter[slice] as number)
    },
    remove(unit) {
      unlink(unit)
      units.free(unit)
    },
    next: () => (oldest === NOBODY ? undefined : oldest),
  }
}

/** Numbers from 0 on, of which some are taken. Taking one, freeing one, and picking any that is taken is a step or two. */
class Units {
  size = 0
  /** All numbers there are, those that are taken first. */
  #order = Uint32Array.from({ length: 64 }, (_, at) => at)
  #position = this.#order.slice()

  get capacity(): number {
    return this.#order.length
  }

  get isFull(): boolean {
    return this.size === this.#order.length
  }

  grow(): void {
    const before = this.capacity
    this.#order = larger(this.#order)
    this.#position = larger(this.#position)
    for (let at = before; at < this.capacity; at++) this.#order[at] = this.#position[at] = at
  }

  take(): number {
    return this.#order[this.size++] as number
  }

  /** The one at a position, from 0 to `size`; which one that is changes as others are freed. */
  at(position: number): number {
    return this.#order[position] as number
  }

  free(unit: number): void {
    const last = this.#order[--this.size] as number
    const position = this.#position[unit] as number
    this.#order[position] = last
    this.#order[this.size] = unit
    this.#position[last] = position
    this.#position[unit] = this.size
  }
}

/** What has left, as well as 28 bits tell it, with its uses in the other four. As many as there were units at most. */
class Fingerprints {
  #prints = new Uint32Array(64)

  grow(): void {
    const before = this.#prints
    this.#prints = new Uint32Array(before.length * 2)
    for (const print of before) if (print !== 0) this.#prints[(print >>> 4) & (this.#prints.length - 1)] = print
  }

  add(print: number, uses: number): void {
    this.#prints[(print >>> 4) & (this.#prints.length - 1)] = ((print & ~15) | uses) >>> 0
  }

  /** At least one for what is known: it has been asked for again. */
  usesOf(print: number): number {
    const found = this.#prints[(print >>> 4) & (this.#prints.length - 1)] as number
    return found >>> 4 === print >>> 4 && found !== 0 ? Math.max(1, found & 15) : 0
  }
}

/** FNV-1a, with its bits mixed: names that differ in their last character fall far from each other. */
function fingerprintOf(name: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d)
  return (hash ^ (hash >>> 12)) >>> 0
}

function larger<Array extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  array: Array,
): Array {
  const twice = new (array.constructor as new (length: number) => Array)(array.length * 2)
  twice.set(array)
  return twice
}
