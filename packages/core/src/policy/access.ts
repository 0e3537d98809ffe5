// Who may ask: by address, by name and password, by a signature in the URL.

export interface Access {
  /** Only these addresses. */
  readonly allow: Addresses | undefined
  /** Not these, whatever `allow` says. */
  readonly deny: Addresses | undefined
  /** SHA-256 of each "name:password". */
  readonly basic: readonly Uint8Array[] | undefined
  /** Secrets, any of which may have signed. */
  readonly signedWith: readonly string[] | undefined
}

export interface Addresses {
  contains(address: string | undefined): boolean
}
