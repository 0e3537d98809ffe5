// Waiting for something to become true, without asking the clock: it is looked at whenever something happens.
export interface Watched {
  happened(): void
  until(condition: () => boolean): Promise<void>
}

export function watched(): Watched {
  const looks = new Set<() => void>()
  return {
    happened() {
      for (const look of looks) look()
    },
    until(condition) {
      if (condition()) return Promise.resolve()
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = (): void => {
        if (!condition()) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      return promise
    },
  }
}
