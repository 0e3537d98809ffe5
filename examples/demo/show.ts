// One line for each request, as it happens: what came, what the cache did, why, and what the origin was asked for it.
import { styleText } from 'node:util'
import { type LogEntry, type LogSink, REASONS } from '@simple-cdn/core'
import type { Answered } from './origin.ts'

export interface Paint {
  bold(text: string): string
  dim(text: string): string
  green(text: string): string
  yellow(text: string): string
  red(text: string): string
}

/** Colours, or the text as it is. */
export function painter(colours: boolean): Paint {
  const style = (name: Parameters<typeof styleText>[0]) => (text: string) =>
    colours ? styleText(name, text, { validateStream: false }) : text
  return { bold: style('bold'), dim: style('dim'), green: style('green'), yellow: style('yellow'), red: style('red') }
}

export interface Display {
  readonly sink: LogSink
  originAnswered(answered: Answered): void
}

/** What became of a request, in a word, and how good that is. */
function outcome({ cache, error, status }: LogEntry): { word: string; colour: 'green' | 'yellow' | 'red' } {
  if (cache.reason === 'stale-if-error') return { word: 'STALE', colour: 'yellow' }
  if (error !== undefined || status >= 500) return { word: 'ERROR', colour: 'red' }
  if (cache.action === 'respond') return { word: 'ITSELF', colour: 'green' }
  if (cache.hit) return cache.reason === 'fresh' ? { word: 'HIT', colour: 'green' } : { word: 'STALE', colour: 'yellow' }
  if (cache.collapsed) return { word: 'SHARED', colour: 'green' }
  if (cache.fwdStatus === 304) return { word: 'VALID', colour: 'yellow' }
  return cache.fwd === 'bypass' || cache.fwd === 'method' ? { word: 'PASS', colour: 'red' } : { word: 'MISS', colour: 'red' }
}

function why({ cache, error }: LogEntry): string {
  const why = REASONS[cache.reason]
  if (cache.collapsed) return 'another request was under way for it, and its answer is for all'
  if (error !== undefined) return cache.reason === 'error' ? error.message : `${why} (${error.message})`
  return cache.notStored === undefined ? why : `${why}; not stored: ${REASONS[cache.notStored]}`
}

export function show(paint: Paint, say: (line: string) => void): Display {
  return {
    sink: {
      name: 'terminal',
      write(entry) {
        const { method, url, status, bytes, timing } = entry
        const { word, colour } = outcome(entry)
        const { pathname, search } = new URL(url)
        say(
          [
            paint[colour](word.padEnd(6)),
            String(status),
            `${method} ${pathname}${search}`.padEnd(32),
            size(bytes).padStart(8),
            duration(timing.lastByte).padStart(7),
            paint.dim(why(entry)),
          ].join('  '),
        )
      },
      async flush() {},
      async close() {},
    },
    originAnswered({ method, target, status, dropped, ms }) {
      const answer = dropped ? 'dropped the connection' : `answered ${status}`
      say(paint.dim(`        origin was asked ${method} ${target}, ${answer} after ${duration(ms)}`))
    },
  }
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
