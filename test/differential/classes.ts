// Every way in which this cache and http-cache-semantics 4.3.0 are known to disagree, and why we do as we do.
import { formatHttpDate, parseHttpDate } from '../../packages/core/src/http/time.ts'
import { type Case, type Headers, T0 } from './cases.ts'
import type { Disagreement, Verdict } from './verdicts.ts'

interface Named {
  readonly name: string
  /** What they do, and why we do not. */
  readonly reason: string
  readonly section: string
}

/** Of this class is what they agree about as soon as the same is said otherwise. */
export interface Spelling extends Named {
  readonly rewrite: (exchange: Case) => Case
}

/** Of this class is a disagreement about what is said plainly. */
export interface Rule extends Named {
  readonly about: keyof Verdict
  readonly covers: (disagreement: Disagreement) => boolean
}

const COMMAS_OUTSIDE_QUOTES = /, (?=(?:[^"]*"[^"]*")*[^"]*$)/

/** Changes every Cache-Control of an exchange, member by member; one that becomes "" goes. */
const directives =
  (change: (directive: string, at: number, all: readonly string[]) => string) =>
  (exchange: Case): Case => {
    const changed = (headers: Headers): Headers => {
      const value = headers['cache-control']
      if (value === undefined) return headers
      const members = value.split(COMMAS_OUTSIDE_QUOTES).map(change)
      return { ...headers, 'cache-control': members.filter((member) => member !== '').join(', ') }
    }
    return onHeaders(exchange, changed, changed)
  }

function onHeaders(
  { first, response, second }: Case,
  request: (headers: Headers) => Headers,
  answer: (headers: Headers) => Headers,
): Case {
  return {
    first: { ...first, headers: request(first.headers) },
    response: { ...response, headers: answer(response.headers) },
    second: { ...second, headers: request(second.headers) },
  }
}

const same = (headers: Headers): Headers => headers

/** Changes one header; `undefined` takes it out. */
const header =
  (name: string, change: (value: string) => string | undefined) =>
  (headers: Headers): Headers => {
    const { [name]: value, ...others } = headers
    if (value === undefined) return headers
    const changed = change(value)
    return changed === undefined ? others : { ...headers, [name]: changed }
  }

const without = (name: string) => header(name, () => undefined)
const nameOf = (directive: string) => directive.replace(/=.*/, '')
const date = (text: string) => parseHttpDate(text, T0)

/** In this order, each on top of those before it. */
export const spellings: readonly Spelling[] = [
  {
    name: 'targeted field',
    reason: 'they read Cache-Control alone; CDN-Cache-Control is for caches like this one, and outweighs it and Expires',
    section: 'RFC 9213 §2.2',
    rewrite: (exchange) =>
      onHeaders(exchange, same, ({ 'cdn-cache-control': targeted, ...headers }) =>
        targeted === undefined ? headers : without('expires')({ ...headers, 'cache-control': targeted }),
      ),
  },
  {
    name: 'case of directives',
    reason: 'they compare names with their case, so that a shared cache keeps Private and No-Store, and does not know Max-Age',
    section: 'RFC 9111 §5.2',
    rewrite: directives((directive) => directive.replace(/^[^=]*/, (name) => name.toLowerCase())),
  },
  {
    name: 'commas in quotes',
    reason: 'they split at every comma, and find directives in the argument of another',
    section: 'RFC 9110 §5.6.4',
    rewrite: directives((directive) => (directive.startsWith('ext="') ? '' : directive)),
  },
  {
    name: 'no-store with an argument',
    reason: 'they take an empty argument for no directive; what should have none is not void for having one',
    section: 'RFC 9111 §5.2',
    rewrite: directives((directive) => directive.replace('no-store=', 'no-store')),
  },
  {
    name: 'directives twice',
    reason: 'they let the last one count; the first is what the RFC says, where it does not say stale',
    section: 'RFC 9111 §4.2.1',
    rewrite: directives((directive, at, all) =>
      all.findIndex((other) => nameOf(other) === nameOf(directive)) < at ? '' : directive,
    ),
  },
  {
    name: 'seconds that are none',
    reason: 'they read the digits at the start, and nothing as absent; what is invalid counts as stale',
    section: 'RFC 9111 §4.2.1',
    rewrite: directives((directive) =>
      /^(?:max-age|s-maxage|stale-|min-fresh|max-stale)/.test(directive) ? directive.replace(/=(?!"?\d+"?$).*/, '=0') : directive,
    ),
  },
  {
    name: 'seconds beyond counting',
    reason: 'they have no bound',
    section: 'RFC 9111 §1.2.2',
    rewrite: (exchange) => {
      const bounded = (text: string) => text.replace('99999999999', '2147483648')
      return onHeaders(directives(bounded)(exchange), same, header('age', bounded))
    },
  },
  {
    name: 'Age that is none',
    reason: 'they read the digits at the start, and below zero; what is invalid is ignored',
    section: 'RFC 9111 §5.1',
    rewrite: (exchange) =>
      onHeaders(
        exchange,
        same,
        header('age', (age) => (/^\d+(?:, |$)/.test(age) ? age : undefined)),
      ),
  },
  {
    name: 'Expires that is no date',
    reason: 'they take whatever Date.parse() takes; what is no HTTP-date has expired',
    section: 'RFC 9111 §5.3',
    rewrite: (exchange) =>
      onHeaders(
        exchange,
        same,
        header('expires', (text) => (date(text) === undefined ? formatHttpDate(0) : text)),
      ),
  },
  {
    name: 'other dates that are none',
    reason: 'they take whatever Date.parse() takes; what is no HTTP-date is ignored',
    section: 'RFC 9110 §5.6.7',
    rewrite: (exchange) => {
      const ignored = (text: string) => (date(text) === undefined ? undefined : text)
      return onHeaders(exchange, same, (headers) => header('last-modified', ignored)(header('date', ignored)(headers)))
    },
  },
  {
    name: 'dates of asctime()',
    reason: 'Date.parse() takes them for local time; they are in GMT',
    section: 'RFC 9110 §5.6.7',
    rewrite: (exchange) => {
      const imf = (text: string) => formatHttpDate(date(text) ?? 0)
      return onHeaders(exchange, same, (headers) =>
        ['expires', 'date', 'last-modified'].reduce((each, name) => header(name, imf)(each), headers),
      )
    },
  },
  {
    name: 'Pragma',
    reason: 'they obey no-cache in it, also in responses, where it never meant anything; it is deprecated',
    section: 'RFC 9111 §5.4',
    rewrite: (exchange) => onHeaders(exchange, without('pragma'), without('pragma')),
  },
  {
    name: 'immutable',
    reason: 'they make a lifetime of a day of it; it says what to do while a response is fresh, not for how long it is',
    section: 'RFC 8246 §2',
    rewrite: directives((directive) => (directive === 'immutable' ? '' : directive)),
  },
  {
    name: 'only-if-cached',
    reason: 'they ask the origin though the client wants no answer from there',
    section: 'RFC 9111 §5.2.1.7',
    rewrite: directives((directive) => (directive === 'only-if-cached' ? '' : directive)),
  },
  {
    name: 'HEAD of what a GET got',
    reason: 'they answer a method with what the same method got; a response to GET has all that HEAD wants',
    section: 'RFC 9111 §4',
    rewrite: (exchange) => ({ ...exchange, second: { ...exchange.second, method: 'GET' } }),
  },
  {
    name: 'fields that select, written otherwise',
    reason: 'they compare characters; white space around commas says nothing, nor does the order of codings',
    section: 'RFC 9111 §4.1',
    rewrite: (exchange) => {
      const plain = (headers: Headers) =>
        header('accept-encoding', (value) => value.replace('br,gzip', 'gzip, br'))(
          header('accept', (value) => value.replace('html,*', 'html, *'))(headers),
        )
      return onHeaders(exchange, plain, same)
    },
  },
  {
    name: 'time on the way',
    reason: 'they do not count what passed between request and response',
    section: 'RFC 9111 §4.2.3',
    rewrite: (exchange) => ({ ...exchange, response: { ...exchange.response, delayMs: 0 } }),
  },
  {
    name: 'a clock that was set back',
    reason: 'they let the response become younger than it was when it came',
    section: 'RFC 9111 §4.2.3',
    rewrite: (exchange) => ({ ...exchange, second: { ...exchange.second, afterMs: Math.max(0, exchange.second.afterMs) } }),
  },
]

const said = ({ exchange }: Disagreement, directive: string) =>
  (exchange.response.headers['cache-control'] ?? '').split(', ').some((member) => nameOf(member) === directive)
const asked = ({ exchange }: Disagreement, directive: string) =>
  (exchange.second.headers['cache-control'] ?? '').split(', ').some((member) => nameOf(member) === directive)
const weRefuse = ({ ours }: Disagreement, because: string) => ours.stores === 'no' && ours.because === because

const UNDERSTOOD_BY_THEM = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501]

/** The first that covers a disagreement is its class. */
export const rules: readonly Rule[] = [
  {
    name: 'Vary: *',
    about: 'stores',
    reason: 'they store what no request will ever select',
    section: 'RFC 9111 §4.1',
    covers: (each) => weRefuse(each, 'vary-star') && /\*/.test(each.exchange.response.headers.vary ?? ''),
  },
  {
    name: 'cookies in a response',
    about: 'stores',
    reason: 'they store it and never reuse it without validation; then it is better not stored, lest its cookie be sent to all',
    section: 'RFC 9111 §7.3',
    covers: (each) =>
      weRefuse(each, 'set-cookie') && 'set-cookie' in each.exchange.response.headers && each.theirs.lifetime === 0,
  },
  {
    name: 'cookies in a request',
    about: 'stores',
    reason: 'they do not look at them; what somebody with cookies got is for all only when it says so',
    section: 'RFC 9111 §7.1',
    covers: (each) => weRefuse(each, 'request-cookies') && 'cookie' in each.exchange.first.headers,
  },
  {
    name: 'what HEAD got',
    about: 'stores',
    reason: 'they keep it for the next HEAD; we answer that with what GET got',
    section: 'RFC 9111 §4',
    covers: (each) => weRefuse(each, 'head') && each.exchange.first.method === 'HEAD',
  },
  {
    name: 'what POST got',
    about: 'stores',
    reason: 'they keep it for the next POST, which has to reach the origin; it could answer a GET if Content-Location said so',
    section: 'RFC 9110 §9.3.3',
    covers: (each) =>
      weRefuse(each, 'unsafe-method') &&
      each.exchange.first.method === 'POST' &&
      !('content-location' in each.exchange.response.headers),
  },
  {
    name: 'neither lifetime nor validator',
    about: 'stores',
    reason: 'they store what they have to ask for anew each time, unless a client accepts it stale',
    section: 'RFC 9111 §3',
    covers: (each) => weRefuse(each, 'no-lifetime') && each.theirs.lifetime === 0,
  },
  {
    name: 'status codes',
    about: 'stores',
    reason: 'they have a list of fourteen; a final response may be stored whatever its status, when it says for how long',
    section: 'RFC 9111 §3',
    covers: (each) => each.ours.stores === 'yes' && !UNDERSTOOD_BY_THEM.includes(each.exchange.response.status),
  },
  {
    name: 'must-understand',
    about: 'stores',
    reason: 'they do not know it; with it, no-store is for those who do not understand the status',
    section: 'RFC 9111 §5.2.2.3',
    covers: (each) => each.ours.stores === 'yes' && said(each, 'must-understand') && said(each, 'no-store'),
  },
  {
    name: 'no-cache',
    about: 'lifetime',
    reason: 'they make no lifetime of it; we keep the lifetime, and validate whatever it is: the same to every client',
    section: 'RFC 9111 §5.2.2.4',
    covers: (each) => each.theirs.lifetime === 0 && said(each, 'no-cache'),
  },
  {
    name: 'proxy-revalidate',
    about: 'lifetime',
    reason: 'they make no lifetime of it; it forbids what is stale, not what is fresh',
    section: 'RFC 9111 §5.2.2.8',
    covers: (each) => each.theirs.lifetime === 0 && said(each, 'proxy-revalidate'),
  },
  {
    name: 'cookies in a response for all',
    about: 'lifetime',
    reason: 'they want public; s-maxage is said to shared caches only, so it says that the response may be shared',
    section: 'RFC 9111 §5.2.2.10',
    covers: (each) => each.theirs.lifetime === 0 && 'set-cookie' in each.exchange.response.headers && said(each, 's-maxage'),
  },
  {
    name: 'long heuristics',
    about: 'lifetime',
    reason: 'they have no bound; we guess a day at most',
    section: 'RFC 9111 §4.2.2',
    covers: (each) => each.ours.lifetime === 86_400 && (each.theirs.lifetime ?? 0) > 86_400 && !said(each, 'max-age'),
  },
  {
    name: 'a Date in the past',
    about: 'age',
    reason: 'they do not compare it with the clock, and so take a response that was long on its way for new',
    section: 'RFC 9111 §4.2.3',
    covers: (each) => (date(each.exchange.response.headers.date ?? '') ?? T0) < T0,
  },
  {
    name: 'what POST got, for GET',
    about: 'serves',
    reason: 'they keep it for the next POST; Content-Location and a lifetime make it an answer to GET',
    section: 'RFC 9110 §9.3.3',
    covers: (each) => each.exchange.first.method === 'POST' && 'content-location' in each.exchange.response.headers,
  },
  {
    name: 'must-revalidate',
    about: 'serves',
    reason: 'they always validate; it forbids what is stale, not what is fresh',
    section: 'RFC 9111 §5.2.2.2',
    covers: (each) => each.ours.because === 'fresh' && said(each, 'must-revalidate'),
  },
  {
    name: 'max-stale, to the second',
    about: 'serves',
    reason: 'they want less than the client allows; it says "no more than"',
    section: 'RFC 9111 §5.2.1.2',
    covers: (each) => each.ours.because === 'client-max-stale' && asked(each, 'max-stale') && each.theirs.serves !== 'stored',
  },
  {
    name: 'stale against the origin',
    about: 'serves',
    reason:
      'they let max-stale and stale-while-revalidate outweigh what forbids stale responses: proxy-revalidate, and s-maxage, which implies it',
    section: 'RFC 9111 §4.2.4',
    covers: (each) =>
      each.ours.because === 'stale' &&
      (asked(each, 'max-stale') ? said(each, 's-maxage') || said(each, 'proxy-revalidate') : said(each, 'proxy-revalidate')),
  },
  {
    name: 'no-cache against the client, or a window',
    about: 'serves',
    reason: 'they take it for no lifetime, and a stale response for good enough; it wants every reuse validated',
    section: 'RFC 9111 §5.2.2.4',
    covers: (each) =>
      each.ours.because === 'response-no-cache' && (asked(each, 'max-stale') || said(each, 'stale-while-revalidate')),
  },
  {
    name: 'stale-if-error against the origin',
    about: 'afterFailure',
    reason: 'they let it outweigh must-revalidate, proxy-revalidate and no-cache, which forbid just that',
    section: 'RFC 9111 §4.2.4',
    covers: (each) =>
      each.ours.afterFailure === 'the failure' &&
      ['must-revalidate', 'proxy-revalidate', 'no-cache'].some((directive) => said(each, directive)),
  },
]
