// Where everything lies: 64 bytes a record in one array, so that a million objects are no million objects on the heap.
import { FRESHENED, type Hash, HEADER_BYTES, REMOVED_ID, REMOVED_KEY, RESPONSE, type RecordHeader, SLICE } from './record.ts'

const WORDS = 16
const ID_A = 0
const ID_B = 1
const PART = 2
const KEY_A = 3
const KEY_B = 4
const VARIANT = 5
const SLICES = 6
const SEGMENT = 7
const BODY_AT = 8
const BODY_BYTES = 9
const BODY_SUM = 10
const META_SEGMENT = 11
const META_AT = 12
const META_BYTES = 13
const NEXT = 14
const STATE = 15

/** In place of a slice's number: the response itself. */
export const WHOLE = 0xffff_ffff
const VERIFIED = 0x100
const USES = 0xff
/** No slot. Slots are numbered from 0, so the tables hold them plus one. */
export const NONE = -1

export interface Place {
  readonly segment: number
  readonly bodyAt: number
  readonly bodyBytes: number
  readonly bodySum: number
  /** Where the record with the current metadata begins, which may lie in a later segment. */
  readonly metaSegment: number
  readonly metaAt: number
  readonly metaBytes: number
}

export interface RecordIndexOptions {
  readonly maxVariants: number
  /** A slot no longer stands for what it did: its record has left, or its metadata has changed. */
  readonly onChange: (slot: number) => void
}

/**
 * Live writes and recovery both go through `apply`, in the order of the log, so that a restart ends where the process was.
 * Slots are valid until the next `apply` or removal.
 */
export class RecordIndex {
  #words = new Uint32Array(0)
  /** Open addressing by id and part. */
  #byId = new Int32Array(16)
  /** First of the chain of responses whose key falls here, the latest first. */
  #byKey = new Int32Array(16)
  #free = 0
  #top = 0
  #records = 0
  #responses = 0
  /** Numbers of the slices whose response has not been written yet. */
  readonly #early = new Map<number, Set<number>>()
  readonly #departed = new RecentNumbers(4096)
  readonly #options: RecordIndexOptions

  constructor(options: RecordIndexOptions) {
    this.#options = options
  }

  get records(): number {
    return this.#records
  }

  get responses(): number {
    return this.#responses
  }

