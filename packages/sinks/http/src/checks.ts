// Checks of what requests are made of, for targets that people write and for those that we make.
import { type Check, isRecord, member, mistake, rule } from '@simple-cdn/core/config'

/** As `text`, for what may be a secret: a value is not shown, whatever it is. */
export function secret(complaint: (value: string) => string | undefined): Check {
  return rule((value) => (typeof value === 'string' ? complaint(value) : 'is not text; write text in quotes'))
}

/** An object that has secrets among its members; somebody may have written one in its place. */
export function secrets(check: Check, what: string): Check {
  return (value, path) => (isRecord(value) ? check(value, path) : mistake(path, `is not an object; write ${what}`))
}

export const fieldValue = secret((value) =>
  /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? undefined : 'contains characters that a field cannot',
)

export const headers = secrets(
  (value, path) =>
    Object.entries(value as object).flatMap(([name, each]) =>
      /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)
        ? fieldValue(each, member(path, name))
        : mistake(path, 'has a name that is no field name; these have letters, digits and "-"'),
    ),
  "fields by name, such as { Authorization: 'Bearer …' }",
)
