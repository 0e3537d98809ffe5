// Each episode's music: a playable WAV file of some 20 MB that exists nowhere. Any part of it is worked out when it is asked for.
import type { Content } from './content.ts'
import type { Episode, Music } from './episodes.ts'

const RATE = 44_100
const CHANNELS = 2
const BYTES_PER_FRAME = CHANNELS * 2
const HEADER_BYTES = 44
const CHUNK_FRAMES = 16_384

/** How long a plucked string is heard, in frames. */
const RING = Math.round(RATE * 2.4)
/** Silence to full volume at the start, and back at the end, in frames. */
const FADE = RATE * 2

const STEPS_PER_BAR = 8
/** Which note of the chord each step of a bar plays, and how many octaves up. */
const FIGURE = [
  [0, 1],
  [1, 1],
  [2, 1],
  [0, 2],
  [2, 1],
  [1, 2],
  [0, 2],
  [2, 1],
] as const
/** Loudness on the left, in 256ths, as the figure wanders; the right has the rest. */
const PAN = [80, 112, 144, 176, 160, 128, 96, 112] as const

/** The file of an episode: 16-bit PCM, stereo, 44.1 kHz. The same bytes every time, whichever part is asked for. */
export function wav({ seconds, music }: Pick<Episode, 'seconds' | 'music'>): Content {
  const frames = seconds * RATE
  const header = wavHeader(frames * BYTES_PER_FRAME)
  const play = player(music, frames)
  return {
    length: HEADER_BYTES + frames * BYTES_PER_FRAME,
    *bytes(first, last) {
      if (first < HEADER_BYTES) yield header.subarray(first, Math.min(last + 1, HEADER_BYTES))
      const from = Math.max(0, first - HEADER_BYTES)
      const to = last + 1 - HEADER_BYTES
      let frame = Math.floor(from / BYTES_PER_FRAME)
      while (frame * BYTES_PER_FRAME < to) {
        const start = frame * BYTES_PER_FRAME
        const chunk = play(frame, Math.min(frame + CHUNK_FRAMES, frames))
        yield chunk.subarray(Math.max(0, from - start), Math.min(chunk.length, to - start))
        frame += CHUNK_FRAMES
      }
    },
  }
}

function wavHeader(dataBytes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(HEADER_BYTES - 8 + dataBytes, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16) // size of the format chunk
  header.writeUInt16LE(1, 20) // integer PCM
  header.writeUInt16LE(CHANNELS, 22)
  header.writeUInt32LE(RATE, 24)
  header.writeUInt32LE(RATE * BYTES_PER_FRAME, 28)
  header.writeUInt16LE(BYTES_PER_FRAME, 32)
  header.writeUInt16LE(16, 34) // bits per sample
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(dataBytes, 40)
  return header
}

/**
 * Gives the frames from `first` up to, but not including, `end`. Each frame is a sum of the strings that still ring:
 * integers all through, so that it does not matter where one starts.
 */
function player({ tempo, bars }: Music, frames: number): (first: number, end: number) => Buffer {
  const step = Math.round(RATE / tempo)
  const strings = new Map<number, Int16Array>()
  const string = (semitones: number): Int16Array => {
    const known = strings.get(semitones) ?? pluck(semitones)
    strings.set(semitones, known)
    return known
  }

  return (first, end) => {
    const left = new Int32Array(end - first)
    const right = new Int32Array(end - first)
    const add = (samples: Int16Array, at: number, pan: number): void => {
      const from = Math.max(at, first)
      const to = Math.min(at + RING, end)
      for (let frame = from; frame < to; frame++) {
        const sample = samples[frame - at] ?? 0
        left[frame - first] = (left[frame - first] ?? 0) + ((sample * pan) >> 8)
        right[frame - first] = (right[frame - first] ?? 0) + ((sample * (256 - pan)) >> 8)
      }
    }

    const oldest = Math.max(0, Math.floor((first - RING) / step))
    for (let index = oldest; index * step < end; index++) {
      const bar = bars[Math.floor(index / STEPS_PER_BAR) % bars.length]
      const [note, octave] = FIGURE[index % STEPS_PER_BAR] ?? FIGURE[0]
      if (bar === undefined) continue
      add(string(bar.root + (bar.chord[note] ?? 0) + 12 * octave), index * step, PAN[index % STEPS_PER_BAR] ?? 128)
      if (index % (STEPS_PER_BAR / 2) === 0) add(string(bar.root), index * step, 128)
    }

    const pcm = Buffer.allocUnsafe((end - first) * BYTES_PER_FRAME)
    for (let frame = first; frame < end; frame++) {
      const loudness = Math.min(FADE, frame, frames - 1 - frame)
      const offset = (frame - first) * BYTES_PER_FRAME
      pcm.writeInt16LE(Math.trunc(((left[frame - first] ?? 0) * loudness) / FADE), offset)
      pcm.writeInt16LE(Math.trunc(((right[frame - first] ?? 0) * loudness) / FADE), offset + 2)
    }
    return pcm
  }
}

/** One string, plucked. At this volume all that ring at a time stay below 32,768 together, whatever their phases. */
function pluck(semitones: number): Int16Array {
  const hertz = 110 * 2 ** (semitones / 12)
  return Int16Array.from({ length: RING }, (_, frame) => {
    const time = frame / RATE
    const phase = 2 * Math.PI * hertz * time
    const attack = Math.min(1, time / 0.006)
    const release = Math.min(1, (RING - frame) / (RATE * 0.1))
    const tone = Math.sin(phase) + 0.35 * Math.sin(2 * phase) + 0.12 * Math.sin(3 * phase)
    return Math.round(11_500 * attack * release * Math.exp(-2.6 * time) * tone)
  })
}
