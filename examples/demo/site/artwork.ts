// The pictures: a loaf whose cuts are a waveform, as SVG for each episode and as PNG for podcast apps, which want one.
import { crc32, deflateSync } from 'node:zlib'
import type { Episode } from './episodes.ts'
import { html, type Markup } from './html.ts'

// All measures are in hundredths of the picture's edge.
const LOAF = { left: 18, right: 82, top: 24, bottom: 78, crown: 26, base: 7 } as const
const CUT_WIDTH = 5
const CUT_MIDDLE = 53
const CUTS_AT = [30, 40, 50, 60, 70] as const

const LOAF_PATH =
  `M${LOAF.left} ${LOAF.top + LOAF.crown}a${LOAF.crown} ${LOAF.crown} 0 0 1 ${LOAF.crown} ${-LOAF.crown}` +
  `H${LOAF.right - LOAF.crown}a${LOAF.crown} ${LOAF.crown} 0 0 1 ${LOAF.crown} ${LOAF.crown}V${LOAF.bottom - LOAF.base}` +
  `a${LOAF.base} ${LOAF.base} 0 0 1 ${-LOAF.base} ${LOAF.base}H${LOAF.left + LOAF.base}a${LOAF.base} ${LOAF.base} 0 0 1 ${-LOAF.base} ${-LOAF.base}Z`

export function svg({ number, hue, cuts }: Pick<Episode, 'number' | 'hue' | 'cuts'>): string {
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" role="img" aria-label="Episode ${number}">
<defs>
<linearGradient id="sky" x2="0" y2="1"><stop stop-color="hsl(${hue} 42% 78%)"/><stop offset="1" stop-color="hsl(${hue + 14} 34% 58%)"/></linearGradient>
<linearGradient id="crust" x2="0" y2="1"><stop stop-color="#d99a4e"/><stop offset="1" stop-color="#a9642c"/></linearGradient>
</defs>
<rect width="100" height="100" fill="url(#sky)"/>
<ellipse cx="50" cy="80" rx="38" ry="4" fill="hsl(${hue + 14} 40% 28%)" opacity=".35"/>
<path d="${LOAF_PATH}" fill="url(#crust)"/>
${cuts.map((height, index) => cut(CUTS_AT[index] ?? 0, height))}
<text x="93" y="14" text-anchor="end" font-family="Georgia,serif" font-size="10" font-weight="700" fill="hsl(${hue + 14} 45% 26%)">${number}</text>
</svg>
`.markup
}

function cut(x: number, half: number): Markup {
  return html`<rect x="${x - CUT_WIDTH / 2}" y="${CUT_MIDDLE - half}" width="${CUT_WIDTH}" height="${2 * half}" rx="${CUT_WIDTH / 2}" fill="#fbe9cb"/>`
}

type Rgb = readonly [number, number, number]

const SKY: readonly [Rgb, Rgb] = [
  [247, 217, 168],
  [226, 150, 98],
]
const CRUST: readonly [Rgb, Rgb] = [
  [190, 118, 58],
  [138, 74, 34],
]
const CRUMB: Rgb = [253, 240, 217]

/** The show's cover: square, `size` pixels wide, with these five cuts. */
export function png(size: number, cuts: Episode['cuts']): Buffer {
  const stride = 1 + size * 3
  const rows = Buffer.alloc(stride * size)
  const unit = 100 / size
  const crumb = (x: number, y: number): number => {
    const distances = cuts.map((half, index) => cutDistance(x - (CUTS_AT[index] ?? 0), y, half))
    return coverage(Math.min(...distances), unit)
  }
  for (let row = 0; row < size; row++) {
    const y = (row + 0.5) * unit
    const sky = mix(...SKY, y / 100)
    const crust = mix(...CRUST, (y - LOAF.top) / (LOAF.bottom - LOAF.top))
    for (let column = 0; column < size; column++) {
      const x = (column + 0.5) * unit
      const loaf = coverage(loafDistance(x, y), unit)
      rows.set(loaf === 0 ? sky : mix(mix(sky, crust, loaf), CRUMB, crumb(x, y)), row * stride + 1 + column * 3)
    }
  }

  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 2], 8) // 8 bits each of red, green and blue
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(typed.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(typed, 4)
  framed.writeUInt32BE(crc32(typed), typed.length + 4)
  return framed
}

/** How far a point is outside the loaf; negative inside. */
function loafDistance(x: number, y: number): number {
  const middle = (LOAF.top + LOAF.bottom) / 2
  const radius = y < middle ? LOAF.crown : LOAF.base
  const dx = Math.abs(x - 50) - (LOAF.right - LOAF.left) / 2 + radius
  const dy = Math.abs(y - middle) - (LOAF.bottom - LOAF.top) / 2 + radius
  return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius
}

function cutDistance(dx: number, y: number, half: number): number {
  const dy = Math.max(0, Math.abs(y - CUT_MIDDLE) - half + CUT_WIDTH / 2)
  return Math.hypot(dx, dy) - CUT_WIDTH / 2
}

/** From a distance to how much of a pixel is covered, 0 to 1: that is all there is to smooth edges. */
function coverage(distance: number, pixel: number): number {
  return Math.min(1, Math.max(0, 0.5 - distance / pixel))
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  return [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share, from[2] + (to[2] - from[2]) * share]
}
