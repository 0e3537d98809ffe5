// A request without some of the fields that it came with.
import type { Fields } from '../http/fields.ts'
import type { CdnRequest } from './messages.ts'

/** A request with other fields than came. */
export class RequestWith implements CdnRequest {
  readonly fields: Fields
  readonly #request: CdnRequest

  constructor(request: CdnRequest, fields: Fields) {
    this.#request = request
    this.fields = fields
  }

  get method(): string {
    return this.#request.method
  }

  get scheme(): 'http' | 'https' {
    return this.#request.scheme
  }

  get authority(): string {
    return this.#request.authority
  }

  get target(): string {
    return this.#request.target
  }

  get httpVersion(): string {
    return this.#request.httpVersion
  }

  get body(): AsyncIterable<Uint8Array> | undefined {
    return this.#request.body
  }

  get clientAddress(): string | undefined {
    return this.#request.clientAddress
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  onInterim(status: number, fields: Fields): void {
    this.#request.onInterim?.(status, fields)
  }
}
