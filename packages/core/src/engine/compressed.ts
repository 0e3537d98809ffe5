// A body, compressed on its way into the store: once, however many get it.
import { pipeline } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'
import type { Coding } from '../policy/compress.ts'

/** Much smaller than best compression would make it costs many times the time; these are where the gain levels off. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 19 } }
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 6 } }

/** Ends as the body does; left early, it leaves the body. */
export function compressed(body: AsyncIterable<Uint8Array>, coding: Coding): AsyncIterable<Uint8Array> {
  const stream = coding === 'zstd' ? createZstdCompress(ZSTD) : coding === 'br' ? createBrotliCompress(BROTLI) : createGzip()
  // Whoever reads it hears of errors.
  return pipeline(body, stream, () => {})
}
