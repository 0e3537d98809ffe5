// A request as it is to be taken: as a proxy has told about it, or without some of the fields that it came with.
import type { Fields } from '../http/fields.ts'
import type { CdnRequest } from './messages.ts'

export class RequestWith implements CdnRequest {
  readonly scheme: 'http' | 'https'
  readonly clientAddress: string | undefined
  readonly fields: Fields
  readonly #request: CdnRequest

  constructor(
    request: CdnRequest,
    { scheme = request.scheme, clientAddress = request.clientAddress, fields }: Pick<CdnRequest, 'fields'> & Partial<CdnRequest>,
  ) {
    this.#request = request
    this.scheme = scheme
    this.clientAddress = clientAddress
    this.fields = fields
  }

  get method(): string {
    return this.#request.method
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

  get body(): CdnRequest['body'] {
    return this.#request.body
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  get upgrade(): string | undefined {
    return this.#request.upgrade
  }

  onInterim(status: number, fields: Fields): void {
    this.#request.onInterim?.(status, fields)
  }
}
