// The ground floor: every error this library raises, with its code, its status and who has to act.

/** Who has to act: the client, whoever runs the origin, whoever wrote the configuration, or we. */
export type ErrorSource = 'client' | 'origin' | 'config' | 'store' | 'internal'

interface Definition {
  readonly status: number
  readonly source: ErrorSource
  /** Whether the same request may succeed a little later. */
  readonly retry: boolean
  readonly message: string
}

const DEFINITIONS = {
  CDN_CONFIG_INVALID: { status: 500, source: 'config', retry: false, message: 'the configuration has mistakes' },
  CDN_BAD_REQUEST: { status: 400, source: 'client', retry: false, message: 'the request is malformed' },
  CDN_BODY_TOO_LARGE: { status: 413, source: 'client', retry: false, message: 'the request body is too large' },
  CDN_NO_ROUTE: { status: 404, source: 'client', retry: false, message: 'no route matches this request' },
  CDN_UNAUTHORIZED: { status: 401, source: 'client', retry: false, message: 'the route asks for a name and a password' },
  CDN_FORBIDDEN: { status: 403, source: 'client', retry: false, message: 'the route is not open to this client' },
  CDN_METHOD_NOT_ALLOWED: { status: 405, source: 'client', retry: false, message: 'the route does not allow this method' },
  CDN_LOOP: { status: 508, source: 'config', retry: false, message: 'the request has passed through this cache before' },
  CDN_CLIENT_GONE: { status: 499, source: 'client', retry: false, message: 'the client went away' },
  CDN_ORIGIN_UNREACHABLE: { status: 502, source: 'origin', retry: true, message: 'the origin could not be reached' },
  CDN_ORIGIN_TIMEOUT: { status: 504, source: 'origin', retry: true, message: 'the origin took too long' },
  CDN_ORIGIN_FAILED: { status: 502, source: 'origin', retry: true, message: 'the origin answered with an error' },
  CDN_ORIGIN_PROTOCOL: { status: 502, source: 'origin', retry: false, message: 'the origin sent something that is not HTTP' },
  CDN_ORIGIN_BROKE_OFF: { status: 502, source: 'origin', retry: false, message: 'the origin broke off in the middle of a body' },
  CDN_ORIGIN_CHANGED: {
    status: 502,
    source: 'origin',
    retry: true,
    message: 'the origin has another version than the one that was begun',
  },
  CDN_TUNNEL_SILENT: { status: 408, source: 'client', retry: true, message: 'nothing came through the tunnel for too long' },
  CDN_STORE_FAILED: { status: 500, source: 'store', retry: false, message: 'the store failed' },
  CDN_CLOSING: { status: 503, source: 'internal', retry: true, message: 'the server is closing' },
  CDN_INTERNAL: { status: 500, source: 'internal', retry: false, message: 'something went wrong inside the cache' },
} as const satisfies Record<string, Definition>

export type ErrorCode = keyof typeof DEFINITIONS

export const ERROR_CODES = Object.keys(DEFINITIONS) as readonly ErrorCode[]

/** Compare `error.code`, not `instanceof`: two copies of this package may be installed. */
export class CdnError extends Error {
  override readonly name = 'CdnError'
  readonly code: ErrorCode
  readonly status: number
  readonly source: ErrorSource
  readonly retry: boolean
  /** The message without its detail: safe to show to anybody. */
  readonly summary: string

  constructor(code: ErrorCode, detail?: string, cause?: unknown) {
    const { status, source, retry, message } = DEFINITIONS[code]
    super(detail === undefined ? message : `${message}: ${detail}`, { cause })
    this.code = code
    this.summary = message
    this.status = status
    this.source = source
    this.retry = retry
  }
}

/** Any thrown value as a `CdnError`: what is not one yet becomes `CDN_INTERNAL`, with the original as its cause. */
export function asCdnError(error: unknown): CdnError {
  if (error instanceof CdnError) return error
  return new CdnError('CDN_INTERNAL', error instanceof Error ? error.message : String(error), error)
}
