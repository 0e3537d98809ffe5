// Every reason there is for what this cache does, with the sentence that explains it. docs/explain.md lists the same.

export const REASONS = {
  // May what I hold answer this request?
  fresh: 'the stored response is fresh',
  stale: 'the stored response is stale',
  'stale-while-revalidate': 'the stored response is stale, and may be served while it is revalidated',
  'stale-if-error': 'the origin failed, and the stored response may stand in for it',
  'client-max-stale': 'the client accepts a response as stale as this one',
  'response-no-cache': 'the origin wants the stored response validated before every reuse',
  'request-no-cache': 'the client wants the stored response validated',
  'request-max-age': 'the stored response is older than the client accepts',
  'request-min-fresh': 'the stored response is not fresh for as long as the client wants',
  'uri-miss': 'nothing is stored under this key',
  'vary-miss': 'what is stored under this key was selected by other request fields',
  'slice-miss': 'a part of the stored body that is needed is not there',
  method: 'only GET and HEAD are answered from the store',
  cookie: 'the request carries a cookie that this route takes past the cache',
  'request-body': 'the request has a body, which is not part of the key',
  upgrade: 'the request asks for another protocol, which is passed through',
  'route-bypasses': 'the route does not cache',
  'only-if-cached': 'the client wants no answer from the origin, and none is stored',
  // May I keep what I was given?
  'no-store': 'the response says no-store',
  private: 'the response says private',
  'set-cookie': 'the response sets a cookie and does not say that it may be shared',
  authorization: 'the request was authorized and the response does not say that it may be shared',
  'request-cookies': 'the request carried cookies and the response does not say that it may be shared',
  'vary-star': 'the response varies on everything',
  'no-lifetime': 'the response is never fresh and cannot be validated',
  'not-final': 'the response is not a final one',
  'partial-mismatch': 'the response is a part that was not asked for',
  'not-modified': 'the response is a 304 to the condition of the client',
  'too-large': 'the body is larger than the route or the store takes',
  'broke-off': 'the origin broke off in the middle of the body',
  abandoned: 'every client left before the body was complete',
  'store-failed': 'the store failed',
  'unsafe-method': 'the response to this method is not reusable',
  head: 'the response to a HEAD has no body to store',
  // Why is it absent?
  invalidated: 'a later request changed the resource',
  purged: 'it was purged',
  'purges-unknown': 'it may have been purged while this machine could not hear of it',
  evicted: 'it was evicted to make room',
  changed: 'the origin had another version when a missing part was asked for',
  unsliceable: 'the origin sends parts of a body that nothing ties to one version',
  // What was answered without asking store or origin?
  redirect: 'the route redirects',
  respond: 'the route answers itself',
  error: 'the request could not be answered',
} as const

export type Reason = keyof typeof REASONS
