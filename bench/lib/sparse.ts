// Objects that are nowhere: what is at each offset of each of them is worked out, so that 10 GB of them cost a megabyte.

const MB = 1024 * 1024

/** The same in every process: what looks random to a compressor and to a shift by any number of bytes. */
const material = ((): Buffer => {
  const words = new Uint32Array((2 * MB) / 4)
  let state = 0x9e3779b9
  for (let at = 0; at < words.length / 2; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  words.copyWithin(words.length / 2, 0, words.length / 2)
  return Buffer.from(words.buffer)
})()

/** What object `object` has from `at` on, as far as it lies in one piece: up to `bytes`. Do not write to it. */
export function contentOf(object: number, at: number, bytes: number): Buffer {
  const block = Math.floor(at / MB)
  const within = at - block * MB
  const start = ((object * 7919 + block * 104_729) % MB) + within
  const from = start % MB
  return material.subarray(from, from + Math.min(bytes, MB - within))
}

/** Sizes from `smallest` to `largest`, as many of each power of two. */
export function sizeOf(object: number, smallest: number, largest: number): number {
  // A fraction that repeats for nobody (Weyl's sequence).
  const fraction = (object * 0.618_033_988_749_895) % 1
  return Math.round(smallest * (largest / smallest) ** fraction)
}
