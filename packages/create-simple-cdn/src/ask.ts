// The questions, in a terminal. Whatever the command line has said already is not asked.
import { cancel, intro, isCancel, outro, select, text } from '@clack/prompts'
import { DEFAULTS, LOGS, originFault, PLACES, parseDisk } from './choices.ts'
import { Failure } from './failure.ts'

/** What the command line says; the rest is asked, or has its default. */
export interface Answers {
  readonly folder?: string | undefined
  readonly origin?: string | undefined
  readonly place?: (typeof PLACES)[number] | undefined
  readonly logs?: (typeof LOGS)[number] | undefined
  readonly disk?: string | undefined
}

const PLACE_NAMES = { fly: 'Fly.io', docker: 'Docker', node: 'plain Node' } as const
const LOG_NAMES = {
  stdout: 'standard output, a JSON line each',
  s3: 'a bucket: S3, R2, Tigris',
  none: 'nowhere',
} as const

/** Asks for what is missing. @throws Failure when whoever is asked gives up. */
export async function ask(
  given: Answers,
  folderFault: (folder: string) => string | undefined,
): Promise<Required<{ readonly [Name in keyof Answers]: NonNullable<Answers[Name]> }>> {
  intro('create-simple-cdn')
  const folder =
    given.folder ??
    (await answered(
      text({
        message: 'In which folder?',
        placeholder: 'my-cdn',
        defaultValue: 'my-cdn',
        validate: (value) => folderFault(value || 'my-cdn'),
      }),
    ))
  const origin =
    given.origin ??
    (await answered(
      text({
        message: 'Where is your site?',
        placeholder: 'https://app.example.com',
        validate: (value) => originFault(value?.trim() ?? ''),
      }),
    ))
  const place =
    given.place ??
    (await answered(
      select({
        message: 'Where will it run?',
        initialValue: DEFAULTS.place,
        options: PLACES.map((value) => ({ value, label: PLACE_NAMES[value] })),
      }),
    ))
  const logs =
    given.logs ??
    (await answered(
      select({
        message: 'Where do the logs go?',
        initialValue: DEFAULTS.logs,
        options: LOGS.map((value) => ({ value, label: LOG_NAMES[value] })),
      }),
    ))
  const disk =
    given.disk ??
    (await answered(
      text({
        message: 'How much disk for what is cached?',
        placeholder: DEFAULTS.disk,
        defaultValue: DEFAULTS.disk,
        validate: (value) => (value && parseDisk(value.trim()) === undefined ? 'write "8gb", or "none"' : undefined),
      }),
    ))
  outro('That is all.')
  return { folder, origin: origin.trim(), place, logs, disk: disk.trim() }
}

/** What was answered, and not the symbol for giving up. */
async function answered<Answer>(question: Promise<Answer>): Promise<Exclude<Answer, symbol>> {
  const answer = await question
  if (!isCancel(answer)) return answer as Exclude<Answer, symbol>
  cancel('Nothing has been written.')
  throw new Failure('given up')
}