  get memoryBytes(): number {
    let early = 0
    for (const numbers of this.#early.values()) early += 200 + 40 * numbers.size
    return this.#words.byteLength + this.#byId.byteLength + this.#byKey.byteLength + early + this.#departed.size * 40
  }

  /** Makes what a record says true. `false` when it has come too late to mean anything. */
  apply(header: RecordHeader, segment: number, verified: boolean): boolean {
    switch (header.kind) {
      case RESPONSE:
        return this.#putResponse(header, segment, verified)
      case SLICE:
        return this.#putSlice(header, segment, verified)
      case FRESHENED:
        return this.#freshen(header, segment)
      case REMOVED_ID:
        return this.removeId({ a: header.idA, b: header.idB })
      case REMOVED_KEY:
        return this.removeKey({ a: header.keyA, b: header.keyB }) > 0
      default:
        return false
    }
  }

  find(id: Hash, part: number): number {
    const mask = this.#byId.length - 1
    for (let at = home(id.a, part, mask); ; at = (at + 1) & mask) {
      const slot = (this.#byId[at] as number) - 1
      if (slot === NONE) return NONE
      if (this.#get(slot, ID_A) === id.a && this.#get(slot, ID_B) === id.b && this.#get(slot, PART) === part) return slot
    }
  }

  /** The responses under a key, the latest first. */
  underKey(key: Hash): number[] {
    const found: number[] = []
    for (let slot = this.#first(key.a); slot !== NONE; slot = this.#get(slot, NEXT) - 1)
      if (this.#get(slot, KEY_A) === key.a && this.#get(slot, KEY_B) === key.b) found.push(slot)
    return found
  }

  /** Everything that has its body in a segment, in the order in which it lies there. */
  inSegment(segment: number): number[] {
    const found: number[] = []
    for (let slot = 0; slot < this.#top; slot++) if (this.#get(slot, SEGMENT) === segment) found.push(slot)
    return found.sort((a, b) => this.#get(a, BODY_AT) - this.#get(b, BODY_AT))
  }

  placeOf(slot: number): Place {
    return {
      segment: this.#get(slot, SEGMENT),
      bodyAt: this.#get(slot, BODY_AT),
      bodyBytes: this.#get(slot, BODY_BYTES),
      bodySum: this.#get(slot, BODY_SUM),
      metaSegment: this.#get(slot, META_SEGMENT),
      metaAt: this.#get(slot, META_AT),
      metaBytes: this.#get(slot, META_BYTES),
    }
  }

  /** The header to write for what is in a slot when it moves. */
  headerOf(slot: number, metaCrc: number): Omit<RecordHeader, 'at'> {
    const isSlice = this.isSlice(slot)
    return {
      kind: isSlice ? SLICE : RESPONSE,
      idA: this.#get(slot, ID_A),
      idB: this.#get(slot, ID_B),
      keyA: this.#get(slot, KEY_A),
      keyB: this.#get(slot, KEY_B),
      variant: this.#get(slot, VARIANT),
      part: isSlice ? this.#get(slot, PART) : this.#get(slot, SLICES),
      metaBytes: isSlice ? 0 : this.#get(slot, META_BYTES),
      bodyBytes: this.#get(slot, BODY_BYTES),
      metaCrc,
      bodySum: this.#get(slot, BODY_SUM),
    }
  }

  idOf(slot: number): Hash {
    return { a: this.#get(slot, ID_A), b: this.#get(slot, ID_B) }
  }

  partOf(slot: number): number {
    return this.#get(slot, PART)
  }

  isSlice(slot: number): boolean {
    return this.#get(slot, PART) !== WHOLE
  }

  /** How many slices a response has; 0 when it is kept in one piece. */
  slicesOf(slot: number): number {
    return this.#get(slot, SLICES)
  }

  isVerified(slot: number): boolean {
    return (this.#get(slot, STATE) & VERIFIED) !== 0
  }

  setVerified(slot: number): void {
    this.#set(slot, STATE, this.#get(slot, STATE) | VERIFIED)
  }

  usesOf(slot: number): number {
    return this.#get(slot, STATE) & USES
  }

  setUses(slot: number, uses: number): void {
    this.#set(slot, STATE, (this.#get(slot, STATE) & ~USES) | uses)
  }

  /** Whether slices of this response are welcome: it is there, or has not come yet. */
  isExpected(id: Hash, part: number): boolean {
    if (this.#departed.has(numberOf(id))) return false
    const response = this.find(id, WHOLE)
    return response === NONE || part < this.#get(response, SLICES)
  }

  /** Removes a response with its slices, or the slices that came before it; later ones are unwelcome. */
  removeId(id: Hash): boolean {
    const response = this.find(id, WHOLE)
    if (response !== NONE) this.#removeResponse(response)
    const early = this.#early.get(numberOf(id))
    for (const part of early ?? []) this.#drop(this.find(id, part))
    this.#early.delete(numberOf(id))
    this.#departed.add(numberOf(id))
    return response !== NONE || early !== undefined
  }

  removeKey(key: Hash): number {
    const leaving = this.underKey(key)
    for (const slot of leaving) this.#removeResponse(slot)
    return leaving.length
  }

  /** Removes what is in a slot: a slice, or a response with its slices. */
  remove(slot: number): void {
    if (!this.isSlice(slot)) {
      this.#removeResponse(slot)
      return
    }
    const id = this.idOf(slot)
    const early = this.#early.get(numberOf(id))
    if (early?.delete(this.#get(slot, PART)) === true && early.size === 0) this.#early.delete(numberOf(id))
    this.#drop(slot)
  }

  /** Removes the slices whose response never came, and names those responses. */
  removeEarly(): Hash[] {
    const ids: Hash[] = []
    for (const slot of this.#slots()) {
      const id = this.idOf(slot)
      if (this.isSlice(slot) && this.#early.has(numberOf(id)) && this.removeId(id)) ids.push(id)
    }
    return ids
  }

  /** The first slot behind this one that stands for a response; `NONE` behind the last, and for the first of all. */
  nextResponse(slot: number): number {
    for (let next = slot + 1; next < this.#top; next++) if (this.#get(next, SEGMENT) !== 0 && !this.isSlice(next)) return next
    return NONE
  }

  *#slots(): Iterable<number> {
    for (let slot = 0; slot < this.#top; slot++) if (this.#get(slot, SEGMENT) !== 0) yield slot
  }

  #putResponse(header: RecordHeader, segment: number, verified: boolean): boolean {
    const id = { a: header.idA, b: header.idB }
    let slot = this.find(id, WHOLE)
    if (slot !== NONE && (this.#get(slot, KEY_A) !== header.keyA || this.#get(slot, KEY_B) !== header.keyB)) {
      this.#removeResponse(slot)
      slot = NONE
    }
    if (slot === NONE) {
      const others = this.underKey({ a: header.keyA, b: header.keyB })
      const kept = others.filter((other) => this.#get(other, VARIANT) !== header.variant)
      for (const other of others)
        if (!kept.includes(other) || kept.indexOf(other) >= this.#options.maxVariants - 1) this.#removeResponse(other)
      slot = this.#take(id, WHOLE)
      this.#set(slot, KEY_A, header.keyA)
      this.#set(slot, KEY_B, header.keyB)
      this.#chain(slot)
      this.#responses++
    } else if (header.part < this.#get(slot, SLICES)) {
      this.#dropSlices(id, header.part, this.#get(slot, SLICES))
    }
    this.#set(slot, VARIANT, header.variant)
    this.#set(slot, SLICES, header.part)
    this.#locate(slot, header, segment, verified)
    this.#set(slot, META_SEGMENT, segment)
    this.#set(slot, META_AT, header.at)
    this.#set(slot, META_BYTES, header.metaBytes)
    const early = this.#early.get(numberOf(id))
    this.#early.delete(numberOf(id))
    for (const part of early ?? []) if (part >= header.part) this.#drop(this.find(id, part))
    this.#departed.delete(numberOf(id))
    this.#options.onChange(slot)
    return true
  }

  #putSlice(header: RecordHeader, segment: number, verified: boolean): boolean {
    const id = { a: header.idA, b: header.idB }
    if (!this.isExpected(id, header.part)) return false
    let slot = this.find(id, header.part)
    if (slot === NONE) slot = this.#take(id, header.part)
    this.#locate(slot, header, segment, verified)
    if (this.find(id, WHOLE) === NONE) {
      const early = this.#early.get(numberOf(id))
      if (early === undefined) this.#early.set(numberOf(id), new Set([header.part]))
      else early.add(header.part)
    }
    return true
  }

  #freshen(header: RecordHeader, segment: number): boolean {
    const slot = this.find({ a: header.idA, b: header.idB }, WHOLE)
    if (slot === NONE) return false
    this.#set(slot, META_SEGMENT, segment)
    this.#set(slot, META_AT, header.at)
    this.#set(slot, META_BYTES, header.metaBytes)
    this.#options.onChange(slot)
    return true
  }

  #locate(slot: number, header: RecordHeader, segment: number, verified: boolean): void {
    this.#set(slot, SEGMENT, segment)
    this.#set(slot, BODY_AT, header.at + HEADER_BYTES + header.metaBytes)
    this.#set(slot, BODY_BYTES, header.bodyBytes)
    this.#set(slot, BODY_SUM, header.bodySum)
    this.#set(slot, STATE, (this.#get(slot, STATE) & USES) | (verified ? VERIFIED : 0))
  }

  #removeResponse(slot: number): void {
    const id = this.idOf(slot)
    const slices = this.#get(slot, SLICES)
    this.#unchain(slot)
    this.#drop(slot)
    this.#responses--
    if (slices === 0) return
    this.#dropSlices(id, 0, slices)
    this.#departed.add(numberOf(id))
  }

  #dropSlices(id: Hash, from: number, end: number): void {
    // Asking for each is quick, unless a body is said to have more slices than there are records.
    if (end - from <= this.#records) for (let part = from; part < end; part++) this.#drop(this.find(id, part))
    else
      for (const slot of this.#slots()) {
        const part = this.#get(slot, PART)
        if (this.#get(slot, ID_A) === id.a && this.#get(slot, ID_B) === id.b && part >= from && part < end) this.#drop(slot)
      }
  }

  /** Gives a slot to a record and enters it by its id. */
  #take(id: Hash, part: number): number {
    if ((this.#records + 1) * 4 > this.#byId.length * 3) this.#grow()
    let slot = this.#free - 1
    if (slot === NONE) {
      slot = this.#top++
      if (this.#top * WORDS > this.#words.length) {
        const words = new Uint32Array(Math.ceil(Math.max(1024, this.#top * 1.5)) * WORDS)
        words.set(this.#words)
        this.#words = words
      }
    } else this.#free = this.#get(slot, NEXT)
    this.#words.fill(0, slot * WORDS, (slot + 1) * WORDS)
    this.#set(slot, ID_A, id.a)
    this.#set(slot, ID_B, id.b)
    this.#set(slot, PART, part)
    this.#enter(slot)
    this.#records++
    return slot
  }

  #drop(slot: number): void {
    if (slot === NONE) return
    this.#leave(slot)
    this.#options.onChange(slot)
    this.#set(slot, SEGMENT, 0)
    this.#set(slot, NEXT, this.#free)
    this.#free = slot + 1
    this.#records--
  }

  #enter(slot: number): void {
    const mask = this.#byId.length - 1
    let at = home(this.#get(slot, ID_A), this.#get(slot, PART), mask)
    while (this.#byId[at] !== 0) at = (at + 1) & mask
    this.#byId[at] = slot + 1
  }

  /** Closes the gap that a slot leaves, so that every search still ends at the first empty place. */
  #leave(slot: number): void {
    const mask = this.#byId.length - 1
    let hole = home(this.#get(slot, ID_A), this.#get(slot, PART), mask)
    while (this.#byId[hole] !== slot + 1) hole = (hole + 1) & mask
    for (let at = (hole + 1) & mask; this.#byId[at] !== 0; at = (at + 1) & mask) {
      const other = (this.#byId[at] as number) - 1
      const from = home(this.#get(other, ID_A), this.#get(other, PART), mask)
      if (((at - from) & mask) < ((at - hole) & mask)) continue
      this.#byId[hole] = other + 1
      hole = at
    }
    this.#byId[hole] = 0
  }

  #grow(): void {
    const chains = this.#byKey
    this.#byId = new Int32Array(this.#byId.length * 2)
    this.#byKey = new Int32Array(this.#byId.length)
    for (const slot of this.#slots()) this.#enter(slot)
    for (const first of chains) {
      const chain: number[] = []
      for (let slot = first - 1; slot !== NONE; slot = this.#get(slot, NEXT) - 1) chain.push(slot)
      for (const slot of chain.reverse()) this.#chain(slot)
    }
  }

  #first(keyA: number): number {
    return (this.#byKey[keyA & (this.#byKey.length - 1)] as number) - 1
  }

  #chain(slot: number): void {
    const at = this.#get(slot, KEY_A) & (this.#byKey.length - 1)
    this.#set(slot, NEXT, this.#byKey[at] as number)
    this.#byKey[at] = slot + 1
  }

  #unchain(slot: number): void {
    const next = this.#get(slot, NEXT)
    let before = this.#first(this.#get(slot, KEY_A))
    if (before === slot) {
      this.#byKey[this.#get(slot, KEY_A) & (this.#byKey.length - 1)] = next
      return
    }
    while (this.#get(before, NEXT) !== slot + 1) before = this.#get(before, NEXT) - 1
    this.#set(before, NEXT, next)
  }

  #get(slot: number, word: number): number {
    return this.#words[slot * WORDS + word] as number
  }

  #set(slot: number, word: number, value: number): void {
    this.#words[slot * WORDS + word] = value
  }
}

function home(idA: number, part: number, mask: number): number {
  return (idA ^ Math.imul(part + 1, 0x9e37_79b1)) & mask
}

/** 53 bits of an id's hash. */
function numberOf(id: Hash): number {
  return (id.b & 0x1f_ffff) * 0x1_0000_0000 + id.a
}

/** Remembers at least the last `most` numbers, and at most twice as many. */
class RecentNumbers {
  #recent = new Set<number>()
  #older = new Set<number>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#recent.size + this.#older.size
  }

  has(number: number): boolean {
    return this.#recent.has(number) || this.#older.has(number)
  }

  add(number: number): void {
    if (this.#recent.size >= this.#most) {
      this.#older = this.#recent
      this.#recent = new Set()
    }
    this.#recent.add(number)
  }

  delete(number: number): void {
    this.#recent.delete(number)
    this.#older.delete(number)
  }
}
