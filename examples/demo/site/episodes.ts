// The podcast: what its pages, its feed, its pictures and its music are made from.

export const SHOW = {
  name: 'Stale Bread',
  tagline: 'A podcast about what keeps, and for how long.',
  host: 'the bakery at the end of the line',
} as const

export interface Episode {
  readonly number: number
  readonly slug: string
  readonly title: string
  readonly summary: string
  readonly notes: readonly string[]
  readonly published: Date
  readonly seconds: number
  /** Hue of its picture, in degrees. */
  readonly hue: number
  /** Half heights of the five cuts in the loaf of its picture, in hundredths of the picture's height. */
  readonly cuts: readonly [number, number, number, number, number]
  readonly music: Music
}

/** Steps per second and, for each bar of eight steps, a root and the chord on it, in semitones above A2 (110 Hz). */
export interface Music {
  readonly tempo: number
  readonly bars: readonly { readonly root: number; readonly chord: readonly [number, number, number] }[]
}

const MAJOR = [0, 4, 7] as const
const MINOR = [0, 3, 7] as const

/** Newest first, as in the feed. */
export const EPISODES: readonly Episode[] = [
  {
    number: 4,
    slug: 'by-the-slice',
    title: 'By the Slice',
    summary: 'Nobody eats a whole loaf at once. How to serve the middle of a thing without carrying all of it to the table.',
    notes: [
      'A player that jumps to minute one asks for the bytes from there on, and no others. The bakery has a word for it: the bread knife.',
      'In HTTP it is a range request, and the answer is 206. Drag the player’s handle and watch the terminal.',
    ],
    published: new Date('2025-10-23T06:00:00Z'),
    seconds: 120,
    hue: 205,
    cuts: [6, 14, 9, 16, 7],
    music: {
      tempo: 3.2,
      bars: [
        { root: 0, chord: MINOR },
        { root: 8, chord: MAJOR },
        { root: 3, chord: MAJOR },
        { root: 10, chord: MAJOR },
      ],
    },
  },
  {
    number: 3,
    slug: 'the-starter',
    title: 'The Starter',
    summary: 'Older than the bakery, and fed every morning. How something old is made new without starting over.',
    notes: [
      'The starter is thirty years old and not a day out of date, because somebody looks at it every morning and finds it well.',
      'In HTTP it is a validator. The cache asks “is it still this one?”, and the answer 304 has no body: what was stale is fresh again, and nothing was sent twice.',
    ],
    published: new Date('2025-10-16T06:00:00Z'),
    seconds: 108,
    hue: 95,
    cuts: [10, 10, 15, 10, 10],
    music: {
      tempo: 2.6,
      bars: [
        { root: 3, chord: MAJOR },
        { root: 10, chord: MAJOR },
        { root: 0, chord: MINOR },
        { root: 8, chord: MAJOR },
      ],
    },
  },
  {
    number: 2,
    slug: 'one-oven',
    title: 'One Oven, Forty Knocks',
    summary: 'Forty people want the same loaf in the same minute. One knocks; the others share what comes out.',
    notes: [
      'The oven takes as long for forty as for one, provided that only one of them opens the door.',
      'In HTTP it is called collapsed forwarding: of all who ask for the same thing at the same time, one is sent to the origin.',
    ],
    published: new Date('2025-10-09T06:00:00Z'),
    seconds: 96,
    hue: 345,
    cuts: [5, 9, 18, 9, 5],
    music: {
      tempo: 3.6,
      bars: [
        { root: 5, chord: MINOR },
        { root: 0, chord: MINOR },
        { root: 8, chord: MAJOR },
        { root: 7, chord: MAJOR },
      ],
    },
  },
  {
    number: 1,
    slug: 'day-old',
    title: 'Day-Old',
    summary: 'Some bread is better on the second day. How a baker decides what may still be sold, without asking the oven.',
    notes: [
      'A label says until when the loaf is fresh, and another for how long after that it may be sold at half price. Nobody has to look into the oven to read them.',
      'In HTTP they are max-age and stale-while-revalidate. The first is a promise; the second is a kindness.',
    ],
    published: new Date('2025-10-02T06:00:00Z'),
    seconds: 112,
    hue: 28,
    cuts: [8, 12, 16, 12, 8],
    music: {
      tempo: 2.9,
      bars: [
        { root: 3, chord: MAJOR },
        { root: 0, chord: MINOR },
        { root: 8, chord: MAJOR },
        { root: 10, chord: MAJOR },
      ],
    },
  },
]

/** "1:52" */
export function duration(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
