// The target of an HTTP/1 request: a path, or a whole URL, which then outweighs Host (RFC 9112 §3.2.2).

export function targetOf(url: string, host: string | undefined): { readonly authority: string; readonly target: string } {
  const absolute = url.startsWith('/') ? undefined : /^https?:\/\/([^/?#]+)(.*)$/i.exec(url)
  if (!absolute) return { authority: host ?? '', target: url }
  const [, authority = '', rest = ''] = absolute
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` }
}
