// Checks of what requests are made of, for targets that people write and for those that we make.
import { type Check, isRecord, member, mistake, shown, text } from '@simple-cdn/core/config'

// It is not shown: it may be a secret.
export const fieldValue = text((value) =>
  /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? undefined : 'contains characters that a field cannot',
)

export const headers: Check = (value, path) => {
  if (!isRecord(value)) return mistake(path, `is ${shown(value)}; write fields by name, such as { Authorization: 'Bearer …' }`)
  return Object.entries(value).flatMap(([name, each]) =>
    /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)
      ? fieldValue(each, member(path, name))
      : mistake(member(path, name), `${shown(name)} is not a field name`),
  )
}
