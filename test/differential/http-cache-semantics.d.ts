// What the differential test uses of http-cache-semantics, which brings no types.
declare module 'http-cache-semantics' {
  type Headers = Readonly<Record<string, string>>
  interface Request {
    readonly method: string
    readonly url: string
    readonly headers: Headers
  }
  interface Response {
    readonly status: number
    readonly headers: Headers
  }

  export default class CachePolicy {
    constructor(request: Request, response: Response, options?: { readonly shared?: boolean })
    /** Milliseconds since 1970; the constructor asks, too. */
    now(): number
    storable(): boolean
    /** Seconds. */
    maxAge(): number
    age(): number
    evaluateRequest(request: Request): { readonly response?: unknown; readonly revalidation?: { readonly synchronous: boolean } }
    revalidatedPolicy(request: Request, response: Response): { readonly matches: boolean }
  }
}
