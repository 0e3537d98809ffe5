// Remembers which texts have passed a test: names and values of fields are the same ones over and over, and looking costs more than knowing.

/** Longer ones are few, and would take room. */
const LONGEST = 256

/** The same test, which forgets everything when it knows `max` texts: some 100 bytes each, 600 at most. */
export function knowing(test: (text: string) => boolean, max: number): (text: string) => boolean {
  const passed = new Set<string>()
  return (text) => {
    if (passed.has(text)) return true
    if (!test(text)) return false
    if (text.length > LONGEST) return true
    if (passed.size === max) passed.clear()
    passed.add(text)
    return true
  }
}
