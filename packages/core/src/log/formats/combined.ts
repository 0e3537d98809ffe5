// The combined log format, as Apache and nginx write it by default.
import { clean, clfTime, type LogFormat, urlParts } from './format.ts'

/** `address - - [time] "GET /path HTTP/1.1" status bytes "referer" "agent"`. A dash stands for what is not known. */
export const combined: LogFormat = ({ clientAddress, at, method, url, httpVersion, status, bytes, referer, userAgent }) => {
  const { path, query } = urlParts(url)
  const request = `${escaped(method)} ${escaped(path + query)} HTTP/${httpVersion}`
  return `${clientAddress ?? '-'} - - [${clfTime(at)}] "${request}" ${status} ${bytes} "${escaped(referer)}" "${escaped(userAgent)}"\n`
}

function escaped(text: string | undefined): string {
  if (text === undefined || text === '') return '-'
  return clean(text).replace(/["\\]/g, '\\$&')
}
