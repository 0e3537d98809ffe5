// How bytes come: each text by itself, together with the one before, or in two halves.
import fc from 'fast-check'

export type Coming = readonly [text: string, how: 'alone' | 'joined' | 'halved']

export const coming = (texts: fc.Arbitrary<string>): fc.Arbitrary<Coming[]> =>
  fc.array(fc.tuple(texts, fc.constantFrom('alone', 'alone', 'joined', 'halved')), { minLength: 1, maxLength: 7 })

export function pieces(all: readonly Coming[]): string[] {
  const made: string[] = []
  for (const [text, how] of all) {
    const half = Math.floor(text.length / 2)
    if (how === 'joined') made.push((made.pop() ?? '') + text)
    else if (how === 'halved') made.push(text.slice(0, half), text.slice(half))
    else made.push(text)
  }
  return made
}
