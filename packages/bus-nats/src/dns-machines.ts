// Which machines there are, as a platform's DNS tells: those that owe a receipt for each purge.
import { resolveTxt } from 'node:dns/promises'

/**
 * Names from the TXT records of a name: members of a list with commas, of which the first word counts. On Fly,
 * `dnsMachines('all.vms.my-app.internal')` names every machine of an app, also those that are stopped.
 *
 * @param resolve For tests, and for resolvers of one's own.
 */
export function dnsMachines(
  name: string,
  resolve: (name: string) => Promise<readonly (readonly string[])[]> = resolveTxt,
): () => Promise<readonly string[]> {
  return async () => {
    const records = await resolve(name)
    const names = records
      // A record longer than 255 bytes comes in pieces (RFC 1035 §3.3.14).
      .flatMap((pieces) => pieces.join('').split(','))
      .map((member) => member.trim().split(/\s+/)[0] as string)
    return [...new Set(names)].filter((each) => each !== '')
  }
}
